"""An image in, its keypoints out: XFeat, or OpenCV's ORB and SIFT."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from cerfevpr_core.config import VerificationConfig
from cerfevpr_core.images import Image, check_image
from cerfevpr_core.verification.keypoints import Keypoints, Kind, no_keypoints, unknown_points
from cerfevpr_core.verification.xfeat import load_xfeat


class Detector(Protocol):
    """Finds the strongest keypoints of an image; the same image gives the same ones."""

    kind: Kind

    def detect(self, image: Image) -> Keypoints:
        """RGB (H, W, 3) -> its keypoints, strongest first. Raises ImageError for a bad image."""


def load_detector(config: VerificationConfig) -> Detector:
    """The detector of the settings. Raises WeightsError where its weights are missing."""
    if config.detector == 'xfeat':
        return XFeatDetector(config)
    return OpenCvDetector(config, config.detector)


class XFeatDetector:
    """XFeat on the grey image."""

    kind: Kind = 'xfeat'

    def __init__(self, config: VerificationConfig) -> None:
        self.config = config
        self.network = load_xfeat(config.weights)

    def detect(self, image: Image) -> Keypoints:
        """See Detector."""
        grey, scale = _prepared(image, self.config.detect_px)
        if min(grey.shape) < 2 * 32:
            return no_keypoints(self.kind)
        pixels = torch.from_numpy(grey).float()[None, None] / 255
        at, descriptors = self.network.detect(pixels, self.config.num_keypoints)
        positions = _original(at.numpy(), scale)
        return Keypoints(positions, descriptors.numpy(), unknown_points(len(at)), self.kind)


class OpenCvDetector:
    """ORB, whose descriptors are bits, or SIFT, with the square roots of its shares (RootSIFT)."""

    def __init__(self, config: VerificationConfig, kind: Kind) -> None:
        self.config = config
        self.kind = kind

    def detect(self, image: Image) -> Keypoints:
        """See Detector."""
        grey, scale = _prepared(image, self.config.detect_px)
        number = self.config.num_keypoints
        # Made for each image: OpenCV's detectors are not safe to share between threads.
        detector = (
            cv2.ORB.create(number, fastThreshold=7)
            if self.kind == 'orb'
            else cv2.SIFT.create(number, contrastThreshold=0.02)
        )
        found, descriptors = detector.detectAndCompute(grey, None)
        if not found:
            return no_keypoints(self.kind)
        strengths = np.array([point.response for point in found])
        order = np.argsort(-strengths, kind='stable')[:number]
        positions = np.array([found[i].pt for i in order], np.float32)
        positions = _original(positions, scale)
        rows = np.asarray(descriptors)[order]
        packed = rows.astype(np.uint8) if self.kind == 'orb' else _root(rows)
        return Keypoints(positions, packed, unknown_points(len(order)), self.kind)


def _root(rows: NDArray) -> NDArray[np.float32]:
    """Square roots of a histogram's shares: of unit length."""
    shares = rows / np.maximum(rows.sum(axis=1, keepdims=True), 1e-12)
    return np.sqrt(shares).astype(np.float32)


def _prepared(image: Image, longest_px: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Grey, its longest side so long; and how many original pixels each of its pixels is, x, y."""
    height, width = check_image(image).shape[:2]
    factor = longest_px / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    resized = grey if size == (width, height) else cv2.resize(grey, size, interpolation=how)
    return np.ascontiguousarray(resized), np.array([width / size[0], height / size[1]], np.float32)


def _original(positions: NDArray[np.float32], scale: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of the resized image -> of the original one; (0, 0) is a pixel's centre in both."""
    return ((positions + 0.5) * scale - 0.5).astype(np.float32)
