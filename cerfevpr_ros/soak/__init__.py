"""`make soak`: hours of work, floods, faults and hostile calls, and what they leave behind."""
