"""`cerfevpr map` and `cerfevpr draw` as their users and their scripts meet them."""

from __future__ import annotations

from pathlib import Path

import pytest
from maps import sql
from samples import TINY, write_pictures

pytestmark = pytest.mark.usefixtures('cache')


def damage(folder: Path) -> None:
    """Change one descriptor of a map."""
    sql(folder, 'UPDATE descriptors SET crc = crc + 1 WHERE keyframe_id = 3')


def test_a_map_is_built_looked_into_checked_and_added_to(run, tiny, pictures, tmp_path):
    out = tmp_path / 'map'
    poses = tmp_path / 'poses.txt'
    poses.write_text('000 1 2 3 0 0 0 1\n')
    build = ['--images', pictures, '--out', out, '--poses', poses, '--traverse', 'day']
    code, told, _ = run('map', 'build', *build, *tiny)
    assert (code, told.splitlines()[0]) == (0, f'8 keyframes -> {out}')

    code, told, _ = run('map', 'info', out)
    rows = dict(
        line.split(maxsplit=1) for line in told.splitlines() if not line.startswith('map id')
    )
    assert code == 0
    assert rows['keyframes'] == '8 (1 with a pose)'
    assert (rows['traverses'], rows['method'], rows['backbone']) == ('day', 'grid', TINY)
    assert rows['descriptor'] == '768 dimensions'

    assert run('map', 'check', out)[:2] == (0, f'{out}: 8 keyframes, no damage found\n')

    more = write_pictures(tmp_path / 'night', range(20, 22))
    code, told, _ = run('map', 'add', out, '--images', more, '--traverse', 'night')
    assert (code, told) == (0, f'2 keyframes added, 10 in {out}\n')
    assert 'day, night' in run('map', 'info', out)[1]


def test_looking_into_a_map_changes_nothing_in_it(run, small_map):
    before = {f.name: f.read_bytes() for f in small_map.iterdir()}
    run('map', 'info', small_map)
    run('map', 'check', small_map)
    assert {f.name: f.read_bytes() for f in small_map.iterdir()} == before


def test_check_finds_damage_and_says_so_by_its_exit_code(run, small_map):
    damage(small_map)
    code, told, _ = run('map', 'check', small_map)
    assert code == 1
    assert told == 'keyframe 3: its descriptor has changed since it was written\n'
    (small_map / 'index.faiss').unlink()
    assert run('map', 'check', small_map)[0] == 1  # also where the index is gone
    file = small_map / 'keyframes.sqlite'
    file.write_bytes(file.read_bytes()[:10000])
    code, told, _ = run('map', 'check', small_map)
    assert code == 1 and told


def test_a_folder_that_is_no_map_is_an_error(fails, small_map, pictures, tmp_path):
    for command in (
        ['map', 'info', tmp_path / 'gone'],
        ['map', 'check', tmp_path / 'gone'],
        ['map', 'add', tmp_path / 'gone', '--images', pictures],
        ['localize', tmp_path / 'gone', '--images', pictures],
    ):
        assert fails(*command).startswith(f'no map at {tmp_path / "gone"}: it does not exist')
    (small_map / 'index.faiss').unlink()
    damage(small_map)
    assert 'the descriptor of keyframe 3 has changed' in fails(
        'localize', small_map, '--images', pictures
    )


def test_a_build_refuses_what_it_cannot_use(fails, tiny, pictures, small_map, tmp_path):
    def build(*arguments: object) -> str:
        return fails('map', 'build', '--out', tmp_path / 'map', *tiny, *arguments)

    gone = tmp_path / 'gone'
    assert build('--images', gone) == f'no folder {gone}; check the path'
    assert 'cannot read' in build('--images', pictures, '--poses', gone)
    assert 'cannot read' in build('--images', pictures, '--camera', gone)
    assert 'cannot read the settings file' in build('--images', pictures, '--config', gone)
    assert build('--images', pictures, '--topic', '/image').startswith('--topic belongs to --bag')
    assert build('--images', pictures, '--set', 'map.topk=3') == (
        'unknown setting map.topk, did you mean map.top_k?'
    )
    assert 'exists and is not empty; choose another --out' in build(
        '--images', pictures, '--out', small_map
    )
    assert not (tmp_path / 'map').exists()


def test_a_trained_descriptor_that_is_not_there_is_named(fails, pictures, tmp_path):
    build = ['map', 'build', '--images', pictures, '--out', tmp_path / 'map']
    there = ['--set', 'method=cerfevpr', '--set', 'descriptor.weights=nowhere.safetensors']
    text = fails(*build, *there)
    assert text == 'no trained network at nowhere.safetensors; check the path'
    assert not (tmp_path / 'map').exists()


def test_images_of_another_model_are_not_added(fails, small_map, pictures):
    text = fails('map', 'add', small_map, '--images', pictures, '--set', 'grid.num_cells=3')
    assert 'grid.num_cells is 3, the map has 2' in text


def test_unreadable_images_are_named_and_counted(run, tiny, tmp_path):
    folder = write_pictures(tmp_path / 'images', range(3))
    (folder / '001.png').write_bytes(b'not a picture')
    code, told, err = run('map', 'build', '--images', folder, '--out', tmp_path / 'map', *tiny)
    assert code == 0
    assert told.startswith('2 keyframes -> ') and '(1 unreadable images left out' in told
    assert 'left out' in err and '001.png' in ''.join(err.split())


def test_a_drawn_street_has_what_a_map_wants(run, fails, tiny, tmp_path):
    street = tmp_path / 'street'
    assert run('draw', '--out', street, '--frames', 3)[0] == 0
    extras = ['--poses', street / 'poses.txt', '--camera', street / 'camera.yaml']
    images = next(f.parent for f in sorted(street.rglob('*')) if f.suffix in ('.jpg', '.png'))
    code, _, _ = run('map', 'build', '--images', images, '--out', tmp_path / 'map', *extras, *tiny)
    assert code == 0
    assert '3 (3 with a pose)' in run('map', 'info', tmp_path / 'map')[1]


def test_maps_are_merged_described_again_and_cut_down(run, fails, tiny, pictures, tmp_path):
    maps = [tmp_path / name for name in ('day', 'night')]
    for out in maps:
        run('map', 'build', '--images', pictures, '--out', out, '--traverse', out.name, *tiny)
    both = tmp_path / 'both'
    code, told, _ = run('map', 'merge', *maps, '--out', both)
    assert (code, told) == (0, f'16 keyframes of 2 maps -> {both}\n')
    assert 'nothing to merge' in fails('map', 'merge', maps[0], '--out', tmp_path / 'c')

    code, told, _ = run('map', 'remove', both, '--ids', 1, 3, 3)
    assert (code, told) == (0, f'2 keyframes removed, 14 left in {both}\n')
    assert 'no keyframe 3; nothing changed' in fails('map', 'remove', both, '--ids', 2, 3)
    assert 'no keyframe with the external id' in fails('map', 'remove', both, '--external-id', 'a')
    assert "no traverse 'dusk'" in fails('map', 'remove', both, '--traverse', 'dusk')
    assert run('map', 'remove', both, '--traverse', 'night')[0] == 0
    rows = run('map', 'info', both)[1]
    assert 'traverses    day\n' in rows and 'fitted       nothing\n' in rows
    assert 'calibration  none\n' in rows

    new = tmp_path / 'new'
    code, told, err = run('map', 'reembed', both, '--out', new, '--set', 'method=gem')
    assert (code, told) == (0, f'6 keyframes described again -> {new}\n')
    assert '6 of 6 keyframes were described from their thumbnails' in err
    assert run('map', 'check', new)[0] == 0
    assert 'cannot be compared' not in fails('map', 'merge', both, new, '--out', tmp_path / 'c')
