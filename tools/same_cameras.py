"""Look for images of a training set in an evaluation set: public webcams appear in several.

    python tools/same_cameras.py TRAINING EVALUATION [--per-folder 6]

Compares some images of each folder below TRAINING with every image below EVALUATION, by SIFT
matches that agree on one affine motion, and prints the pairs with most of them. The same camera
gives dozens by day; different places a handful.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from cerfevpr_core.data.places.folders import images_of, subfolders
from cerfevpr_core.data.places.overlap import count_inliers
from cerfevpr_core.images import read_image

SUSPICIOUS = 10  # inliers


def brightest(folder: Path, count: int) -> list[Path]:
    """Images by day, spread over the brighter half."""
    files = images_of(folder)
    by_light = sorted(files, key=lambda f: float(read_image(f)[::8, ::8].mean()))
    by_light = by_light[len(files) // 2 :]
    return [by_light[int(i)] for i in np.linspace(0, len(by_light) - 1, count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('training', type=Path)
    parser.add_argument('evaluation', type=Path)
    parser.add_argument('--per-folder', type=int, default=3)
    options = parser.parse_args()
    evaluation = [f for folder in subfolders(options.evaluation) for f in images_of(folder)]
    found: list[tuple[int, str, str]] = []
    chosen = [f for d in subfolders(options.training) for f in brightest(d, options.per_folder)]
    for other in evaluation:
        for file in chosen:
            inliers = count_inliers(other, file)
            found.append((inliers, f'{file.parent.name}/{file.name}', other.name))
    found.sort(reverse=True)
    num_suspicious = sum(inliers >= SUSPICIOUS for inliers, _, _ in found)
    sys.stdout.write(f'{len(found)} pairs, {num_suspicious} with {SUSPICIOUS} inliers or more\n')
    for inliers, file, other in found[:10]:
        sys.stdout.write(f'{inliers:3} {file} {other}\n')


if __name__ == '__main__':
    main()
