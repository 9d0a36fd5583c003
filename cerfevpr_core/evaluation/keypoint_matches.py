"""How many keypoint matches a translation keeps, by the measure of a mild brightness change."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from cerfevpr_core.images import Image

Kind = Literal['orb', 'sift']

_MILD = 0.8  # of the brightness
_TOLERANCE_PX = 3.0  # a translation moves nothing: a match must stay where it is
_RATIO = 0.8


def dimmed(image: Image) -> Image:
    """The mild change that a translation is compared with: 80 % of the brightness."""
    return (image * np.float32(_MILD)).round().astype(np.uint8)


def matches_kept(image: Image, translation: Image, kind: Kind) -> tuple[int, int]:
    """Matches between an image and its translation, and between it and its dimmed self."""
    return num_matches(image, translation, kind), num_matches(image, dimmed(image), kind)


def num_matches(image0: Image, image1: Image, kind: Kind) -> int:
    """Mutual nearest neighbours that pass the ratio test and stay within 3 pixels."""
    detector = cv2.ORB.create(500) if kind == 'orb' else cv2.SIFT.create(500)
    norm = cv2.NORM_HAMMING if kind == 'orb' else cv2.NORM_L2
    points0, descriptors0 = detector.detectAndCompute(_grey(image0), None)
    points1, descriptors1 = detector.detectAndCompute(_grey(image1), None)
    if len(points0) < 2 or len(points1) < 2:
        return 0
    forth = cv2.BFMatcher(norm).knnMatch(descriptors0, descriptors1, k=2)
    back = cv2.BFMatcher(norm).match(descriptors1, descriptors0)
    nearest = {match.queryIdx: match.trainIdx for match in back}
    kept = 0
    for first, second in forth:
        mutual = nearest[first.trainIdx] == first.queryIdx
        if mutual and first.distance < _RATIO * second.distance:
            moved = np.subtract(points0[first.queryIdx].pt, points1[first.trainIdx].pt)
            kept += bool(np.hypot(*moved) <= _TOLERANCE_PX)
    return kept


def _grey(image: Image) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
