"""`cerfevpr localize` as its users and their scripts meet it."""

from __future__ import annotations

import json

import pytest
from samples import write_pictures

pytestmark = pytest.mark.usefixtures('cache')

CANDIDATE_KEYS = {
    'keyframe_id', 'external_id', 'image', 'similarity', 'landmark_similarity', 'belief',
    'probability', 'verified', 'num_inliers', 'pose', 'reject_reason',
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
        assert set(answer) == {
            'image', 'decision', 'stage_ms', 'pose', 'pose_reason', 'nowhere', 'candidates'
        }  # fmt: skip
        assert answer['decision'] == 'MATCH'
        assert set(answer['stage_ms']) == {'describe', 'search', 'sequence'}
        assert 0 < answer['nowhere'] < 1
        assert len(answer['candidates']) == 3
        for candidate in answer['candidates']:
            assert set(candidate) >= CANDIDATE_KEYS
    first = answers['images'][0]['candidates'][0]
    assert (first['keyframe_id'], first['image'], first['external_id']) == (1, '000.png', '')
    assert first['similarity'] == pytest.approx(1, abs=1e-4)
    assert first['verified'] is False
    for unknown in ('landmark_similarity', 'probability', 'num_inliers', 'pose', 'reject_reason'):
        assert first[unknown] is None


def test_images_that_are_no_sequence_are_asked_one_by_one(run, small_map, pictures, tmp_path):
    for way in (['--unordered'], ['--set', 'sequence.mode=never']):
        file = tmp_path / 'answers.json'
        assert run('localize', small_map, '--images', pictures, *way, '--json', file)[0] == 0
        for answer in json.loads(file.read_text())['images']:
            assert answer['nowhere'] is None
            assert set(answer['stage_ms']) == {'describe', 'search'}
            assert {c['belief'] for c in answer['candidates']} == {None}


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
