"""Make one generator of several that one training passed through: the mean of their weights.

    python tools/mean_generator.py OUT GENERATOR=8 GENERATOR=1 ...

Where one was trained from the other, the mean translates more calmly than either, as the running
mean does that a training saves. The notes are those of the first, with the commands and the
shares of all.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from cerfevpr_core.checkpoint import load_network, save_network
from cerfevpr_core.errors import WeightsError


def mean(shares: dict[Path, float], out: Path) -> None:
    """Write the mean generator. Raises WeightsError for generators of different sizes."""
    files = list(shares)
    saved = [load_network(file) for file in files]
    total = sum(shares.values())
    shapes = [{name: value.shape for name, value in each.state.items()} for each in saved]
    for file, each in zip(files, shapes, strict=True):
        if each != shapes[0]:
            raise WeightsError(f'{file} is of another size than {files[0]}: there is no mean')
    state = {}
    for name, value in saved[0].state.items():
        parts = [
            w * each.state[name].float() for w, each in zip(shares.values(), saved, strict=True)
        ]
        state[name] = torch.stack(parts).sum(0).div(total).to(value.dtype)
    made_of = [[each.notes['command'], w] for each, w in zip(saved, shares.values(), strict=True)]
    save_network(out, state, saved[0].settings, {**saved[0].notes, 'mean_of': made_of})


def _share(text: str) -> tuple[Path, float]:
    file, weight = text.rsplit('=', 1)
    return Path(file), float(weight)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('out', type=Path, metavar='OUT')
    parser.add_argument('shares', type=_share, metavar='GENERATOR=WEIGHT', nargs='+')
    options = parser.parse_args()
    mean(dict(options.shares), options.out)


if __name__ == '__main__':
    main()
