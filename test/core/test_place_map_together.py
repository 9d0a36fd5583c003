"""Several threads and programs that use one map at once, also when one of them is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from maps import answers, created
from samples import keyframes, random_map, unit_vectors

from cerfevpr_core.place_map import PlaceMap

ROOT = Path(__file__).resolve().parents[2]


def test_several_threads_add_and_search_at_once(tmp_path):
    errors: list[BaseException] = []
    with created(tmp_path / 'map') as place_map:

        def work(seed: int) -> None:
            try:
                for step in range(10):
                    vectors = unit_vectors(3, seed=100 * seed + step)
                    ids = place_map.add(keyframes(vectors))
                    best = place_map.search(vectors[0], 2)
                    assert best[0].keyframe_id == ids[0]
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert len(place_map) == 120
        before = answers(place_map)
    with PlaceMap.open(tmp_path / 'map') as place_map:
        assert answers(place_map) == before and place_map.check() == []


def test_two_who_add_to_one_map_lose_nothing_of_each_other(tmp_path):
    random_map(tmp_path / 'map', 5)
    first, second = PlaceMap.open(tmp_path / 'map'), PlaceMap.open(tmp_path / 'map')
    ours, theirs = unit_vectors(2, seed=7), unit_vectors(2, seed=8)
    second.add(keyframes(theirs))
    first.add(keyframes(ours))  # after an addition that the first one did not see
    second.close()
    assert [len(first.search(v, 1)) and first.search(v, 1)[0].keyframe_id for v in theirs] == [
        6,
        7,
    ]
    first.close()
    with PlaceMap.open(tmp_path / 'map') as place_map:
        found = [place_map.search(v, 1)[0] for v in np.concatenate([theirs, ours])]
        assert [c.keyframe_id for c in found] == [6, 7, 8, 9]
        assert all(c.similarity > 0.999 for c in found)


def test_one_who_only_reads_leaves_no_old_index_to_one_who_adds(tmp_path):
    random_map(tmp_path / 'map', 5)
    (tmp_path / 'map' / 'index.faiss').unlink()
    reader, writer = PlaceMap.open(tmp_path / 'map'), PlaceMap.open(tmp_path / 'map')
    vector = unit_vectors(1, seed=7)
    writer.add(keyframes(vector))
    writer.close()
    reader.close()  # writes the index of five keyframes last
    with PlaceMap.open(tmp_path / 'map') as place_map:
        assert place_map.search(vector[0], 1)[0].keyframe_id == 6


ADDER = """
import sys
from pathlib import Path
from samples import keyframes, unit_vectors
from cerfevpr_core.place_map import PlaceMap
place_map = PlaceMap.open(Path(sys.argv[1]))
seed = int(sys.argv[2])
while True:
    seed += 1
    ids = place_map.add(keyframes(unit_vectors(3, seed=seed), external_id=''))
    print(seed, *ids, flush=True)
    if seed % 5 == 0:
        place_map.save()
"""


def acknowledged_before_kill(folder: Path, seed: int, after_s: float) -> dict[int, list[int]]:
    """Seeds and ids that a process acknowledged before it was killed."""
    environment = os.environ | {'PYTHONPATH': str(Path(__file__).parent), 'OMP_NUM_THREADS': '1'}
    process = subprocess.Popen(
        [sys.executable, '-c', ADDER, str(folder), str(seed)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=ROOT,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    lines = [first, *process.communicate()[0].splitlines(keepends=True)]
    # The last line may be cut off in the middle.
    numbers = [[int(n) for n in line.split()] for line in lines if line.endswith('\n')]
    return {line[0]: line[1:] for line in numbers}


@pytest.mark.slow
def test_a_map_whose_writer_is_killed_keeps_all_that_was_acknowledged(tmp_path):
    folder, rng = tmp_path / 'map', random.Random(0)
    created(folder).close()
    known: dict[int, list[int]] = {}
    for round_ in range(10):
        known |= acknowledged_before_kill(folder, 100_000 * round_, rng.uniform(0, 0.15))
        with PlaceMap.open(folder) as place_map:
            assert place_map.check() == []
            assert len(place_map) % 3 == 0  # each addition is whole or not there
            for seed, ids in known.items():
                vectors = unit_vectors(3, seed=seed)
                assert [place_map.search(v, 1)[0].keyframe_id for v in vectors] == ids
    assert len(known) >= 10
