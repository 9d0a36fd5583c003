"""Trained networks that come with the package; docs/model_card.md and docs/generators.md."""
