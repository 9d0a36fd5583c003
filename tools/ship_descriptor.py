"""Make the trained descriptor that the package carries: half precision, and how it came about.

    python tools/ship_descriptor.py TRAINED/latest.safetensors OUT --data ... --command ... \\
        --hours ... --terms ...

The notes are what `safetensors` shows as the file's metadata; docs/model_card.md says the same.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cerfevpr_core.checkpoint import load_network, save_network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('trained', type=Path)
    parser.add_argument('out', type=Path)
    for name in ('data', 'command', 'hours', 'terms'):
        parser.add_argument(f'--{name}', required=True)
    parser.add_argument('--word-weight', type=float, help='chosen on held-out places')
    options = parser.parse_args()
    saved = load_network(options.trained)
    named = {name: getattr(options, name) for name in ('data', 'command', 'hours', 'terms')}
    settings = dict(saved.settings)
    if options.word_weight is not None:
        settings['encoder.word_weight'] = options.word_weight
    half = {name: value.half() for name, value in saved.state.items()}
    save_network(options.out, half, settings, saved.notes | named)
    size_mb = options.out.stat().st_size / 1e6
    sys.stdout.write(f'{options.out}: {len(half)} tensors, {size_mb:.1f} MB\n')


if __name__ == '__main__':
    main()
