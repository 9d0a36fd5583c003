"""Lay out the validation split that chooses defaults: folders that `cerfevpr evaluate` reads.

    python tools/validation_split.py TRAIN_PLACES UNPAIRED_SEASONS OUT

TRAIN_PLACES holds the public sets getty, amos_webcams and ie_tower, UNPAIRED_SEASONS
michigan_12_months and yosemite_summer_winter. For each split OUT gets a folder with `database/`,
`queries/` (links, or small copies) and `positions.csv`. Whole cameras, floors and grounds are held
out; OUT/training has links to the other cameras and floors. No set that results are reported on
is touched. docs/results.md shows the commands that follow.
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
GAP_M = 10.0  # between the grounds to train on and those held out
HELD_OUT = 3  # every third camera and floor
SMALL_PX = (64, 32)  # width, height of the small copies


def getty(root: Path) -> list[Row]:
    """The eastern fifth of the grounds, less a strip: every other spot is a query.

    Truth is the position. A query looks the same four ways as the spots around it, so that some
    view of a near spot shows what it sees, from a few metres aside.
    """
    table = (root / 'train.csv').read_text(encoding='utf-8-sig').splitlines()
    places = {r['id']: (float(r['x']), float(r['y'])) for r in csv.DictReader(table)}
    spots = sorted({name.rpartition('_')[0] for name in places}, key=lambda s: places[f'{s}_1'])
    eastern = spots[-len(spots) // 5 :]
    edge = places[f'{eastern[0]}_1'][0] + GAP_M
    rows: list[Row] = []
    for count, spot in enumerate(s for s in eastern if places[f'{s}_1'][0] > edge):
        for file in sorted((root / 'train').glob(f'{spot}_*.jpg')):
            rows.append((file, count % 2 == 1, *places[file.stem]))
    return rows


def amos(root: Path) -> list[Row]:
    """Every third webcam: the brightest image is mapped, dark ones are the queries."""
    rows: list[Row] = []
    for place, folder in enumerate(folders(root)[::HELD_OUT]):
        files = sorted(folder.glob('*.jpg'))
        light = np.array(
            [np.asarray(Image.open(f).convert('L').resize((32, 32))).mean() for f in files]
        )
        order = np.argsort(light)
        dark = [i for i in order if 8 < light[i] < 0.5 * light[order[-1]]][::3]
        rows.append((files[order[-1]], False, APART_M * place, 0.0))
        rows += [(files[i], True, APART_M * place, 0.0) for i in dark]
    return rows


def ie_tower(root: Path) -> list[Row]:
    """Every third floor: areas of a building; five mapped images, at most three queries each."""
    rng = random.Random(0)
    floors = [folder.name for folder in folders(root)[::HELD_OUT]]
    areas: dict[tuple[str, str], dict[str, list[Path]]] = {}
    for row in csv.DictReader((root / 'dataset.csv').read_text(encoding='utf-8-sig').splitlines()):
        file = root / Path(row['image_path']).relative_to('processed_frames')
        if file.exists() and row['label'] in floors:
            split = areas.setdefault((row['label'], row['area']), {'gallery': [], 'query': []})
            split[row['split']].append(file)
    rows: list[Row] = []
    for place, key in enumerate(sorted(areas)):
        for split, count in (('gallery', 5), ('query', 3)):
            files = sorted(areas[key][split])
            chosen = rng.sample(files, min(count, len(files)))
            rows += [(f, split == 'query', APART_M * place, 0.0) for f in chosen]
    return rows


def michigan(root: Path) -> list[Row]:
    """Five views of a park: July is mapped, the seven months furthest from it are the queries."""
    rows: list[Row] = []
    for file in sorted(root.glob('*.jpg')):
        month, place = int(file.stem[:2]), int(file.stem[2:])
        if month == 7 or month not in (5, 6, 8, 9):
            rows.append((file, month != 7, APART_M * place, 0.0))
    return rows


def yosemite(root: Path) -> list[Row]:
    """Images of other places, for maps that would otherwise be too easy."""
    files = [f for name in ('testA', 'testB') for f in sorted((root / name).glob('*.jpg'))]
    return [(f, False, -APART_M * (1 + n), 0.0) for n, f in enumerate(files)]


def folders(root: Path) -> list[Path]:
    """The cameras or floors of a set."""
    return sorted(p for p in root.iterdir() if p.is_dir())


def write_rest(out: Path, root: Path) -> None:
    """Links to the cameras or floors that are left for training."""
    out.mkdir(parents=True, exist_ok=True)
    for number, folder in enumerate(folders(root)):
        link = out / folder.name
        link.unlink(missing_ok=True)
        if number % HELD_OUT:
            link.symlink_to(folder.resolve())


def write(out: Path, rows: list[Row], small: bool = False) -> None:
    """One split: links to the images, or small copies, and where they are."""
    lines = ['name,x_m,y_m']
    for file, is_query, x_m, y_m in rows:
        folder = out / ('queries' if is_query else 'database')
        folder.mkdir(parents=True, exist_ok=True)
        link = folder / f'{file.parent.name}-{file.stem}{".png" if small else file.suffix}'
        link.unlink(missing_ok=True)
        if small:
            Image.open(file).convert('RGB').resize(SMALL_PX, Image.Resampling.BICUBIC).save(link)
        else:
            link.symlink_to(file.resolve())
        lines.append(f'{link.name},{x_m},{y_m}')
    (out / 'positions.csv').write_text('\n'.join(lines) + '\n')
    num_queries = sum(row[1] for row in rows)
    sys.stdout.write(f'{out.name}: {len(rows) - num_queries} mapped, {num_queries} queries\n')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('train_places', type=Path)
    parser.add_argument('unpaired_seasons', type=Path)
    parser.add_argument('out', type=Path)
    options = parser.parse_args()
    places, seasons = options.train_places, options.unpaired_seasons
    others = yosemite(seasons / 'yosemite_summer_winter')
    write(options.out / 'getty', getty(places / 'getty'))
    write(options.out / 'ie_tower', ie_tower(places / 'ie_tower'))
    for name in ('amos_webcams', 'ie_tower'):
        write_rest(options.out / 'training' / name, places / name)
    for suffix, small in (('', False), ('_small', True)):
        write(options.out / f'amos{suffix}', amos(places / 'amos_webcams') + others, small)
        write(
            options.out / f'michigan{suffix}',
            michigan(seasons / 'michigan_12_months') + others,
            small,
        )


if __name__ == '__main__':
    main()
