"""Published poses as a benchmark: how many, how right, how well they know their error."""
