"""Landmarks: the discriminative regions of an image, and matching by them (the landmark paper)."""

from cerfevpr_core.landmarks.landmarks import Landmarks
from cerfevpr_core.landmarks.similarity import LandmarkMatches, match_landmarks

__all__ = ['LandmarkMatches', 'Landmarks', 'match_landmarks']
