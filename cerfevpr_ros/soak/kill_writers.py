"""Programs that write a map killed at any instant: what was acknowledged is there, whole.

python -m cerfevpr_ros.soak.kill_writers [KILLS] [SEED]
"""

from __future__ import annotations

import json
import multiprocessing
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from cerfevpr_core.map_changes.whole import partial_of
from cerfevpr_core.place_map import Keyframe, PlaceMap
from cerfevpr_ros.soak.killed_writer import MANIFEST, Change, planned, write

_LONGEST_S = 0.25  # that a writer works before it is killed
_START_S = 60.0  # that it may take to begin, on a busy machine
_EARLY = 0.1  # of the kills come while the writer still opens the map


@dataclass
class Expected:
    """What a map must hold."""

    keyframes: dict[int, Keyframe] = field(default_factory=dict)
    calibration: bytes | None = None
    last_id: int = 0  # that was ever given

    def after(self, change: Change) -> Expected:
        """With one more change."""
        after = Expected(dict(self.keyframes), self.calibration, self.last_id)
        for keyframe in change.keyframes:
            after.last_id += 1
            after.keyframes[after.last_id] = keyframe
        if change.kind == 'remove':
            for number in change.ids:
                del after.keyframes[number]
        if change.kind == 'poses':
            for number, pose in zip(change.ids, change.poses, strict=True):
                after.keyframes[number] = replace(after.keyframes[number], pose=pose)
        if change.kind == 'calibrate':
            after.calibration = change.calibration
        return after

    def difference(self, place_map: PlaceMap) -> str:
        """How the map differs; empty if it holds exactly this."""
        ids = place_map.store.ids().tolist()
        if ids != sorted(self.keyframes):
            return f'keyframes {sorted(set(ids) ^ self.keyframes.keys())} are there or are not'
        for number, expected in self.keyframes.items():
            if not _equal(place_map.store.keyframe(number), expected):
                return f'keyframe {number} is another'
            (best,) = place_map.search(expected.descriptors[-1], 1)
            if best.keyframe_id != number:
                return f'keyframe {number} is not found by its own descriptor'
        return '' if place_map.calibration() == self.calibration else 'the calibration is another'


@dataclass
class _Killing:
    root: Path
    seed: int
    chance: random.Random
    expected: Expected = field(default_factory=Expected)
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def kill_one(self, number: int) -> None:
        """Start a writer, kill it, and look at what it leaves."""
        writer_seed, told = self.seed * 1_000_000 + number, self.root / f'told-{number}'
        folders = str(self.root / 'map'), str(self.root / 'other')
        # Forked from a server that has imported everything: a writer starts in milliseconds.
        context = multiprocessing.get_context('forkserver')
        context.set_forkserver_preload([write.__module__])
        writer = context.Process(target=write, args=(*folders, str(told), writer_seed))
        writer.start()
        self._wait(told, writer)
        assert writer.exitcode is None, f'writer {number} ended by itself: {writer.exitcode}'
        writer.kill()
        writer.join()
        writer.close()
        self.counts['kills'] += 1
        self._look(writer_seed, told, number)

    def _wait(self, told: Path, writer: Any) -> None:
        early = self.chance.random() < _EARLY
        end_s = time.monotonic() + _START_S
        while not early and not told.exists() and time.monotonic() < end_s:
            time.sleep(0.001)
            assert writer.is_alive(), 'a writer ended by itself'
        time.sleep(self.chance.uniform(0, _LONGEST_S))

    def _look(self, writer_seed: int, told: Path, number: int) -> None:
        lines = told.read_text().splitlines() if told.exists() else []
        events = [json.loads(line) for line in lines]
        begun = None
        for event in events:
            change = planned(
                writer_seed, event.get('begun', event.get('done')), sorted(self.expected.keyframes)
            )
            begun = change if 'begun' in event else None
            if begun is None:
                self.expected = self.expected.after(change)
                self.counts['acknowledged changes'] += 1
                self.counts[f'acknowledged {change.kind}'] += 1
                self._look_at_new_map(change, acknowledged=True)
        self._look_at_map(begun, number)
        told.unlink(missing_ok=True)

    def _look_at_map(self, begun: Change | None, number: int) -> None:
        """All that was acknowledged, and of what was begun all or nothing."""
        place_map = PlaceMap.open(self.root / 'map')
        problems = place_map.check()
        without = self.expected.difference(place_map)
        if begun is not None:
            self.counts['killed within a change'] += 1
            self.counts[f'killed within {begun.kind}'] += 1
            self._look_at_new_map(begun, acknowledged=False)
            if without:
                with_it = self.expected.after(begun)
                if not with_it.difference(place_map):
                    self.expected, without = with_it, ''
                    self.counts['done but not yet told'] += 1
        if problems or without:
            self.failures.append(f'kill {number}: {problems} {without}')
        # Now and then without its index, as after another kill.
        place_map.close() if self.chance.random() < 0.5 else place_map.store.close()

    def _look_at_new_map(self, change: Change, acknowledged: bool) -> None:
        """A copy or a merged map is whole or not there."""
        if change.kind not in ('copy', 'merge'):
            return
        folder = self.root / change.folder
        there = (folder / 'keyframes.sqlite').exists()
        if acknowledged and not there:
            self.failures.append(f'{change.folder} was acknowledged and is not there')
        if there:
            with PlaceMap.open(folder) as place_map:
                number = len(self.expected.keyframes) + (change.kind == 'merge')  # one of `other`
                if place_map.check() or len(place_map) != number:
                    self.failures.append(f'{change.folder} is not whole')
        for left in (folder, partial_of(folder)):
            shutil.rmtree(left, ignore_errors=True)


def survive(num_kills: int, seed: int = 0) -> dict[str, Any]:
    """Kill so many writers of one map; figures by name, and `failures`, which should be empty."""
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        PlaceMap.create(root / 'map', MANIFEST).close()
        with PlaceMap.create(root / 'other', MANIFEST) as other:
            other.add([_any_keyframe()])
        killing = _Killing(root, seed, random.Random(seed))
        for number in range(num_kills):
            killing.kill_one(number)
        keyframes = len(killing.expected.keyframes)
    took_s = round(time.monotonic() - began_s, 1)
    figures: dict[str, Any] = dict(sorted(killing.counts.items()))
    return figures | {'keyframes left': keyframes, 'seconds': took_s, 'failures': killing.failures}


def _any_keyframe() -> Keyframe:
    vector = np.zeros((1, MANIFEST.descriptor_dim), np.float32)
    vector[0, 0] = 1
    return Keyframe('other', vector, 'other')


def _equal(found: Keyframe, expected: Keyframe) -> bool:
    vectors = np.array_equal(found.descriptors, expected.descriptors)
    return vectors and replace(found, descriptors=expected.descriptors) == expected


if __name__ == '__main__':
    numbers = [int(text) for text in sys.argv[1:]] or [200]
    found = survive(*numbers)
    sys.stdout.write('\n'.join(f'{name}: {value}' for name, value in found.items()) + '\n')
    sys.exit(1 if found['failures'] else 0)
