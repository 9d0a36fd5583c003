"""What several commands share: settings, image sources, progress and JSON files."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from cerfevpr_core.config import Config, load_config
from cerfevpr_core.data.frames import BagFrames, FolderFrames, Frame, FrameSource
from cerfevpr_core.errors import ConfigError

STDERR = Console(stderr=True)
STDOUT = Console(highlight=False)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """--config and --set, which every command that computes takes."""
    parser.add_argument('--config', type=Path, metavar='FILE', help='settings in YAML')
    parser.add_argument(
        '--set',
        action='append',
        default=[],
        metavar='A.B=C',
        dest='assignments',
        help='one setting, as map.top_k=20; may be repeated',
    )


def add_images(parser: argparse.ArgumentParser) -> None:
    """A folder of images, or a bag and its topic."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument('--images', type=Path, metavar='DIR', help='a folder of jpg and png files')
    source.add_argument('--bag', type=Path, metavar='BAG', help='a rosbag2, sqlite3 or mcap')
    parser.add_argument('--topic', metavar='T', help="the bag's image topic, if it has several")


def config_of(options: argparse.Namespace, base: dict[str, Any] | None = None) -> Config:
    """The settings of a command line."""
    return load_config(options.config, options.assignments, base=base)


def frames_of(options: argparse.Namespace) -> FrameSource:
    """The images that a command line names."""
    if options.images:
        if options.topic:
            raise ConfigError('--topic belongs to --bag; leave it out with --images')
        return FolderFrames(options.images)
    return BagFrames(options.bag, options.topic)


def progress_columns() -> tuple[ProgressColumn, ...]:
    """What a progress bar shows."""
    return (
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )


def track(frames: Iterable[Frame], what: str, count: int) -> Iterator[Frame]:
    """Pass frames on and show how far they are, on standard error."""
    with Progress(*progress_columns(), console=STDERR) as progress:
        task = progress.add_task(what, total=count)
        for frame in frames:
            yield frame
            progress.advance(task)


def write_json(content: object, file: Path) -> None:
    """Write a JSON file whole or not at all. Raises ConfigError where it cannot be written."""
    partial = file.with_name(f'{file.name}.{os.getpid()}.part')
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(content, indent=1, allow_nan=False), encoding='utf-8')
        partial.replace(file)
    except OSError as error:
        raise ConfigError(f'cannot write {file}: {error.strerror}; choose another path') from None
