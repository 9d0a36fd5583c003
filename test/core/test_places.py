"""Folders on disk become places, whatever their layout."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage
from samples import write_pictures

from cerfevpr_core.config import TrainConfig
from cerfevpr_core.data.places import Place, PlaceSet, Source, keep_overlapping, read_places
from cerfevpr_core.data.places.gsv_cities import read_gsv_cities
from cerfevpr_core.data.places.overlap import count_inliers
from cerfevpr_core.data.places.positions import Shot, group
from cerfevpr_core.errors import ConfigError, ImageError
from cerfevpr_core.geometry import Pose


def names(places) -> dict[str, list[str]]:
    return {place.name: sorted(f.name for f in place.files) for place in places.places}


def touch(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def test_each_folder_is_a_place_in_natural_order(tmp_path: Path) -> None:
    for name in ('spot10', 'spot2'):
        write_pictures(tmp_path / name, [0, 1])
    (tmp_path / 'readme.txt').touch()
    places = read_places([Source(tmp_path)], TrainConfig())
    assert names(places) == {'spot2': ['000.png', '001.png'], 'spot10': ['000.png', '001.png']}
    assert list(names(places)) == ['spot2', 'spot10']
    assert places.summary() == '2 places, 4 images'


def test_places_with_one_image_are_left_out_counted_and_said(tmp_path, caplog) -> None:
    touch(
        *(tmp_path / f'{place}/{i}.jpg' for place in 'ab' for i in range(2)), tmp_path / 'c/0.jpg'
    )
    with caplog.at_level(logging.WARNING):
        places = read_places([Source(tmp_path)], TrainConfig())
    assert set(names(places)) == {'a', 'b'}
    assert '1 places with fewer than two images' in places.summary()
    assert 'left out: 1 places with fewer than two images' in caplog.text


def test_no_places_left_is_an_error_that_counts(tmp_path: Path) -> None:
    touch(tmp_path / 'a/0.jpg', tmp_path / 'b/0.jpg')
    with pytest.raises(ConfigError, match=r'0 places with two images or more .*\(2 have fewer'):
        read_places([Source(tmp_path)], TrainConfig())


def test_a_folder_without_any_place_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match='holds no places; expected a folder with jpg or png'):
        read_places([Source(tmp_path)], TrainConfig())
    with pytest.raises(ImageError, match='cannot read the folder'):
        read_places([Source(tmp_path / 'missing')], TrainConfig())


def test_what_validation_shows_is_never_trained_on(tmp_path: Path) -> None:
    touch(*(tmp_path / f'{place}/{i}.jpg' for place in 'abc' for i in range(3)))
    held_out = frozenset({(tmp_path / 'a/0.jpg').resolve(), (tmp_path / 'b/1.jpg').resolve()})
    places = read_places([Source(tmp_path)], TrainConfig(), held_out=held_out)
    assert names(places)['a'] == ['1.jpg', '2.jpg']
    assert '2 images that the validation shows' in places.summary()


def write_poses(folder: Path, poses: dict[str, tuple[float, float, float]]) -> None:
    """Images with x, y and heading in degrees."""
    lines = []
    for name, (x, y, heading) in poses.items():
        touch(folder / name)
        yaw = np.radians(heading)
        forward, right = (np.cos(yaw), np.sin(yaw), 0), (np.sin(yaw), -np.cos(yaw), 0)
        matrix = np.eye(4)
        matrix[:3, :3] = np.array([right, (0, 0, -1), forward]).T
        quaternion = Pose.from_matrix(matrix).quaternion
        lines.append(' '.join(map(str, (name, x, y, 0, *quaternion))))
    (folder / 'poses.txt').write_text('\n'.join(lines) + '\n')


def test_traverses_of_one_frame_share_their_places(tmp_path: Path) -> None:
    write_poses(tmp_path / 'day', {'d0.jpg': (0, 0, 0), 'd1.jpg': (50, 0, 0)})
    write_poses(tmp_path / 'night', {'n0.jpg': (1, 0, 10), 'n1.jpg': (51, 0, -10)})
    places = read_places([Source(tmp_path)], TrainConfig())
    assert sorted(map(sorted, names(places).values())) == [
        ['d0.jpg', 'n0.jpg'],
        ['d1.jpg', 'n1.jpg'],
    ]


def test_images_that_look_another_way_are_another_place(tmp_path: Path) -> None:
    east = {f'e{i}.jpg': (0.1 * i, 0, 170 + 10 * i) for i in range(2)}  # across 180 degrees
    west = {f'w{i}.jpg': (0.1 * i, 0, 5 * i) for i in range(2)}
    write_poses(tmp_path, east | west | {'far.jpg': (0, 0, -170)})
    places = read_places([Source(tmp_path)], TrainConfig(max_turn_deg=25))
    assert sorted(names(places).values()) == [
        ['e0.jpg', 'e1.jpg', 'far.jpg'],
        ['w0.jpg', 'w1.jpg'],
    ]


def test_positions_without_headings_serve_too_and_images_without_are_counted(tmp_path) -> None:
    touch(*(tmp_path / f'{i}.jpg' for i in range(5)))
    rows = ['name,x_m,y_m', '0.jpg,0,0', '1.jpg,1,0', '2.jpg,90,0', '3.jpg,90,1']
    (tmp_path / 'positions.csv').write_text('\n'.join(rows))
    places = read_places([Source(tmp_path)], TrainConfig())
    assert sorted(names(places).values()) == [['0.jpg', '1.jpg'], ['2.jpg', '3.jpg']]
    assert '1 images that are listed but not there or without a position' in places.summary()


def test_a_place_is_no_wider_than_the_radius_around_its_first_image() -> None:
    shots = [Shot(Path(f'{i}.jpg'), float(i), 0.0) for i in range(10)]
    places = group(shots, TrainConfig(radius_m=1.5), 'frame')
    for place in places:
        xs = [float(f.stem) for f in place.files]
        assert max(abs(x - place.position_m[0]) for x in xs) <= 1.5
    assert sorted(f.stem for p in places for f in p.files) == [str(i) for i in range(10)]


GSV_ROWS = [  # place_id, year, month, northdeg, lat, lon, panoid
    (7, 2015, 1, 5, 38.50, -9.25, 'ab_c-D'),
    (7, 2019, 11, 350, 38.5001, -9.25, 'zz'),
    (8, 2015, 2, 90, 38.6, -9.2, 'q1'),
    (8, 2016, 2, 95, 38.6, -9.2, 'q2'),
    (8, 2017, 2, 95, 38.6, -9.2, 'gone'),
]


def write_gsv_cities(root: Path) -> Path:
    lines = ['place_id,year,month,northdeg,city_id,lat,lon,panoid']
    for place, year, month, north, lat, lon, panoid in GSV_ROWS:
        lines.append(f'{place},{year},{month},{north},Lisbon,{lat:.4f},{lon},{panoid}')
        name = f'Lisbon_{place:07}_{year:04}_{month:02}_{north:03}_{lat}_{lon}_{panoid}.jpg'
        if panoid != 'gone':
            touch(root / 'Images' / 'Lisbon' / name)
    (root / 'Dataframes').mkdir()
    (root / 'Dataframes' / 'Lisbon.csv').write_text('\n'.join(lines))
    return root


def test_gsv_cities_is_read_as_published(tmp_path: Path) -> None:
    places = read_places([Source(write_gsv_cities(tmp_path))], TrainConfig())
    assert [p.name for p in places.places] == ['Lisbon-7', 'Lisbon-8']
    assert [len(p.files) for p in places.places] == [2, 2]
    north = places.places[1].position_m[1] - places.places[0].position_m[1]
    assert north == pytest.approx(0.1 * 111_320, rel=1e-3)
    assert '1 images that are listed but not there' in places.summary()


def test_a_folder_without_gsv_tables_is_another_layout(tmp_path: Path) -> None:
    touch(tmp_path / 'a/0.jpg')
    with pytest.raises(ConfigError, match=r'no tables at .*Dataframes/CITY.csv; check --layout'):
        read_gsv_cities(tmp_path)


def test_a_gsv_table_without_its_columns_is_named(tmp_path: Path) -> None:
    write_gsv_cities(tmp_path)
    (tmp_path / 'Dataframes' / 'Lisbon.csv').write_text('place,lat\n1,2\n')
    with pytest.raises(ConfigError, match=r'Lisbon.csv: expected the columns place_id,.* found'):
        read_places([Source(tmp_path)], TrainConfig())


def write_views(folder: Path) -> PlaceSet:
    """Two views of one scene and one of another, at one position; then two of a third scene."""
    files = []
    folder.mkdir()
    for name, seed, left in (('a', 0, 0), ('b', 0, 40), ('wall', 1, 0), ('c', 2, 0), ('d', 2, 40)):
        files.append(folder / f'{name}.png')
        spots = np.random.default_rng(seed).integers(0, 256, (32, 48, 3), np.uint8)
        scene = PilImage.fromarray(spots).resize((360, 240), PilImage.Resampling.BICUBIC)
        scene.crop((left, 0, left + 320, 240)).save(files[-1])
    here, there = Place('0', tuple(files[:3]), (0, 0)), Place('1', tuple(files[3:]), (90, 0))
    return PlaceSet((here, there))


def test_images_that_do_not_overlap_their_place_are_left_out_and_counted(tmp_path: Path) -> None:
    places = keep_overlapping(write_views(tmp_path / 'views'), 8, tmp_path / 'known.json')
    assert names(places) == {'0-0': ['a.png', 'b.png'], '1-0': ['c.png', 'd.png']}
    assert '1 images without a proven overlap' in places.summary()


def test_what_was_compared_is_kept(tmp_path: Path, monkeypatch) -> None:
    views = write_views(tmp_path / 'views')
    first = keep_overlapping(views, 8, tmp_path / 'known.json')
    monkeypatch.setattr('cerfevpr_core.data.places.overlap.count_inliers', None)
    assert keep_overlapping(views, 8, tmp_path / 'known.json') == first
    (tmp_path / 'known.json').write_text('[1]')
    with pytest.raises(ConfigError, match='does not hold counted overlaps; choose another'):
        keep_overlapping(views, 8, tmp_path / 'known.json')


def test_the_overlap_of_places_without_a_position_is_their_makers_word(tmp_path: Path) -> None:
    files = write_views(tmp_path / 'views').places[0].files
    places = PlaceSet((Place('0', files), Place('1', files)))
    assert keep_overlapping(places, 8, tmp_path / 'known.json').places == places.places


def test_no_overlap_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'0 places are left of 2 whose images overlap'):
        keep_overlapping(write_views(tmp_path / 'views'), 10**6, tmp_path / 'known.json')


def test_a_place_with_views_to_several_sides_is_split(tmp_path: Path) -> None:
    views = write_views(tmp_path / 'views')
    together = Place('0', views.places[0].files + views.places[1].files, (0, 0), 'museum')
    places = keep_overlapping(PlaceSet((together,)), 8, tmp_path / 'known.json')
    assert sorted(names(places).values()) == [['a.png', 'b.png'], ['c.png', 'd.png']]
    assert {(p.position_m, p.frame) for p in places.places} == {((0, 0), 'museum')}


@pytest.mark.data
def test_views_of_real_neighbours_overlap_and_those_of_strangers_do_not(data: Path) -> None:
    folder = data / 'train_places' / 'getty' / 'train'
    near = [  # two spots 0.7 m apart whose views start at other headings
        count_inliers(folder / f'IMG4186_{i}.jpg', folder / f'IMG3391_{j}.jpg') >= 8
        for i in range(1, 5)
        for j in range(1, 5)
    ]
    far = [
        count_inliers(folder / f'IMG4186_{i}.jpg', folder / f'IMG3302_{j}.jpg') >= 8
        for i in range(1, 5)
        for j in range(1, 5)
    ]
    assert sum(near) >= 2
    assert sum(far) == 0


@pytest.mark.data
@pytest.mark.parametrize(
    ('name', 'num_places', 'num_images'),
    [
        ('getty', 250, 5900),
        ('amos_webcams', 17, 1722),
        ('ie_tower', 90, 1300),
        ('iiith_campus', 10, 30),
        ('valdes_nodes', 7, 1560),
    ],
)
def test_the_sets_at_hand_are_read(data: Path, name, num_places, num_images) -> None:
    places = read_places([Source(data / 'train_places' / name)], TrainConfig())
    assert len(places.places) >= num_places
    assert places.num_images >= num_images
    assert all(f.is_file() for p in places.places[:5] for f in p.files)
