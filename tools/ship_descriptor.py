"""Make the descriptor that the package carries of a trained one, to be fitted on each map.

    python tools/ship_descriptor.py TRAINED/latest.safetensors OUT --num-words 128 \\
        --levels 7 --token-dim 48 --word-weight 0.92 --word-images DIR ... \\
        --held-out VALIDATION/getty ... --data ... --command ... --hours ... --terms ...

The trained words and projection are left out. New words are clustered from what the trained
backbone sees in the `--word-images` that are not held out; a map moves them to its own images, and
fits its own projection. The file is in half precision and says how it came about: `safetensors`
shows that as its metadata, and docs/model_card.md says the same.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from os import walk
from pathlib import Path

import torch
from torch import Tensor

from cerfevpr_core.checkpoint import load_network, save_network
from cerfevpr_core.config import Config
from cerfevpr_core.describer import evenly
from cerfevpr_core.images import SUFFIXES, read_image, to_tensor
from cerfevpr_core.model import CerfeVPR, load_model
from cerfevpr_core.trained import settled
from cerfevpr_core.training.start import cluster
from cerfevpr_core.training.validation import held_out, read_traverse

_IMAGES = 500  # of each folder
_RADIUS_M = 4.0  # of the held-out drives; which answers are right does not matter here
_NOTES = ('data', 'command', 'hours', 'terms')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('trained', type=Path)
    parser.add_argument('out', type=Path)
    for name in _NOTES:
        parser.add_argument(f'--{name}', required=True)
    parser.add_argument('--word-weight', type=float, required=True)
    parser.add_argument('--num-words', type=int, required=True)
    parser.add_argument('--token-dim', type=int, required=True)
    parser.add_argument('--levels', type=int, nargs='+', required=True)
    parser.add_argument('--word-images', type=Path, action='append', required=True)
    parser.add_argument('--held-out', type=Path, action='append', default=[])
    options = parser.parse_args()
    saved = load_network(options.trained)
    traverses = [read_traverse(folder, _RADIUS_M) for folder in options.held_out]
    files = word_images(options.word_images, held_out(traverses))
    state = {n: v for n, v in saved.state.items() if not n.startswith('encoder.projection.')}
    state['fusion.words'] = words_of(options.trained, files, options.num_words)
    settings = saved.settings | {
        'fusion.num_words': options.num_words,
        'encoder.fitted_on': 'map',
        'fusion.levels': options.levels,
        'encoder.token_dim': options.token_dim,
        'encoder.word_weight': options.word_weight,
    }
    settings.pop('encoder.fit_images', None)  # the user's
    half = {name: value.half() for name, value in state.items()}
    notes = {name: getattr(options, name) for name in _NOTES}
    save_network(options.out, half, settings, saved.notes | notes)
    size_mb = options.out.stat().st_size / 1e6
    sys.stdout.write(
        f'{options.out}: {len(half)} tensors, {size_mb:.1f} MB, words of {len(files)} images\n'
    )


def word_images(folders: Sequence[Path], without: frozenset[Path]) -> list[Path]:
    """An even sample of each folder's images, whatever folders they lie in."""
    chosen = []
    for folder in folders:
        found = [
            Path(at) / name for at, _, names in walk(folder, followlinks=True) for name in names
        ]
        images = sorted(f for f in found if f.suffix.lower() in SUFFIXES)
        allowed = [f for f in images if f.resolve() not in without]
        chosen += [allowed[i] for i in evenly(len(allowed), _IMAGES)]
    return chosen


@torch.inference_mode()
def words_of(trained: Path, files: Sequence[Path], num_words: int) -> Tensor:
    """Centres of what the trained backbone sees in the images: (num_words, D)."""
    config = Config(method='cerfevpr')
    config = settled(replace(config, descriptor=replace(config.descriptor, weights=str(trained))))
    model = load_model(config)
    assert isinstance(model, CerfeVPR)
    size = config.backbone.image_size
    patches = []
    for file in files:
        tokens = model.backbone(to_tensor(read_image(file), size)[None])
        patches.append(model.fusion.mix(tokens.patches).half())
    return cluster(torch.cat(patches), num_words, seed=0)


if __name__ == '__main__':
    main()
