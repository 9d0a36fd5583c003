"""Make one generator of several that one training passed through: the mean of their weights.

    python tools/mean_generator.py OUT GENERATOR GENERATOR ...

Where one was trained from the other, the mean translates more calmly than either, as the running
mean does that a training saves. The notes are those of the last, with the commands of all.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from cerfevpr_core.checkpoint import load_network, save_network
from cerfevpr_core.errors import WeightsError


def mean(files: list[Path], out: Path) -> None:
    """Write the mean generator. Raises WeightsError for generators of different sizes."""
    saved = [load_network(file) for file in files]
    shapes = [{name: value.shape for name, value in each.state.items()} for each in saved]
    for file, each in zip(files, shapes, strict=True):
        if each != shapes[0]:
            raise WeightsError(f'{file} is of another size than {files[0]}: there is no mean')
    state = {
        name: (sum(each.state[name].float() for each in saved) / len(saved)).to(value.dtype)
        for name, value in saved[0].state.items()
    }
    commands = [each.notes['command'] for each in saved]
    save_network(out, state, saved[-1].settings, {**saved[-1].notes, 'mean_of': commands})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('out', type=Path, metavar='OUT')
    parser.add_argument('generators', type=Path, metavar='GENERATOR', nargs='+')
    options = parser.parse_args()
    mean(options.generators, options.out)


if __name__ == '__main__':
    main()
