"""Geometric verification: keypoints in matched regions, two-view geometry, PnP and its pose."""
