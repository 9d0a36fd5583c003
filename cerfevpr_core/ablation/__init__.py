"""What each part of the method gains, measured: Tables 3 to 5 of the paper by one command."""
