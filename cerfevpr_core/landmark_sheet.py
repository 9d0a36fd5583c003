"""A picture of an image's landmarks: activations in colour, the selected cells framed."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageDraw

from cerfevpr_core.errors import ImageError
from cerfevpr_core.images import Image
from cerfevpr_core.landmarks import LandmarkMatches, Landmarks

_GAP_PX = 8
_INK = (255, 255, 255)
_LINES = ((240, 228, 66), (86, 180, 233), (230, 159, 0), (0, 158, 115))  # for all kinds of sight


def draw_landmarks(
    image: Image, activations: NDArray[np.float32], landmarks: Landmarks
) -> PilImage.Image:
    """RGB (H, W, 3) under its activations (h, w), from dark to yellow; landmarks in frames."""
    height, width = image.shape[:2]
    shares = activations / max(float(activations.max()), 1e-12)
    grown = cv2.resize(shares.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    levels = (255 * grown.clip(0, 1)).astype(np.uint8)
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1]
    grey = image.mean(axis=2, keepdims=True)
    sheet = PilImage.fromarray((0.5 * grey + 0.5 * colours).astype(np.uint8))
    draw = ImageDraw.Draw(sheet)
    for x, y, w, h in landmarks.boxes_px(height, width):
        draw.rectangle([x + 1, y + 1, x + w - 2, y + h - 2], outline=_INK)
    return sheet


def draw_matches(
    images: tuple[Image, Image], landmarks: tuple[Landmarks, Landmarks], matches: LandmarkMatches
) -> PilImage.Image:
    """Query and candidate side by side, lines between landmarks that agree on the shift."""
    query, candidate = (PilImage.fromarray(image) for image in images)
    height = max(query.height, candidate.height)
    sheet = PilImage.new('RGB', (query.width + _GAP_PX + candidate.width, height), 'white')
    left = query.width + _GAP_PX
    sheet.paste(query, (0, 0))
    sheet.paste(candidate, (left, 0))
    draw = ImageDraw.Draw(sheet)
    centres = [
        own.boxes_px(*image.shape[:2]) @ _CENTRE
        for own, image in zip(landmarks, images, strict=True)
    ]
    agreeing = np.flatnonzero(matches.weights > 0.5)
    for number, pair in enumerate(agreeing):
        x0, y0 = centres[0][matches.query[pair]]
        x1, y1 = centres[1][matches.candidate[pair]]
        colour = _LINES[number % len(_LINES)]
        draw.line([x0, y0, left + x1, y1], fill=colour)
        for x, y in ((x0, y0), (left + x1, y1)):
            draw.ellipse([x - 2, y - 2, x + 2, y + 2], fill=colour)
    return sheet


def write_picture(picture: PilImage.Image, file: Path) -> None:
    """As jpg or png. Raises ImageError."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        picture.save(file, quality=92)
    except (OSError, ValueError) as error:
        raise ImageError(f'cannot write {file}: {error}; choose another path') from None


_CENTRE = np.array([[1, 0], [0, 1], [0.5, 0], [0, 0.5]], np.float32)  # of x, y, width, height
