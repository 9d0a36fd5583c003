"""A picture of one answer: the image beside its best keyframe, and what the program says of it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageDraw

from cerfevpr_core.images import Image
from cerfevpr_core.lettering import font, tail
from cerfevpr_core.palette import GRID, INK, MARKS, MUTED, SERIES, TRUTH
from cerfevpr_core.pixel_formats import decode_compressed
from cerfevpr_core.place_map import Candidate
from cerfevpr_core.recognizer import Decision, Recognition

# Word and colour of each decision; the palette is that of the reports.
DECISIONS = {
    Decision.MATCH: ('MATCH', MARKS[True][1]),
    Decision.UNKNOWN: ('UNKNOWN', MARKS[None][1]),
    Decision.AMBIGUOUS: ('AMBIGUOUS', TRUTH),
}
_PANEL_PX = 400  # width of each of the two images
_MAX_PANEL_PX = 2 * _PANEL_PX  # height
_MAX_REGIONS = 6  # more would hide the images
_BAR_PX, _PAD_PX, _FONT_PX = 40, 10, 15


@dataclass(frozen=True)
class _Panel:
    """An image shrunk to its half of the sheet, and where that is."""

    pixels: Image
    left: int
    size_px: tuple[int, int]  # height, width of the image that boxes are told in

    def box(self, box_px: NDArray[np.float32]) -> list[float]:
        """x, y, width, height in pixels of the image -> left, top, right, bottom on the sheet."""
        height, width = self.size_px
        across, down = self.pixels.shape[1] / width, self.pixels.shape[0] / height
        x, y, w, h = (float(v) for v in box_px)
        left, top = self.left + x * across, _BAR_PX + y * down
        return [left, top, left + w * across, top + h * down]


def draw_match(image: Image, found: Recognition, thumbnail: bytes) -> Image:
    """RGB (H, W, 3) of query and best keyframe, framed in the colour of the decision.

    `thumbnail` is the jpeg that the map keeps of the best candidate; empty: a grey panel stands
    for it. Matched regions, the heaviest first, have the same colour in both images.
    """
    best = found.candidates[0] if found.candidates else None
    query = _Panel(_shrunk(image), 0, image.shape[:2])
    height = query.pixels.shape[0]
    shown = _keyframe_pixels(thumbnail, height)
    size_px = best.size_px if best is not None and all(best.size_px) else shown.shape[:2]
    keyframe = _Panel(shown, _PANEL_PX + _PAD_PX, size_px)
    sheet = PilImage.new('RGB', (2 * _PANEL_PX + _PAD_PX, height + 2 * _BAR_PX), 'white')
    for panel in (query, keyframe):
        sheet.paste(PilImage.fromarray(panel.pixels), (panel.left, _BAR_PX))
    draw = ImageDraw.Draw(sheet)
    if best is not None:
        _draw_regions(draw, query, keyframe, best)
    _draw_words(draw, found, best, height)
    return np.asarray(sheet, np.uint8).copy()


def figures(best: Candidate) -> str:
    """Probability, similarity and inliers in words; what is not known is left out."""
    parts = [] if best.probability is None else [f'probability {100 * best.probability:.0f} %']
    parts.append(f'similarity {best.similarity:.3f}')
    if best.num_inliers is not None:
        verified = 'verified' if best.verified else 'not verified'
        parts.append(f'{best.num_inliers} inliers, {verified}')
    return '  ·  '.join(parts)


def _shrunk(image: Image) -> Image:
    """As wide as its half; a very tall one less, or a strip would become gigabytes."""
    scale = min(_PANEL_PX / image.shape[1], _MAX_PANEL_PX / image.shape[0])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def _keyframe_pixels(thumbnail: bytes, height: int) -> Image:
    """The keyframe, as large as fits into its half."""
    if not thumbnail:
        return np.asarray(PilImage.new('RGB', (_PANEL_PX, height), GRID))
    kept = decode_compressed(thumbnail, 'jpeg')
    scale = min(_PANEL_PX / kept.shape[1], height / kept.shape[0])
    size = max(1, round(kept.shape[1] * scale)), max(1, round(kept.shape[0] * scale))
    return np.asarray(cv2.resize(kept, size, interpolation=cv2.INTER_LINEAR))


def _draw_regions(
    draw: ImageDraw.ImageDraw, query: _Panel, keyframe: _Panel, best: Candidate
) -> None:
    regions, matches = best.regions, best.landmark_matches
    if regions is None or matches is None:
        return
    heaviest = np.argsort(-matches.weights * matches.similarities, kind='stable')[:_MAX_REGIONS]
    for number, row in enumerate(heaviest):
        color = SERIES[number % len(SERIES)]
        boxes = query.box(regions.query_px[row]), keyframe.box(regions.keyframe_px[row])
        for box in boxes:
            draw.rectangle(box, outline='white', width=4)
            draw.rectangle(box, outline=color, width=2)
        (_, top0, right0, bottom0), (left1, top1, _, bottom1) = boxes
        ends = (right0, (top0 + bottom0) / 2), (left1, (top1 + bottom1) / 2)
        draw.line(ends, fill=color, width=1)


def _draw_words(
    draw: ImageDraw.ImageDraw, found: Recognition, best: Candidate | None, height: int
) -> None:
    """The decision above, in its colour, and the names below."""
    word, color = DECISIONS[found.decision]
    width, bottom = 2 * _PANEL_PX + _PAD_PX, height + 2 * _BAR_PX
    middle, plain = _BAR_PX // 2, font(_FONT_PX)
    draw.rectangle((0, 0, width, _BAR_PX - 1), fill=color)
    draw.text((_PAD_PX, middle), word, fill='white', font=font(_FONT_PX + 5, 'Bold'), anchor='lm')
    told = 'the map has no keyframe' if best is None else figures(best)
    draw.text((width - _PAD_PX, middle), told, fill='white', font=plain, anchor='rm')
    middle = bottom - _BAR_PX // 2
    draw.text((_PAD_PX, middle), 'camera, now', fill=INK, font=plain, anchor='lm')
    if best is not None:
        named = tail(_name(best), plain, _PANEL_PX - _PAD_PX)
        at = _PANEL_PX + 2 * _PAD_PX, middle
        draw.text(at, named, fill=INK, font=plain, anchor='lm')
    draw.line((0, bottom - _BAR_PX, width, bottom - _BAR_PX), fill=MUTED)
    draw.rectangle((0, 0, width - 1, bottom - 1), outline=color, width=3)


def _name(best: Candidate) -> str:
    traverse = f'{best.traverse} / ' if best.traverse else ''
    return f'keyframe {best.keyframe_id}: {traverse}{best.external_id or best.name}'
