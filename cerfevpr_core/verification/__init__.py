"""Geometric verification: keypoints in matched regions, two-view geometry, PnP and its pose."""

from cerfevpr_core.verification.depth import with_depth
from cerfevpr_core.verification.detectors import Detector, load_detector
from cerfevpr_core.verification.keypoints import Keypoints, no_keypoints
from cerfevpr_core.verification.map_view import (
    CandidateView,
    MapView,
    PoseEstimate,
    Verification,
    Verified,
)
from cerfevpr_core.verification.regions import Regions, matched_regions
from cerfevpr_core.verification.verify import Verifier

__all__ = [
    'CandidateView',
    'Detector',
    'Keypoints',
    'MapView',
    'PoseEstimate',
    'Regions',
    'Verification',
    'Verified',
    'Verifier',
    'load_detector',
    'matched_regions',
    'no_keypoints',
    'with_depth',
]
