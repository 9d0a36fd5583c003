"""One readable training loop for each network."""
