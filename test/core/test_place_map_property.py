"""The map against a plain dict, through any sequence of changes by two who have it open."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from maps import DIM, created, refused
from numpy.typing import NDArray
from samples import unit_vectors

from cerfevpr_core.geometry import Pose
from cerfevpr_core.place_map import Keyframe, PlaceMap

VECTORS = unit_vectors(40, DIM, seed=11)  # few, so that keyframes share descriptors
TRAVERSES = ('', 'day', 'night')
POSES = [
    None,
    Pose((1.0, 2.0, 3.0), (0.0, 0.0, 0.0, 1.0)),
    Pose((0.0, 0.0, 9.0), (0, 0.6, 0, 0.8)),
]
NO_POSE = Pose((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 2.0))

who = st.integers(0, 1)
some_vectors = st.lists(st.integers(0, len(VECTORS) - 1), min_size=1, max_size=4)
choice = st.randoms(use_true_random=False)


@dataclass
class Known:
    """What the map must know of a keyframe."""

    vectors: NDArray[np.float32]
    external_id: str
    traverse: str
    pose: Pose | None


class MapAgainstDict(RuleBasedStateMachine):
    """Two openings of one map, in turn; every answer is worked out again from the dict."""

    kind = 'flat'

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        created(self.folder / 'map', self.kind).close()
        self.open = [PlaceMap.open(self.folder / 'map', self.kind) for _ in range(2)]
        self.known: dict[int, Known] = {}
        self.last_id, self.calibration, self.since = 0, None, 0
        self.seen: list[set[str]] = [set(), set()]  # traverses that each opening knew once

    def teardown(self) -> None:
        for place_map in self.open:
            place_map.close()
        with PlaceMap.open(self.folder / 'map', self.kind) as place_map:
            assert place_map.check() == [] and len(place_map) == len(self.known)
        shutil.rmtree(self.folder)

    @rule(who=who, rows=st.lists(some_vectors, min_size=1, max_size=3), chance=choice)
    def add(self, who, rows, chance):
        new = [
            Known(VECTORS[each], f'kf{self.last_id + i}', *_some(chance))
            for i, each in enumerate(rows, start=1)
        ]
        added = [
            Keyframe('a', k.vectors, k.external_id, k.traverse, pose=k.pose, thumbnail=b'T')
            for k in new
        ]
        ids = self.open[who].add(added)
        assert ids == list(range(self.last_id + 1, self.last_id + 1 + len(new)))
        self.last_id = ids[-1]
        self.known |= dict(zip(ids, new, strict=True))

    @rule(who=who, chance=choice)
    @precondition(lambda self: self.known)
    def remove(self, who, chance):
        ids = chance.sample(sorted(self.known), chance.randint(1, min(4, len(self.known))))
        self.open[who].remove(ids)
        for number in ids:
            del self.known[number]

    @rule(who=who, chance=choice)
    @precondition(lambda self: self.known)
    def update_poses(self, who, chance):
        ids = chance.sample(sorted(self.known), chance.randint(1, min(4, len(self.known))))
        poses = [chance.choice(POSES[1:]) for _ in ids]
        self.open[who].update_poses(ids, poses)
        for number, pose in zip(ids, poses, strict=True):
            self.known[number].pose = pose

    @rule(who=who, chance=choice)
    def wrong_changes_change_nothing(self, who, chance):
        place_map, some = self.open[who], sorted(self.known)[:2]
        refused(place_map.remove, [*some, self.last_id + 1])
        if some:
            refused(place_map.update_poses, some, [*[POSES[1]] * (len(some) - 1), NO_POSE])
            again = self.known[some[0]].external_id
            batch = [Keyframe(n, VECTORS[:1], e) for n, e in (('a', 'new'), ('b', again))]
            refused(place_map.add, batch)
            assert place_map.find('new') is None

    @rule(who=who, row=st.integers(0, len(VECTORS) - 1), top_k=st.integers(1, 30))
    def search(self, who, row, top_k):
        self._compare(self.open[who].search(VECTORS[row], top_k), VECTORS[row], top_k, TRAVERSES)

    @rule(who=who, row=st.integers(0, len(VECTORS) - 1), names=st.sets(st.sampled_from(TRAVERSES)))
    def search_some_traverses(self, who, row, names):
        place_map = self.open[who]
        there = {known.traverse for known in self.known.values()}
        assert set(place_map.traverses()) == there
        self.seen[who] |= there
        if names - self.seen[who]:  # else it has vanished, and the others are searched
            assert 'has no traverse' in refused(place_map.search, VECTORS[row], 5, sorted(names))
        elif names:
            found = place_map.search(VECTORS[row], 5, sorted(names))
            self._compare(found, VECTORS[row], 5, names)

    def _compare(self, found, query, top_k, names):
        best = {
            number: float((known.vectors @ query).max())
            for number, known in self.known.items()
            if known.traverse in names
        }
        assert len(found) == min(top_k, len(best)) == len({c.keyframe_id for c in found})
        expected = sorted(best.values(), reverse=True)[:top_k]
        np.testing.assert_allclose([c.similarity for c in found], expected, atol=1e-5)
        for each in found:
            known = self.known[each.keyframe_id]
            assert abs(best[each.keyframe_id] - each.similarity) < 1e-5
            assert (each.external_id, each.traverse) == (known.external_id, known.traverse)
            assert each.pose == known.pose

    @rule(who=who)
    def find(self, who):
        for number, known in self.known.items():
            assert self.open[who].find(known.external_id) == number
        assert self.open[who].find('nobody') is None

    @rule(who=who, content=st.binary(max_size=50))
    def calibrate(self, who, content):
        self.open[who].set_calibration(content)
        self.calibration = content, set(self.known)

    @rule(who=who, clean=st.booleans())
    def open_again(self, who, clean):
        place_map = self.open[who]
        place_map.close() if clean else place_map.store.close()  # as after a kill
        self.open[who] = PlaceMap.open(self.folder / 'map', self.kind)
        self.seen[who] = set()

    @rule(who=who)
    def save(self, who):
        self.open[who].save()

    @rule(who=who)
    def copy(self, who):
        self.open[who].save(self.folder / 'copy')
        with PlaceMap.open(self.folder / 'copy', self.kind) as copy:
            assert copy.store.ids().tolist() == sorted(self.known) and copy.check() == []
            self._compare(copy.search(VECTORS[0], 9), VECTORS[0], 9, TRAVERSES)
        shutil.rmtree(self.folder / 'copy')

    @invariant()
    def both_agree_with_the_dict(self):
        for place_map in self.open:
            assert len(place_map) == len(self.known)
            if self.calibration is None:
                assert place_map.calibration() is None and place_map.calibration_age() is None
            else:
                content, ids = self.calibration
                assert place_map.calibration() == content
                assert place_map.calibration_age() == len(ids ^ self.known.keys())


class HnswAgainstDict(MapAgainstDict):
    """The same with links from vector to vector: in so small a map they lead to all."""

    kind = 'hnsw'


def _some(chance):
    return chance.choice(TRAVERSES), chance.choice(POSES)


_SETTINGS = settings(
    max_examples=12,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestMapAgainstDict = MapAgainstDict.TestCase
TestMapAgainstDict.settings = _SETTINGS
TestHnswAgainstDict = HnswAgainstDict.TestCase
TestHnswAgainstDict.settings = _SETTINGS
