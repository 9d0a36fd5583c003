"""The log of a training."""

from __future__ import annotations

import csv
from pathlib import Path

from cerfevpr_core.training.log import TrainingLog, read_log


def test_the_log_drops_what_came_after_the_step_it_goes_on_from(tmp_path: Path) -> None:
    with TrainingLog(tmp_path, ['loss', 'recall_at_1'], 0) as log:
        for step in (1, 2, 3):
            log.add(1, step, {'loss': 1 / step})
        log.add(1, 3, {'recall_at_1': 50.0})
    with TrainingLog(tmp_path, ['loss', 'recall_at_1'], 2) as log:
        log.add(1, 3, {'loss': 0.25})
    assert [row['loss'] for row in read_log(tmp_path / 'log.csv')] == [1, 0.5, 0.25]
    with (tmp_path / 'log.csv').open() as file:
        assert next(csv.reader(file)) == ['epoch', 'step', 'loss', 'recall_at_1']
    assert list((tmp_path / 'tensorboard').glob('events.*'))
