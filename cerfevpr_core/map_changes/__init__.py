"""Maps made of other maps: several joined into one, one described again by another model."""
