"""Measure trained generators: are they taken for the other condition, do they keep the place?

    python tools/measure_generators.py SPLIT [--generators DIR] [--pair summer,winter]

SPLIT is a folder made by tools/season_split.py. For both directions of each pair it prints how
many translations of the `translate` images are accepted as the other condition by classifiers
that were trained on the real `classify` images (the small CNN, which starts from nothing, on the
`train` images too), and what share of the keypoint matches survives
that a mild brightness change keeps. Images are squeezed to --size, as a map's are.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cerfevpr_core.evaluation.domain_classifiers import Classifier, logistic, small_network
from cerfevpr_core.evaluation.keypoint_matches import matches_kept
from cerfevpr_core.gan.condition import generator_file, load_generator
from cerfevpr_core.images import Image, list_images, read_image, to_tensor

PAIRS = ('summer,winter', 'day,night')


def measure(split: Path, generators: str, names: list[str], size: tuple[int, int]) -> None:
    """Print the rows of one pair of conditions."""
    real = [_read(split / 'classify' / name, size) for name in names]
    more = [_read(split / 'train' / name, size) for name in names]
    classifiers = {
        'small CNN': small_network([torch.cat(both) for both in zip(real, more, strict=True)]),
        'logistic, ViT': logistic('vit', real),
        'logistic, Lite2': logistic('lite2', real),
    }
    held_out = [_read(split / 'translate' / name, size) for name in names]
    for target, name in enumerate(names):
        source = held_out[1 - target]
        translated = _translate(source, generators, name)
        cells = [f'{names[1 - target]} -> {name}']
        for classifier in classifiers.values():
            cells.append(_accepted(classifier, translated, target))
        for kind in ('orb', 'sift'):
            counts = [
                matches_kept(_pixels(a), _pixels(b), kind)  # type: ignore[arg-type]
                for a, b in zip(source, translated, strict=True)
            ]
            kept, of = np.array(counts).T
            cells.append(f'{100 * kept.sum() / of.sum():.0f}')
        cells.append(f'{255 * (translated - source).abs().mean().item():.0f}')
        _print_row(cells)
    for target, name in enumerate(names):
        row = [_accepted(c, held_out[target], target) for c in classifiers.values()]
        _print_row([f'real {name}', *row, '', '', ''])


def _accepted(classifier: Classifier, images: Tensor, target: int) -> str:
    return f'{100 * (classifier(images) == bool(target)).mean():.0f}'


@torch.inference_mode()
def _translate(images: Tensor, generators: str, condition: str) -> Tensor:
    generator = load_generator(generator_file(condition, generators))
    return torch.cat([generator(image[None]) for image in images])


def _pixels(image: Tensor) -> Image:
    return (image.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()


def _read(folder: Path, size: tuple[int, int]) -> Tensor:
    return torch.stack([to_tensor(read_image(file), size) for file in list_images(folder)])


def _print_row(cells: list[str]) -> None:
    print('| ' + ' | '.join(cells) + ' |', flush=True)  # noqa: T201


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('split', type=Path, metavar='SPLIT')
    parser.add_argument('--generators', default='', metavar='DIR', help='default: those shipped')
    parser.add_argument('--pair', action='append', metavar='A,B', help='default: both pairs')
    parser.add_argument('--size', type=int, nargs=2, default=(224, 224), metavar=('H', 'W'))
    options = parser.parse_args()
    _print_row(
        ['%', 'small CNN', 'logistic, ViT', 'logistic, Lite2', 'ORB', 'SIFT', 'grey levels']
    )
    _print_row(['---'] * 7)
    for pair in options.pair or PAIRS:
        measure(options.split, options.generators, pair.split(','), tuple(options.size))


if __name__ == '__main__':
    main()
