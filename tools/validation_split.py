"""Lay out the validation split that chooses defaults: folders that `cerfevpr evaluate` reads.

    python tools/validation_split.py TRAIN_PLACES OUT

TRAIN_PLACES holds the public sets getty, amos_webcams and ie_tower. For each of them OUT gets a
folder with `database/`, `queries/` (links) and `positions.csv`. No set that results are reported
on is touched. docs/results.md shows the commands that follow.
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
from pathlib import Path

import numpy as np
from PIL import Image

Row = tuple[Path, bool, float, float]  # image, whether it is a query, x, y in metres

APART_M = 1000.0  # places without coordinates are put so far from each other


def getty(root: Path) -> list[Row]:
    """The eastern fifth of the grounds, held out: every other spot is a query; truth by position.

    A query looks the same four ways as the spots around it, so that some view of a near spot
    shows what it sees, from a few metres aside.
    """
    table = (root / 'train.csv').read_text(encoding='utf-8-sig').splitlines()
    places = {r['id']: (float(r['x']), float(r['y'])) for r in csv.DictReader(table)}
    spots = sorted({name.rpartition('_')[0] for name in places}, key=lambda s: places[f'{s}_1'])
    held_out = spots[-len(spots) // 5 :]
    rows: list[Row] = []
    for count, spot in enumerate(held_out):
        for file in sorted((root / 'train').glob(f'{spot}_*.jpg')):
            rows.append((file, count % 2 == 1, *places[file.stem]))
    return rows


def amos(root: Path) -> list[Row]:
    """Webcams: the brightest image of each is mapped, dark ones are the queries."""
    rows: list[Row] = []
    for place, folder in enumerate(sorted(p for p in root.iterdir() if p.is_dir())):
        files = sorted(folder.glob('*.jpg'))
        light = np.array(
            [np.asarray(Image.open(f).convert('L').resize((32, 32))).mean() for f in files]
        )
        order = np.argsort(light)
        dark = [i for i in order if 12 < light[i] < 0.5 * light[order[-1]]][:60:6]
        rows.append((files[order[-1]], False, APART_M * place, 0.0))
        rows += [(files[i], True, APART_M * place, 0.0) for i in dark]
    return rows


def ie_tower(root: Path) -> list[Row]:
    """A building: areas of its floors; five mapped images and at most three queries an area."""
    rng = random.Random(0)
    areas: dict[tuple[str, str], dict[str, list[Path]]] = {}
    for row in csv.DictReader((root / 'dataset.csv').read_text(encoding='utf-8-sig').splitlines()):
        file = root / Path(row['image_path']).relative_to('processed_frames')
        if file.exists():
            split = areas.setdefault((row['label'], row['area']), {'gallery': [], 'query': []})
            split[row['split']].append(file)
    rows: list[Row] = []
    for place, key in enumerate(sorted(areas)):
        for split, count in (('gallery', 5), ('query', 3)):
            files = sorted(areas[key][split])
            chosen = rng.sample(files, min(count, len(files)))
            rows += [(f, split == 'query', APART_M * place, 0.0) for f in chosen]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('train_places', type=Path)
    parser.add_argument('out', type=Path)
    options = parser.parse_args()
    makers = {'getty': getty, 'amos_webcams': amos, 'ie_tower': ie_tower}
    for name, maker in makers.items():
        rows = maker(options.train_places / name)
        lines = ['name,x_m,y_m']
        for file, is_query, x_m, y_m in rows:
            folder = options.out / name / ('queries' if is_query else 'database')
            folder.mkdir(parents=True, exist_ok=True)
            link = folder / f'{file.parent.name}-{file.name}'
            link.unlink(missing_ok=True)
            link.symlink_to(file.resolve())
            lines.append(f'{link.name},{x_m},{y_m}')
        (options.out / name / 'positions.csv').write_text('\n'.join(lines) + '\n')
        num_queries = sum(row[1] for row in rows)
        sys.stdout.write(f'{name}: {len(rows) - num_queries} mapped, {num_queries} queries\n')


if __name__ == '__main__':
    main()
