"""The report as a browser would read it: what is in it, what is left out, and what it fetches."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage
from report_pages import Page, diagonal, image_files, pair, picture, result, written

from cerfevpr_core.errors import ConfigError
from cerfevpr_core.evaluation.evaluate import MethodResult
from cerfevpr_core.evaluation.metrics import score
from cerfevpr_core.evaluation.pairs import first_correct, jpeg_of, pairs_from, write_match_sheet
from cerfevpr_core.evaluation.protocol import Positives, positives_by_radius
from cerfevpr_core.evaluation.report import (
    BigNumber,
    Pair,
    Report,
    Route,
    report_from_evaluation,
    write_report,
)
from cerfevpr_core.evaluation.style import milliseconds


@pytest.fixture(scope='module')
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp('images')
    right = diagonal()
    right[3] = False  # a query that the database does not show
    results = [result(right), result(right, 'vlad', 1)]
    database, queries = image_files(folder / 'map', 30), image_files(folder / 'queries', 24)
    return report_from_evaluation(
        results, database, queries, Positives(right, 'frames +-1'), 'night in day',
        facts=[('model fingerprint', 'abc123')], settings={'map.top_k': 5}, command='cerfevpr x',
    )  # fmt: skip


@pytest.fixture(scope='module')
def page(evaluation: Report, tmp_path_factory: pytest.TempPathFactory) -> Page:
    return written(evaluation, tmp_path_factory.mktemp('page'))


def test_everything_is_in_the_file_and_nothing_is_fetched(page: Page) -> None:
    assert 'http' not in page.html and '@import' not in page.html and 'url(//' not in page.html
    for tag, found in page.elements:
        assert found.get('src', 'data:').startswith('data:'), tag
        assert found.get('href', '#').startswith(('#', 'data:')), tag


def test_every_image_has_alt_text_and_decodes(page: Page) -> None:
    images = page.all('img')
    assert len(images) >= 2 * 24
    for found in images:
        assert found['alt'].strip() and found['loading'] == 'lazy'
        jpeg = base64.b64decode(found['src'].removeprefix('data:image/jpeg;base64,'))
        assert max(PilImage.open(io.BytesIO(jpeg)).convert('RGB').size) <= 320
    plots = page.all('svg')
    assert len(plots) == 6 and all(len(found['aria-label']) > 20 for found in plots)


def test_no_id_is_used_twice_and_every_reference_has_its_target(page: Page) -> None:
    ids = [found['id'] for _, found in page.elements if 'id' in found]
    assert len(ids) == len(set(ids))
    links = [found['href'][1:] for _, found in page.elements if found.get('href', '')[:1] == '#']
    assert links and set(links) <= set(ids)


def test_right_and_wrong_pairs_are_counted_as_given(tmp_path: Path) -> None:
    pairs = [pair(True)] * 5 + [pair(False, truth_jpeg=jpeg_of(picture()))] * 3 + [pair(None)] * 2
    page = written(Report('t', pairs=pairs), tmp_path)
    for state, count in (('right', 5), ('wrong', 3), ('unknown', 2)):
        assert len(page.all('li', class_=state)) == count
        assert any(text.endswith(f' {count}') for text in page.texts if state in text)
    assert len(page.all('figure', class_='truth')) == 3
    assert page.texts.count('✓ right') == 5 and page.texts.count('✗ wrong') == 3


def test_numbers_stand_as_they_were_formatted(tmp_path: Path) -> None:
    numbers = [BigNumber('recall@1', '97.50 %', 'grid'), ('answered', '160 / 160', '')]
    page = written(Report('t', numbers=numbers), tmp_path)
    assert {'97.50 %', '160 / 160', 'grid'} <= set(page.texts)


def test_the_table_shows_each_method_and_marks_the_best_of_a_column(
    evaluation: Report, page: Page
) -> None:
    for method in evaluation.methods:
        assert method.name in page.texts
        for value in (*method.scores.recall.values(), method.scores.average_precision):
            assert f'{value:.1f}' in page.texts
    assert page.all('b', class_='best')


def test_a_single_method_is_not_called_the_best(tmp_path: Path) -> None:
    page = written(Report('t', methods=[result(diagonal())]), tmp_path)
    assert not page.all('b', class_='best')


@pytest.mark.parametrize('part', ['methods', 'places', 'matches', 'times'])
def test_a_part_that_is_missing_is_left_out(part: str, page: Page, tmp_path: Path) -> None:
    assert part in page.ids() and page.all('a', href=f'#{part}')
    bare = written(Report('only a title'), tmp_path)
    assert part not in bare.ids() and not bare.all('a', href=f'#{part}')
    assert not bare.all('svg') and not bare.all('img') and not bare.all('button')


def test_names_are_shown_and_never_run(tmp_path: Path) -> None:
    name = '<script>alert(1)</script> & "x" $a_b$.jpg'
    method = result(diagonal(), name)
    report = Report(
        name, name, [(name, name, name)], [method], diagonal(), [pair(True, name, note=name)],
        stage_ms={name: [1.0, 2.0]}, facts=[(name, name)], settings={name: name}, command=name,
    )  # fmt: skip
    page = written(report, tmp_path)
    assert '<script>alert' not in page.html
    assert page.texts.count(name) >= 8 and f'query: {name}' in [i['alt'] for i in page.all('img')]


def test_large_pictures_are_shrunk(tmp_path: Path) -> None:
    large = jpeg_of(picture(900, 1200), longest_px=1200)
    shown = Pair('q', large, 'm', large, None, None)
    page = written(Report('t', pairs=[shown]), tmp_path)
    for found in page.all('img'):
        jpeg = base64.b64decode(found['src'].split(',')[1])
        assert PilImage.open(io.BytesIO(jpeg)).size == (320, 240)


def test_an_image_without_a_match_has_an_empty_frame(tmp_path: Path) -> None:
    page = written(
        Report('t', pairs=[Pair('q', jpeg_of(picture()), 'no candidate', b'', None, None)]),
        tmp_path,
    )
    assert len(page.all('img')) == 1 and len(page.all('div', class_='blank')) == 1


def test_positions_choose_the_picture_from_above(tmp_path: Path) -> None:
    xy = np.stack([np.linspace(0, 50, 30), np.zeros(30)], axis=1)
    matched, correct = np.arange(24), [True] * 20 + [False, None, None, False]
    matched[-1] = -1  # not matched at all
    plain = Route(matched, correct, 30)
    above = Route(matched, correct, 30, xy, xy[:24])
    assert 'matched keyframe' in written(Report('t', route=plain), tmp_path).texts
    similarity = np.zeros((24, 30), np.float32)
    page = written(Report('t', route=above, similarity=similarity), tmp_path)
    assert 'x (m)' in page.texts and 'matched keyframe' not in page.texts
    page = written(Report('t', route=above), tmp_path)
    assert {'x (m)', 'y (m)', 'right', 'wrong', 'truth unknown'} <= set(page.texts)


def test_a_query_without_a_true_keyframe_is_not_called_unknown(page: Page) -> None:
    assert '– no true keyframe' in page.texts and '– no true keyframe 1' in page.texts
    assert 'truth unknown' not in page.html
    assert 'queries; 1 more without a true keyframe' in page.texts


def test_positions_of_the_rule_reach_the_page(evaluation: Report, tmp_path: Path) -> None:
    folder = image_files(tmp_path / 'map', 4)
    names = [file.name for file in folder]
    csv = tmp_path / 'positions.csv'
    csv.write_text('name,x_m,y_m\n' + ''.join(f'{n},{3 * i},0\n' for i, n in enumerate(names)))
    positives = positives_by_radius(names, names, 4, csv)
    assert positives.right.sum() == 10
    report = report_from_evaluation([result(positives.right)], folder, folder, positives, '')
    assert 'x (m)' in written(report, tmp_path).texts


def test_the_latency_counts_re_ranking(tmp_path: Path) -> None:
    right, files = diagonal(), image_files(tmp_path / 'images', 30)
    slow = replace(result(right), rerank_ms=[1000.0] * 24)
    report = report_from_evaluation([slow], files, files[:24], Positives(right, ''), '')
    [latency] = [n for n in report.numbers if n[0] == 'latency']
    assert float(latency[1].split()[0].replace(',', '')) > 1000


def test_the_measures_are_explained_beside_the_table(page: Page) -> None:
    for term in ('recall@K', 'precision at full recall', 'average precision'):
        assert term in page.texts


def test_a_similarity_matrix_needs_neither_route_nor_truth(tmp_path: Path) -> None:
    similarity = np.random.default_rng(0).random((700, 1300)).astype(np.float32)
    page = written(Report('t', similarity=similarity), tmp_path)
    assert page.all('image') and 'similarity (cosine)' in page.texts
    assert len(page.html) < 3_000_000


def test_wrong_pairs_come_first_with_the_true_keyframe(evaluation: Report) -> None:
    right, pairs = evaluation.right, evaluation.pairs
    assert right is not None and pairs is not None
    best = max(evaluation.methods, key=lambda m: m.scores.recall[1])
    _, correct = first_correct(best, right)
    states = [p.correct for p in pairs]
    assert states == sorted(states, key=[False, None, True].index)
    assert [states.count(v) for v in (True, False, None)] == [
        correct.count(v) for v in (True, False, None)
    ]
    for shown in pairs:
        assert (shown.truth_jpeg is not None) == (shown.correct is False)
        if shown.correct is False:
            assert right[int(shown.query_name[-7:-4]), int(shown.truth_name[-7:-4])]


def test_pairs_are_sampled_evenly_over_the_queries(tmp_path: Path) -> None:
    right = np.eye(24, dtype=bool)
    similarity = right.astype(np.float32)
    ranked = np.argsort(-similarity, axis=1, kind='stable')
    perfect = MethodResult(
        'x', 8, score(ranked, similarity[:, 0], right), ranked, similarity, [], []
    )
    files = image_files(tmp_path / 'images', 24)
    pairs = pairs_from(perfect, files, files, right, max_right=4)
    assert [int(p.query_name[-7:-4]) for p in pairs] == [0, 8, 15, 23]


def test_a_report_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(ConfigError, match='choose another folder'):
        write_report(Report('t'), tmp_path / 'file' / 'report.html')


def test_the_match_sheet_is_as_wide_as_asked(tmp_path: Path) -> None:
    pairs = [pair(True, 'a-very-long-name-of-an-image-in-a-deep-folder-000123.jpg'), pair(False)]
    write_match_sheet([*pairs, pair(None), pair(True)], tmp_path / 'sheet.png', columns=3)
    sheet = PilImage.open(tmp_path / 'sheet.png')
    assert sheet.width == 1200 and 200 < sheet.height < 800


@pytest.mark.parametrize(
    ('value', 'told'), [(0.0342, '0.0342 ms'), (12.34, '12.3 ms'), (1130.4, '1,130 ms')]
)
def test_a_time_is_told_in_digits(value, told):
    assert milliseconds(value) == told
