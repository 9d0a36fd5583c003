"""A place as another hour, season or view would show it: for training and for calibration."""
