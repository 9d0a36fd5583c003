"""What the tests of reports share: a page as a browser reads it, and what is shown on it."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from PIL import Image as PilImage

from cerfevpr_core.evaluation.evaluate import MethodResult
from cerfevpr_core.evaluation.metrics import score
from cerfevpr_core.evaluation.pairs import jpeg_of
from cerfevpr_core.evaluation.report import (
    Pair,
    Report,
    write_report,
)

VOID = {'meta', 'link', 'img', 'br', 'input'}


class Page(HTMLParser):
    """Elements with their attributes, their text, and whether every tag is closed."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.html = file.read_text(encoding='utf-8')
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(self.html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or '' for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or '' for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())

    def all(self, tag: str, **attributes: str) -> list[dict[str, str]]:
        """Attributes of every such element; a class may be one of several."""
        wanted = {name.rstrip('_'): value for name, value in attributes.items()}
        return [
            found
            for name, found in self.elements
            if name == tag and all(v in found.get(k, '').split() for k, v in wanted.items())
        ]

    def ids(self) -> set[str]:
        return {found['id'] for _, found in self.elements if 'id' in found}


def picture(height: int = 30, width: int = 40, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)


def pair(correct: bool | None, name: str = 'q.jpg', **more: object) -> Pair:
    jpeg = jpeg_of(picture())
    return Pair(name, jpeg, f'map-{name}', jpeg, 0.5, correct, **more)  # type: ignore[arg-type]


def result(right: np.ndarray, name: str = 'grid', seed: int = 0) -> MethodResult:
    rng = np.random.default_rng(seed)
    similarity = (right * 0.3 + rng.random(right.shape)).astype(np.float32)
    ranked = np.argsort(-similarity, axis=1)[:, :20]
    first = np.take_along_axis(similarity, ranked[:, :1], axis=1)[:, 0]
    times = rng.uniform(10, 30, len(right)).tolist()
    return MethodResult(
        name, 128, score(ranked, first, right), ranked, similarity, times, [0.2] * len(right)
    )


def diagonal(num_queries: int = 24, num_keyframes: int = 30) -> np.ndarray:
    return np.abs(np.arange(num_queries)[:, None] - np.arange(num_keyframes)) <= 1


def image_files(folder: Path, count: int) -> list[Path]:
    folder.mkdir()
    files = [folder / f'frame_{i:03}.jpg' for i in range(count)]
    for i, file in enumerate(files):
        PilImage.fromarray(picture(60, 80, i)).save(file)
    return files


def written(report: Report, tmp_path: Path) -> Page:
    write_report(report, tmp_path / 'new' / 'report.html')
    return Page(tmp_path / 'new' / 'report.html')
