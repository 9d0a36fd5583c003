"""The loop closure benchmark: one drive, its closures, and how many of them are true."""
