"""Make a network that the package carries of a trained one, in half precision.

    python tools/ship_network.py TRAINED/best.safetensors OUT \\
        --data ... --command ... --hours ... --terms ...

The file says how it came about: `safetensors` shows that as its metadata, and the model
cards in docs say the same.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cerfevpr_core.checkpoint import load_network, save_network

_NOTES = ('data', 'command', 'hours', 'terms')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('trained', type=Path)
    parser.add_argument('out', type=Path)
    for name in _NOTES:
        parser.add_argument(f'--{name}', required=True)
    options = parser.parse_args()
    saved = load_network(options.trained)
    half = {name: value.half() for name, value in saved.state.items()}
    notes = {name: getattr(options, name) for name in _NOTES}
    settings = dict(saved.settings)
    settings.pop('encoder.fit_images', None)  # the user's
    save_network(options.out, half, settings, saved.notes | notes)
    size_mb = options.out.stat().st_size / 1e6
    sys.stdout.write(f'{options.out}: {len(half)} tensors, {size_mb:.1f} MB\n')


if __name__ == '__main__':
    main()
