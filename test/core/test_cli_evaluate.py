"""`cerfevpr evaluate` as its users and their scripts meet it."""

from __future__ import annotations

import json

import pytest
from samples import TINY, write_pictures

pytestmark = pytest.mark.usefixtures('cache')

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
    for wrong in ('nonsense', 'grid+nonsense', 'nonsense+lln'):
        assert fails(*evaluate, '--methods', wrong) == (
            f'--methods {wrong}: expected some of cerfevpr, cls, gem, grid, vlad, holistic, rand, '
            'act, all, or one of them re-ranked, as cerfevpr+lln (lln, act, rand, all), and '
            '+sequence behind it'
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
