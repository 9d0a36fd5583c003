"""CycleGAN (section 3.1): two generators, two patch discriminators and their losses."""
