"""What the sequence filter does on a robot that drives, stops, jumps, turns back and leaves."""
