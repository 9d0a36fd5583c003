"""Make a generator change less of an image: its last layer times a strength below 1.

    python tools/soften_generator.py GENERATOR OUT 0.7

A generator adds to each pixel's log-odds what its last layer says, so that 0.7 of it leads 0.7 of
the way: fewer accept the translation, more keypoints stay. The notes in the file say so.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from cerfevpr_core.checkpoint import load_network, save_network


def soften(file: Path, out: Path, strength: float) -> None:
    """Write the softer generator."""
    saved = load_network(file)
    state = {
        name: value * strength if name.startswith('change.') else value
        for name, value in saved.state.items()
    }
    whole = float(saved.notes.get('strength', 1.0))
    save_network(out, state, saved.settings, {**saved.notes, 'strength': whole * strength})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('generator', type=Path, metavar='GENERATOR')
    parser.add_argument('out', type=Path, metavar='OUT')
    parser.add_argument('strength', type=float)
    options = parser.parse_args()
    soften(options.generator, options.out, options.strength)


if __name__ == '__main__':
    main()
