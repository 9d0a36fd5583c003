"""The command line as its users and their scripts meet it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch
from PIL import Image as PilImage
from samples import TINY, assignments, picture, tiny_settings, write_pictures, write_tiny_weights

from cerfevpr_core.cli import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv('CERFEVPR_CACHE', str(tmp_path / 'cache'))


@pytest.fixture
def run(capsys):
    """Run a command; its exit code, standard output and standard error."""

    def _run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(a) for a in arguments])
        return code, *capsys.readouterr()

    return _run


@pytest.fixture
def tiny(weights) -> list[str]:
    """--set arguments of a model that describes in milliseconds."""
    return assignments(tiny_settings(weights))


@pytest.fixture
def fails(run):
    """Run a command that meets a user's error; its one message."""

    def _fails(*arguments: object) -> str:
        code, _, err = run(*arguments)
        assert code == 2
        *before, last = err.strip().splitlines()
        start = max(i for i, line in enumerate([*before, last]) if line.startswith('error: '))
        assert 'Traceback' not in err
        return ' '.join([*before, last][start:]).removeprefix('error: ')

    return _fails


def damage(folder: Path) -> None:
    """Change one descriptor of a map."""
    import sqlite3

    connection = sqlite3.connect(folder / 'keyframes.sqlite')
    with connection:
        connection.execute('UPDATE descriptors SET crc = crc + 1 WHERE keyframe_id = 3')
    connection.close()


# Maps


def test_a_map_is_built_looked_into_checked_and_added_to(run, tiny, pictures, tmp_path):
    out = tmp_path / 'map'
    poses = tmp_path / 'poses.txt'
    poses.write_text('000 1 2 3 0 0 0 1\n')
    build = ['--images', pictures, '--out', out, '--poses', poses, '--traverse', 'day']
    code, told, _ = run('map', 'build', *build, *tiny)
    assert (code, told) == (0, f'8 keyframes -> {out}\n')

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


# Localizing

CANDIDATE_KEYS = {
    'keyframe_id', 'external_id', 'image', 'similarity', 'landmark_similarity', 'probability',
    'verified', 'num_inliers', 'pose', 'reject_reason',
}  # fmt: skip


def test_localize_prints_a_line_for_each_image(run, small_map, pictures):
    code, told, _ = run('localize', small_map, '--images', pictures)
    assert code == 0
    lines = [line.split() for line in told.splitlines()]
    assert lines == [[f'{i:03}.png', 'MATCH', f'{i:03}.png', '1.000'] for i in range(8)]


def test_localize_writes_json_as_it_is_documented(run, small_map, pictures, tmp_path):
    file = tmp_path / 'deep' / 'answers.json'
    assert run('localize', small_map, '--images', pictures, '--top-k', 3, '--json', file)[0] == 0
    answers = json.loads(file.read_text())
    assert set(answers) >= {'map', 'model_fingerprint', 'images'}
    assert answers['map'] == str(small_map)
    assert len(answers['model_fingerprint']) == 16
    assert [a['image'] for a in answers['images']] == [f'{i:03}.png' for i in range(8)]
    for answer in answers['images']:
        assert set(answer) == {'image', 'decision', 'stage_ms', 'candidates'}
        assert answer['decision'] == 'MATCH'
        assert set(answer['stage_ms']) == {'describe', 'search'}
        assert len(answer['candidates']) == 3
        for candidate in answer['candidates']:
            assert set(candidate) >= CANDIDATE_KEYS
    first = answers['images'][0]['candidates'][0]
    assert (first['keyframe_id'], first['image'], first['external_id']) == (1, '000.png', '')
    assert first['similarity'] == pytest.approx(1, abs=1e-4)
    assert first['verified'] is False
    for unknown in ('landmark_similarity', 'probability', 'num_inliers', 'pose', 'reject_reason'):
        assert first[unknown] is None


def test_localize_writes_a_report(run, small_map, pictures, tmp_path):
    code, told, _ = run('localize', small_map, '--images', pictures, '--report', tmp_path / 'page')
    assert code == 0
    assert f'report -> {tmp_path / "page" / "report.html"}' in told
    assert '000.png' in (tmp_path / 'page' / 'report.html').read_text(encoding='utf-8')


def test_localize_says_unknown_below_the_floor(run, small_map, tmp_path):
    folder = write_pictures(tmp_path / 'elsewhere', [70])
    floor = ['--set', 'map.min_similarity=0.9999']
    assert 'UNKNOWN' in run('localize', small_map, '--images', folder, *floor)[1]


def test_localize_goes_on_past_an_unreadable_image_but_not_without_any(
    run, fails, small_map, tmp_path
):
    folder = write_pictures(tmp_path / 'images', range(2))
    (folder / '000.png').write_bytes(b'not a picture')
    code, told, err = run('localize', small_map, '--images', folder)
    assert code == 0 and told.split()[:2] == ['001.png', 'MATCH'] and 'left out' in err
    (folder / '001.png').write_bytes(b'')
    text = fails('localize', small_map, '--images', folder)
    assert text == 'none of the images could be read; nothing was localized'


def test_localize_refuses_what_it_cannot_use(fails, small_map, pictures, tmp_path):
    def localize(*arguments: object) -> str:
        return fails('localize', small_map, '--images', pictures, *arguments)

    assert localize('--top-k', 0) == (
        'wrong setting map.top_k = 0: expected greater than or equal to 1'
    )
    assert 'grid.num_cells is 3, the map has 2' in localize('--set', 'grid.num_cells=3')
    assert "expected --set NAME=VALUE, found 'nonsense'" in localize('--set', 'nonsense')
    (tmp_path / 'file').write_text('')
    assert localize('--json', tmp_path / 'file' / 'a.json').startswith('cannot write ')
    assert 'no folder' in fails('localize', small_map, '--images', tmp_path / 'gone')


# Evaluating

METHOD_KEYS = {
    'name', 'descriptor_dim', 'recall', 'precision_at_full_recall', 'average_precision',
    'describe_ms_p50', 'search_ms_p50', 'rerank_ms_p50',
}  # fmt: skip


@pytest.fixture
def evaluate(pictures, tiny) -> list[object]:
    both = ['--database', pictures, '--queries', pictures]
    return ['evaluate', *both, '--frame-tolerance', 0, *tiny]


def test_evaluate_writes_json_and_a_report_as_documented(run, evaluate, pictures, tmp_path):
    file = tmp_path / 'figures.json'
    more = ['--methods', 'grid,vlad,grid', '--json', file, '--report', tmp_path / 'page']
    code, told, _ = run(*evaluate, *more)
    assert code == 0
    assert 'R@1' in told and 'vlad' in told
    figures = json.loads(file.read_text())
    assert set(figures) == {'protocol', 'methods'}
    expected = {
        'database': str(pictures),
        'queries': str(pictures),
        'num_queries': 8,
        'num_queries_without_positives': 0,
        'positives': 'frames +-0',
        'image_size': [64, 96],
        'query_batch': 1,
        'backbone': TINY,
    }
    for name, value in expected.items():
        assert figures['protocol'][name] == value
    assert [m['name'] for m in figures['methods']] == ['grid', 'vlad']
    for method in figures['methods']:
        assert set(method) >= METHOD_KEYS
        assert method['recall'] == {'1': 100, '5': 100, '10': 100, '20': 100}
        assert method['precision_at_full_recall'] == method['average_precision'] == 100
        assert method['describe_ms_p50'] > 0 and method['search_ms_p50'] > 0
    assert (tmp_path / 'page' / 'report.html').stat().st_size > 1000


def test_evaluate_counts_queries_without_a_right_answer(run, evaluate, tmp_path):
    queries = write_pictures(tmp_path / 'queries', [1, 2, 90])
    file = tmp_path / 'figures.json'
    assert run(*evaluate, '--queries', queries, '--json', file)[0] == 0
    figures = json.loads(file.read_text())
    assert figures['protocol']['num_queries'] == 3
    assert figures['protocol']['num_queries_without_positives'] == 1
    assert figures['methods'][0]['recall']['1'] == 100


def test_evaluate_by_positions(run, tiny, pictures, tmp_path):
    positions, file = tmp_path / 'positions.csv', tmp_path / 'figures.json'
    rows = ''.join(f'{i:03}.png,{10 * i},0\n' for i in range(8))
    positions.write_text(f'name,x_m,y_m\n{rows}')
    both = ['--database', pictures, '--queries', pictures]
    by = ['--radius-m', 15, '--positions', positions, '--json', file]
    assert run('evaluate', *both, *by, *tiny)[0] == 0
    assert json.loads(file.read_text())['protocol']['positives'] == 'within 15 m'


def test_evaluate_names_the_backbone_over_the_settings_file(fails, pictures, tmp_path):
    file = tmp_path / 'settings.yaml'
    file.write_text(f'backbone: {{name: {TINY}}}')
    both = ['--database', pictures, '--queries', pictures, '--frame-tolerance', 0]
    both += ['--methods', 'grid']
    text = fails('evaluate', *both, '--config', file, '--backbone', 'nonsense_net')
    assert text.startswith('backbone.name = nonsense_net: timm has no such model')


def test_evaluate_refuses_what_it_cannot_use(fails, evaluate, pictures, tmp_path):
    assert fails(*evaluate, '--methods', 'nonsense') == (
        '--methods nonsense: expected some of cerfevpr, cls, gem, grid, vlad'
    )
    assert 'leave these settings out, or choose another method' in fails(
        *evaluate, '--methods', 'cerfevpr'
    )
    assert fails(*evaluate, '--seeds', 0) == '--seeds 0: expected 1 or more'
    assert 'expected 0 or more' in fails(*evaluate, '--frame-tolerance', -1)
    assert '--positions belongs to --radius-m' in fails(*evaluate, '--positions', 'a.csv')
    elsewhere = write_pictures(tmp_path / 'elsewhere', [90])
    text = fails(*evaluate, '--queries', elsewhere)
    assert text.startswith(f'no query has a right answer in {pictures} (frames +-0)')
    assert 'holds no images' in fails(*evaluate, '--queries', tmp_path)


# Weights


def test_weights_are_listed_and_imported(run, fails, tmp_path):
    file = write_tiny_weights(tmp_path / 'mine.safetensors')
    kept = tmp_path / 'cache' / f'{TINY}.safetensors'
    code, told, _ = run('weights', 'import', TINY, file)
    assert (code, told) == (0, f'{TINY}: from {file} -> {kept}\n')
    code, told, _ = run('weights', 'list')
    assert code == 0
    for name in ('tf_efficientnet_lite0.in1k', 'vit_base_patch14_dinov2.lvd142m', TINY):
        assert name in told
    assert 'would come from' in told and 'Apache-2.0' in told

    safetensors.torch.save_file({'a': torch.zeros(1)}, tmp_path / 'other.safetensors')
    assert 'do not fit' in fails('weights', 'import', TINY, tmp_path / 'other.safetensors')
    assert 'no weights at' in fails('weights', 'import', TINY, tmp_path / 'gone.pth')
    assert 'timm has no such model' in fails('weights', 'import', 'nonsense_net', file)


def test_imported_weights_are_those_that_are_used(run, tiny, pictures, weights, tmp_path):
    assert run('weights', 'import', TINY, weights)[0] == 0
    out = tmp_path / 'map'
    build = ['map', 'build', '--images', pictures, '--out', out, *tiny]
    assert run(*build, '--set', 'backbone.weights=')[0] == 0
    assert run('localize', out, '--images', pictures)[0] == 0


# Drawing


def test_a_drawn_street_has_what_a_map_wants(run, fails, tiny, tmp_path):
    street = tmp_path / 'street'
    assert run('draw', '--out', street, '--frames', 3)[0] == 0
    extras = ['--poses', street / 'poses.txt', '--camera', street / 'camera.yaml']
    images = next(f.parent for f in sorted(street.rglob('*')) if f.suffix in ('.jpg', '.png'))
    code, _, _ = run('map', 'build', '--images', images, '--out', tmp_path / 'map', *extras, *tiny)
    assert code == 0
    assert '3 (3 with a pose)' in run('map', 'info', tmp_path / 'map')[1]


# The program as a whole


def test_what_cannot_be_parsed_shows_how_it_is_used(capsys):
    for arguments in ([], ['nonsense'], ['localize'], ['map', 'build', '--images', 'a']):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
        assert capsys.readouterr().err.startswith('usage: cerfevpr')


def test_an_error_of_ours_is_not_hidden(monkeypatch, small_map):
    def broken(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr('cerfevpr_core.cli.maps.KeyframeStore.open', broken)
    with pytest.raises(ZeroDivisionError):
        main(['map', 'info', str(small_map)])


def program(*arguments: object, **more) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, '-m', 'cerfevpr_core', *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        **more,
    )


@pytest.mark.slow
def test_an_error_of_the_program_is_one_line_and_exit_code_2(tmp_path):
    process = program('map', 'info', tmp_path / 'gone', stdout=subprocess.PIPE)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert out == '' and err.startswith('error: no map at ') and err.count('\n') == 1


@pytest.mark.slow
def test_a_build_that_is_interrupted_exits_with_130_and_leaves_nothing(tiny, tmp_path):
    folder = tmp_path / 'images'
    folder.mkdir()
    large = PilImage.fromarray(picture(0, 1200, 1600))
    large.save(folder / '000.png')
    for number in range(1, 400):
        os.link(folder / '000.png', folder / f'{number:03}.png')
    out = tmp_path / 'map'
    process = program('map', 'build', '--images', folder, '--out', out, *tiny)
    deadline = time.monotonic() + 60
    while not (tmp_path / 'map.partial').exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert err.strip().endswith('interrupted') and 'Traceback' not in err
    assert [f.name for f in tmp_path.iterdir()] == ['images']


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_error(small_map):
    reader, writer = os.pipe()
    os.close(reader)
    process = program('map', 'info', small_map, stdout=writer)
    os.close(writer)
    err = process.communicate(timeout=120)[1]
    assert (process.returncode, err) == (128 + signal.SIGPIPE, '')


def test_the_program_is_installed_under_its_name():
    program = shutil.which('cerfevpr', path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip('not installed beside this Python')
    assert os.access(program, os.X_OK)
