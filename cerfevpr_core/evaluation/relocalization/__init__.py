"""Relocalization as a benchmark (the landmark paper's Fig. 8): candidates times matching."""
