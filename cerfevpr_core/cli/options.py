"""What several commands share: settings, image sources, progress and JSON files."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

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
from cerfevpr_core.errors import ConfigError

# torch and timm take seconds to import: a command imports what it runs when it runs.
if TYPE_CHECKING:
    from cerfevpr_core.data.frames import FrameSource

Item = TypeVar('Item')

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
    from cerfevpr_core.data.frames import BagFrames, FolderFrames

    if options.images:
        if options.topic:
            raise ConfigError('--topic belongs to --bag; leave it out with --images')
        return FolderFrames(options.images)
    return BagFrames(options.bag, options.topic)


def _columns() -> tuple[ProgressColumn, ...]:
    """What a progress bar shows."""
    return (
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )


def track(frames: Iterable[Item], what: str, count: int) -> Iterator[Item]:
    """Pass frames on, of any kind, and show how far they are, on standard error."""
    with Progress(*_columns(), console=STDERR) as progress:
        task = progress.add_task(what, total=count)
        for frame in frames:
            yield frame
            progress.advance(task)


def count_up(what: str) -> Callable[[int, int], None]:
    """A progress callback (done, all) that shows a bar."""
    progress = Progress(*_columns(), console=STDERR)
    task = progress.add_task(what)

    def show(done: int, count: int) -> None:
        if done == 1:
            progress.start()
        progress.update(task, completed=done, total=count)
        if done == count:
            progress.stop()

    return show


@contextlib.contextmanager
def losses_bar(what: str) -> Iterator[Callable[[int, int, dict[str, float]], None]]:
    """A progress callback (step, steps, losses) that shows a bar and the running means."""
    means: dict[str, float] = {}
    with Progress(*_columns(), TextColumn('{task.fields[losses]}'), console=STDERR) as progress:
        task = progress.add_task(what, losses='')

        def show(step: int, steps: int, losses: dict[str, float]) -> None:
            for name, loss in losses.items():
                means[name] = means.get(name, loss) + 0.02 * (loss - means.get(name, loss))
            text = '  '.join(f'{name} {mean:.3f}' for name, mean in means.items())
            progress.update(task, completed=step, total=steps, losses=text)

        yield show


def write_json(content: object, file: Path) -> None:
    """Write a JSON file whole or not at all. Raises ConfigError where it cannot be written."""
    partial = file.with_name(f'{file.name}.{os.getpid()}.part')
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(content, indent=1, allow_nan=False), encoding='utf-8')
        partial.replace(file)
    except OSError as error:
        raise ConfigError(f'cannot write {file}: {error.strerror}; choose another path') from None


def typed() -> str:
    """The command line as it was typed, for the foot of a report."""
    return shlex.join(['cerfevpr', *sys.argv[1:]])
