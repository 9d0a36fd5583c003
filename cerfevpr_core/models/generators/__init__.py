"""Trained generators, one a condition; docs/generators.md says what made them."""
