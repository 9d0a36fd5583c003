"""How sure an answer is: a calibration fitted on the map itself."""
