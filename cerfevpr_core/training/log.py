"""What a training says of itself: a plain CSV file, and TensorBoard."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from cerfevpr_core.training.extras import needs

Row = dict[str, float]


class TrainingLog:
    """Rows to OUT/log.csv and curves to OUT/tensorboard, at once.

    Going on at a step drops what an interrupted training wrote after it.
    """

    def __init__(self, out: Path, columns: Sequence[str], steps_done: int) -> None:
        with needs('train'):
            from torch.utils.tensorboard import SummaryWriter
        self.columns = ['epoch', 'step', *columns]
        self.file = out / 'log.csv'
        earlier = [row for row in read_log(self.file) if row['step'] <= steps_done]
        self._opened = self.file.open('w', newline='', encoding='utf-8')
        self._csv = csv.DictWriter(self._opened, self.columns, restval='')
        self._csv.writeheader()
        self._csv.writerows(
            {k: _text(v) for k, v in row.items() if k in self.columns} for row in earlier
        )
        self._board = SummaryWriter(str(out / 'tensorboard'), purge_step=steps_done + 1)

    def add(self, epoch: int, step: int, values: Row) -> None:
        """One row; what it does not name stays empty. `step` counts from the start."""
        if not values:
            return
        row: Row = {'epoch': epoch, 'step': step, **values}
        self._csv.writerow({name: _text(value) for name, value in row.items()})
        self._opened.flush()
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def __enter__(self) -> TrainingLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.close()
        self._board.close()


def read_log(file: Path) -> list[Row]:
    """The rows of a log.csv, without their empty cells; none where there is no file."""
    if not file.is_file():
        return []
    with file.open(newline='', encoding='utf-8') as opened:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(opened)]


def _text(value: float) -> str:
    return f'{value:.6g}' if value != int(value) else str(int(value))
