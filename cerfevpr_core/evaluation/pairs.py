"""Queries beside the keyframes they were matched with: chosen, shrunk, and drawn on one sheet."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageDraw, ImageOps

from cerfevpr_core.describer import evenly
from cerfevpr_core.evaluation.evaluate import MethodResult
from cerfevpr_core.images import Image, read_image
from cerfevpr_core.lettering import font, tail
from cerfevpr_core.pixel_formats import decode_compressed

THUMBNAIL_PX = 320
FRAME_COLORS = {'right': '#17784a', 'wrong': '#c0342a', 'unknown': '#626d7b'}
STATES = ('wrong', 'unknown', 'right')
LABELS = {'right': '✓ right', 'wrong': '✗ wrong', 'unknown': '? truth unknown'}
# What `correct` None is called: nobody said, or the map is known not to show the place.
UNKNOWN, NO_TRUE_KEYFRAME = ('?', 'truth unknown'), ('–', 'no true keyframe')
MAX_UNKNOWN = 20  # of the queries without a true keyframe, so many are shown


@dataclass(frozen=True)
class Pair:
    """A query and its keyframe as jpeg; empty bytes where there is no image or no match.

    `correct` is None where the truth is not known; `truth_jpeg` is the true keyframe of a wrong
    pair.
    """

    query_name: str
    query_jpeg: bytes
    match_name: str
    match_jpeg: bytes
    similarity: float | None
    correct: bool | None
    note: str = ''
    truth_jpeg: bytes | None = None
    truth_name: str = ''

    @property
    def state(self) -> str:
        """The word for it, also the name of its colour."""
        return 'unknown' if self.correct is None else ('right' if self.correct else 'wrong')


def jpeg_of(image: Image, longest_px: int = THUMBNAIL_PX) -> bytes:
    """RGB (H, W, 3) as a small jpeg."""
    return _jpeg(PilImage.fromarray(image), longest_px)


def shrunk(jpeg: bytes, longest_px: int = THUMBNAIL_PX) -> bytes:
    """The jpeg itself if it is small enough, else a smaller one."""
    image = _opened(jpeg)
    return jpeg if max(image.size) <= longest_px else _jpeg(image, longest_px)


def first_correct(
    result: MethodResult, right: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], list[bool | None]]:
    """First candidate of each query (Q,); whether it is right, None without a true keyframe."""
    matched = result.ranked[:, 0]
    answerable = np.asarray(right.any(axis=1))
    return matched, [
        bool(right[row, first]) if answerable[row] else None for row, first in enumerate(matched)
    ]


def pairs_from(
    result: MethodResult,
    database: Sequence[Path],
    queries: Sequence[Path],
    right: NDArray[np.bool_],
    max_wrong: int = 100,
    max_right: int = 100,
) -> list[Pair]:
    """Wrong pairs first, then those without a true keyframe, then right ones, evenly sampled.

    Raises ImageError for an image that cannot be read.
    """
    _, correct = first_correct(result, right)
    chosen: list[int] = []
    for value, most in ((False, max_wrong), (None, MAX_UNKNOWN), (True, max_right)):
        rows = [row for row, mine in enumerate(correct) if mine is value]
        chosen += [rows[i] for i in evenly(len(rows), most)]
    return [_pair(result, database, queries, right, row, correct[row]) for row in chosen]


def write_match_sheet(
    pairs: Sequence[Pair], file: Path, columns: int = 3, width_px: int = 1200
) -> None:
    """A PNG of query and keyframe side by side, framed and captioned; for a page or a slide."""
    assert pairs
    gap = width_px // 60
    card_width = (width_px - gap * (columns + 1)) // columns
    cards = [_card(pair, card_width, gap // 2) for pair in pairs]
    height, num_rows = max(card.height for card in cards), -(-len(cards) // columns)
    plain = font(max(11, card_width // 27))
    top = 2 * gap + round(plain.size)
    sheet = PilImage.new('RGB', (width_px, top + num_rows * (height + gap)), '#f4f6f8')
    legend = 'left: the query     right: the keyframe it was matched with'
    ImageDraw.Draw(sheet).text((gap, gap), legend, fill='#5a6676', font=plain)
    for i, card in enumerate(cards):
        row, column = divmod(i, columns)
        sheet.paste(card, (gap + column * (card_width + gap), top + row * (height + gap)))
    file.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(file, 'PNG', optimize=True)


def _pair(
    result: MethodResult,
    database: Sequence[Path],
    queries: Sequence[Path],
    right: NDArray[np.bool_],
    row: int,
    correct: bool | None,
) -> Pair:
    first, similarity = int(result.ranked[row, 0]), result.similarity[row]
    pair = Pair(
        queries[row].name,
        jpeg_of(read_image(queries[row])),
        database[first].name,
        jpeg_of(read_image(database[first])),
        float(similarity[first]),
        correct,
        'no keyframe shows this place' if correct is None else '',
    )
    if correct is not False:
        return pair
    best = int(np.argmax(np.where(right[row], similarity, -np.inf)))
    rank = 1 + int((similarity > similarity[best]).sum())
    note = f'the true keyframe ranks {rank}, similarity {similarity[best]:.3f}'
    truth = jpeg_of(read_image(database[best]))
    return replace(pair, note=note, truth_jpeg=truth, truth_name=database[best].name)


def _jpeg(image: PilImage.Image, longest_px: int) -> bytes:
    image.thumbnail((longest_px, longest_px), PilImage.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, 'JPEG', quality=80, optimize=True)
    return buffer.getvalue()


def _card(pair: Pair, width: int, pad: int) -> PilImage.Image:
    """One pair: a frame in the colour of its state, two images, a caption below."""
    color, font_px = FRAME_COLORS[pair.state], max(11, width // 27)
    image_width = (width - 3 * pad) // 2
    image_height = image_width * 3 // 4 if not pair.query_jpeg else _height_at(pair, image_width)
    card = PilImage.new('RGB', (width, image_height + 3 * pad + 3 * font_px), 'white')
    draw = ImageDraw.Draw(card)
    draw.rectangle((0, 0, width - 1, card.height - 1), outline=color, width=4)
    for x, jpeg in ((pad, pair.query_jpeg), (2 * pad + image_width, pair.match_jpeg)):
        card.paste(_tile(jpeg, image_width, image_height), (x, pad))
    bold, plain = font(font_px, 'Bold'), font(font_px - 1)
    top = image_height + 2 * pad
    similarity = '' if pair.similarity is None else f'similarity {pair.similarity:.3f}'
    draw.text((pad, top), LABELS[pair.state], fill=color, font=bold)
    draw.text((width - pad, top), similarity, fill='#1c2431', font=plain, anchor='ra')
    top += font_px * 3 // 2
    for x, name in ((pad, pair.query_name), (2 * pad + image_width, pair.match_name)):
        draw.text((x, top), tail(name, plain, image_width), fill='#5a6676', font=plain)
    return card


def _height_at(pair: Pair, width: int) -> int:
    image = _opened(pair.query_jpeg)
    return round(width * image.height / image.width)


def _tile(jpeg: bytes, width: int, height: int) -> PilImage.Image:
    if not jpeg:
        return PilImage.new('RGB', (width, height), '#e3e7ec')
    image = _opened(jpeg)
    return ImageOps.pad(image, (width, height), PilImage.Resampling.LANCZOS, color='#e3e7ec')


def _opened(jpeg: bytes) -> PilImage.Image:
    # A map's pictures may come from anybody: no other format, no absurd size.
    return PilImage.fromarray(decode_compressed(jpeg, 'jpeg'))
