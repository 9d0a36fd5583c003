"""Ablations: versions that really differ, trained alike, measured honestly, gone on with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from samples import assignments, tiny_settings, write_places, write_tiny_weights, write_traverse

from cerfevpr_core.ablation.compare import compare
from cerfevpr_core.ablation.dimensions import Pca, fit_pca
from cerfevpr_core.ablation.measure import counts, difference, recalls, standard_error
from cerfevpr_core.ablation.page import table
from cerfevpr_core.ablation.versions import Versions, build, chosen, placements, stages
from cerfevpr_core.backbone import Tokens
from cerfevpr_core.checkpoint import save_network
from cerfevpr_core.cli import main
from cerfevpr_core.config import Config, load_config
from cerfevpr_core.data.places import Source, read_places
from cerfevpr_core.encoder import RobustEncoder
from cerfevpr_core.errors import ConfigError, TrainingError
from cerfevpr_core.fusion import PyramidFusion
from cerfevpr_core.gan.generator import Generator
from cerfevpr_core.projection import MapProjection
from cerfevpr_core.training.descriptor import Watch
from cerfevpr_core.training.validation import ranks_of, read_traverse

VIT = 'vit_tiny_patch16_224'
ADAPTED = ('serial_lka', 'serial_parallel_lka', 'serial_parallel_va', 'serial_va_parallel_lka')


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variants are cached in a folder of the test's own."""
    monkeypatch.setenv('CERFEVPR_CACHE', str(tmp_path / 'cache'))


@pytest.fixture
def generators(tmp_path: Path) -> str:
    """A folder with a generator that darkens."""
    generator = Generator(4, 1)
    torch.nn.init.constant_(generator.change.bias[3:], -2.0)
    made_of = {'gan.num_filters': 4, 'gan.num_blocks': 1}
    save_network(tmp_path / 'nets' / 'night.safetensors', generator.state_dict(), made_of)
    return str(tmp_path / 'nets')


@pytest.fixture(scope='session')
def vit_weights(tmp_path_factory) -> Path:
    return write_tiny_weights(tmp_path_factory.mktemp('vit') / 'vit.safetensors', name=VIT)


def tiny(weights: Path, **more: object) -> dict[str, object]:
    named = {
        'runtime.device': 'cpu',
        'backbone.image_size': [64, 64],
        'adapters.placement': 'none',
        'fusion.levels': [2],
        'fusion.num_words': 3,
        'encoder.num_layers': 1,
        'encoder.num_heads': 2,
        'encoder.ffn_dim': 16,
        'encoder.token_dim': 4,
        'encoder.descriptor_dim': 16,
        'train.num_places': 3,
        'train.images_per_place': 2,
        'train.epochs': 1,
        'train.learning_rate': 1e-3,
    }
    changed = {name.replace('__', '.'): value for name, value in more.items()}
    return tiny_settings(weights) | named | changed


@pytest.fixture
def config(weights: Path, generators: str) -> Config:
    """Settings in which every version differs from every other."""
    with_night = {'variants__conditions': ['night'], 'variants__generators': generators}
    return load_config(overrides=tiny(weights, **with_night))


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """Places to learn from and a traverse of others to measure on."""
    spots = write_places(tmp_path / 'spots')
    others = write_places(tmp_path / 'others', 8)
    for folder in list(others.iterdir())[:4]:  # not the places that are learned from
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    return {'places': spots, 'held_out': write_traverse(tmp_path / 'held_out', others)}


@pytest.fixture
def run(folders: dict[str, Path], tmp_path: Path):
    def start(versions: Versions, config: Config, out: str = 'out', watch: Watch | None = None):
        places = read_places([Source(folders['places'])], config.train)
        traverses = [read_traverse(folders['held_out'], 5.0)]
        return compare(
            'stages',
            config,
            versions,
            places,
            traverses,
            tmp_path / out,
            command='cerfevpr ablate stages',
            watch=watch or Watch(),
        )

    return start


def test_every_stage_is_missing_in_one_version(config: Config) -> None:
    versions = stages(config)
    found = {row.name: counts(build(row), row.config) for row in versions.rows}
    assert versions.left_out == {}
    assert {name: row['num_tokens'] for name, row in found.items()} == {
        'full': 8,
        'without_variants': 8,
        'without_pyramid': 4,
        'without_words': 5,
        'cls_alone': 1,
        'without_encoder': 8,
    }
    assert [name for name, row in found.items() if row['num_variants'] == 1] == [
        'without_variants'
    ]
    tunable = {name: row['num_tunable'] for name, row in found.items()}
    # Cells have no parameters of their own: they share the fusion's convolution with the words.
    assert tunable['without_variants'] == tunable['without_pyramid'] == tunable['full']
    assert len(set(tunable.values())) == 4
    assert max(tunable.values()) == tunable['full']


def test_a_version_without_its_encoder_has_no_attention(config: Config) -> None:
    rows = {row.name: row for row in stages(config).rows}
    assert len(build(rows['full']).encoder.layers) == 1
    assert len(build(rows['without_encoder']).encoder.layers) == 0
    assert rows['without_encoder'].differs == {'encoder.num_layers': 0}


def test_what_the_settings_do_not_have_cannot_be_left_out(weights: Path) -> None:
    plain = load_config(overrides=tiny(weights, fusion__num_words=0))
    versions = stages(plain)
    names = ['full', 'without_pyramid', 'without_encoder']
    assert [row.name for row in versions.rows] == names
    assert versions.left_out == {
        'without_variants': 'with these settings it is full again',
        'without_words': 'with these settings it is full again',
        'cls_alone': 'with these settings it is without_pyramid again',
    }


@pytest.mark.parametrize(
    ('recipe', 'sizes'),
    [
        (
            'cerfevpr',
            {'full': 1024, 'without_pyramid': 1024, 'without_words': 1024, 'cls_alone': 48},
        ),
        ('paper', {'full': 10752, 'without_pyramid': 768}),
    ],
)
def test_the_recipes_can_be_ablated(recipe: str, sizes: dict[str, int]) -> None:
    config = load_config(Path(__file__).parents[2] / 'config' / f'{recipe}.yaml')
    found = {}
    for row in stages(config).rows:
        fusion = PyramidFusion(row.config.fusion, 48)
        few = replace(row.config.encoder, ffn_dim=16)
        encoder = RobustEncoder(few, fusion.num_tokens, 48, fusion.num_cells).eval()
        fused = fusion(Tokens(torch.randn(1, 48), torch.randn(1, 48, 8, 8)))
        if isinstance(encoder.projection, MapProjection):
            encoder.projection.fit(fused)
        assert encoder(fused[None]).shape == (1, encoder.descriptor_dim)
        found[row.name] = encoder.descriptor_dim
    assert found == found | sizes


def test_placements_differ_in_what_is_tunable(vit_weights: Path) -> None:
    vit = {'backbone__name': VIT, 'backbone__layer': 1, 'adapters__hidden_dim': 24}
    versions = placements(load_config(overrides=tiny(vit_weights, **vit)))
    assert [row.name for row in versions.rows] == ['none', *ADAPTED]
    found = {row.name: counts(build(row), row.config) for row in versions.rows}
    tunable = {name: row['num_tunable'] for name, row in found.items()}
    assert tunable['none'] == 0
    assert tunable['serial_lka'] == tunable['serial_parallel_lka']  # the same two, elsewhere
    assert tunable['serial_parallel_va'] < tunable['serial_va_parallel_lka']
    assert tunable['serial_va_parallel_lka'] < tunable['serial_parallel_lka']
    frozen = {row['num_parameters'] - row['num_tunable'] for row in found.values()}
    assert len(frozen) == 1
    assert [row.trains for row in versions.rows] == [False, True, True, True, True]


def test_serial_and_parallel_large_kernels_answer_otherwise(vit_weights: Path) -> None:
    vit = {'backbone__name': VIT, 'backbone__layer': 1, 'adapters__hidden_dim': 24}
    versions = chosen(
        placements(load_config(overrides=tiny(vit_weights, **vit))),
        'serial_lka,serial_parallel_lka',
    )
    image = torch.rand(1, 1, 3, 64, 64)
    answers = []
    for row in versions.rows:
        torch.manual_seed(0)
        model = build(row).eval()
        for name, parameter in model.named_parameters():
            if name.endswith('up.weight'):
                torch.nn.init.constant_(parameter, 0.02)
        answers.append(model(image))
    assert all(
        not torch.allclose(one, other, atol=1e-4)
        for one, other in zip(answers, [*answers[1:], answers[0]], strict=True)
    )


def test_placements_want_a_plain_vit(weights: Path) -> None:
    with pytest.raises(ConfigError, match=r'backbone.name = test_resnet: adapters need a plain V'):
        placements(load_config(overrides=tiny(weights)))


def test_versions_are_chosen_by_name_and_the_first_is_always_there(config: Config) -> None:
    some = chosen(stages(config), 'without_encoder, cls_alone')
    assert [row.name for row in some.rows] == ['full', 'cls_alone', 'without_encoder']
    with pytest.raises(ConfigError, match=r'--versions without_hope: expected some of full, wit'):
        chosen(stages(config), 'without_hope')
    plain = stages(replace(config, variants=replace(config.variants, conditions=())))
    with pytest.raises(ConfigError, match=r'without_variants \(with these settings it is full ag'):
        chosen(plain, 'without_variants')


def test_trained_weights_are_no_start_of_an_ablation(config: Config) -> None:
    used = replace(config, descriptor=replace(config.descriptor, weights='best.safetensors'))
    for kind in (stages, placements):
        with pytest.raises(ConfigError, match='each version is trained from the start'):
            kind(used)


def test_every_version_learns_from_the_same_images(config: Config, run) -> None:
    seen: list[tuple[list[int], list[int]]] = []

    def track(items, what, count):
        for item in items:
            if what.startswith('epoch'):
                _, places, images = item
                seen.append((places.tolist(), images.tolist()))
            yield item

    run(chosen(stages(config), 'without_variants,cls_alone'), config, watch=Watch(track=track))
    assert len(seen) == 3 * 2
    assert seen[:2] == seen[2:4] == seen[4:]
    assert seen[0] != seen[1]


def without_times(content: dict) -> dict:
    for row in content['versions']:
        del row['train_s'], row['answer_s']
    return content


def read(folder: Path) -> dict:
    return json.loads((folder / 'ablation.json').read_text())


def test_an_ablation_gives_the_same_numbers_again_also_when_cut_short(
    config: Config, run, tmp_path: Path
) -> None:
    often = replace(config, train=replace(config.train, checkpoint_every_s=0.0))
    versions = chosen(stages(often), 'without_encoder')
    run(versions, often, 'whole')
    steps = iter(range(100))

    def cut(items, what, count):
        for item in items:
            if what.startswith('epoch') and next(steps) == 3:  # in the second version
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        run(versions, often, 'cut', Watch(track=cut))
    assert [row['name'] for row in read(tmp_path / 'cut')['versions']] == ['full']
    said: list[str] = []
    run(versions, often, 'cut', Watch(say=said.append))
    assert said[0] == 'full: measured already'
    assert without_times(read(tmp_path / 'cut')) == without_times(read(tmp_path / 'whole'))


def test_another_ablation_in_the_same_folder_is_refused_by_name(config: Config, run) -> None:
    alone = chosen(stages(config), 'full')
    run(alone, config)
    other = replace(config, train=replace(config.train, seed=3))
    with pytest.raises(TrainingError) as caught:
        run(chosen(stages(other), 'full'), other)
    assert 'ablation.json is of another ablation: seed is 3, it has 0' in str(caught.value)
    assert 'train.seed is 3, it has 0' in str(caught.value)
    slower = replace(config, train=replace(config.train, num_workers=1))
    run(chosen(stages(slower), 'without_encoder'), slower)  # this changes no number


def test_the_record_holds_the_whole_protocol(config: Config, run, tmp_path: Path) -> None:
    run(chosen(stages(config), 'without_encoder'), config)
    content = read(tmp_path / 'out')
    protocol = content['protocol']
    assert protocol['ablation'] == 'stages'
    assert protocol['settings']['encoder.num_layers'] == 1
    assert protocol['places'] == '6 places, 18 images'
    assert protocol['training'].startswith('2 steps of 3 places x 2 images, seed 0')
    assert (
        protocol['traverses']['held_out'].items() >= {'num_database': 4, 'num_queries': 4}.items()
    )
    assert (protocol['query_batch'], protocol['first']) == (1, 'full')
    full, without = content['versions']
    assert set(full['recall']) == {'mean', 'held_out'}
    assert set(full['recall']['mean']) == {'1', '5', '10'}
    assert full['recall']['held_out']['5'] == 100  # of four
    assert (full['num_steps'], full['trained'], full['differs']) == (2, True, {})
    assert without['differs'] == {'encoder.num_layers': 0}
    assert len(without['ranks']['held_out']) == 4
    shown = (tmp_path / 'out' / 'ablation.md').read_text()
    assert shown.startswith('# Without each stage (Table 3 of the paper)\n')
    assert '- `without_encoder`: no layers of attention (encoder.num_layers = 0).' in shown


def test_a_damaged_record_is_not_written_over(config: Config, run, tmp_path: Path) -> None:
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'ablation.json').write_text('{"versions": [')
    with pytest.raises(ConfigError, match=r'was not written by `cerfevpr ablate`, or is damaged'):
        run(chosen(stages(config), 'full'), config)
    assert (tmp_path / 'out' / 'ablation.json').read_text() == '{"versions": ['


def test_recall_counts_the_first_right_answer() -> None:
    similarity = np.array([[0.9, 0.5, 0.1], [0.2, 0.3, 0.4], [0.1, 0.2, 0.3]], np.float32)
    right = np.array([[True, False, False], [True, True, False], [False, False, False]])
    assert ranks_of(similarity, right).tolist() == [1, 2]  # the third has no right answer
    found = recalls({'one': np.array([1, 2, 11, 6]), 'other': np.array([1])})
    assert found['one'] == {'1': 25.0, '5': 50.0, '10': 75.0}
    assert found['mean'] == {'1': 62.5, '5': 75.0, '10': 87.5}


def test_the_error_of_a_difference_is_that_of_what_only_one_version_answered() -> None:
    first = {'here': np.array([1, 1, 2, 2]), 'there': np.array([1, 9])}
    better = {'here': np.array([1, 1, 1, 2]), 'there': np.array([1, 9])}
    found = difference(better, first)
    assert found['recall_at_1'] == pytest.approx(12.5)  # 25 here, nothing there
    variance = (0.25 - 0.25**2) / 4  # of the mean of 0, 0, 1, 0
    assert found['standard_error'] == pytest.approx(100 * variance**0.5 / 2)
    assert difference(first, first) == {'recall_at_1': 0.0, 'standard_error': 0.0}
    half = {'here': np.array([1, 2] * 50)}
    assert standard_error(half) == pytest.approx(5.0)


def test_the_best_of_each_column_is_bold() -> None:
    def row(name: str, at_1: float, at_5: float) -> dict:
        return {
            'name': name,
            'descriptor_dim': 8,
            'recall': {'mean': {'1': at_1, '5': at_5}},
            'standard_error': 2.0,
            'difference': {'recall_at_1': at_1 - 50, 'standard_error': 1.0},
        }

    assert table([row('full', 50.0, 80.0), row('other', 48.0, 80.0)]) == [
        '| version | size | mean | difference |',
        '| --- | --- | --- | --- |',
        '| `full` | 8 | **50.0** / **80.0** | ± 2.0 |',
        '| `other` | 8 | 48.0 / **80.0** | -2.0 ± 1.0 |',
    ]


@pytest.mark.parametrize('num_rows', [12, 60])
def test_principal_components_are_the_same_from_either_matrix(num_rows: int) -> None:
    rng = np.random.default_rng(0)
    scales = np.array([9.0, 5, 3] + [0.1] * 27)
    rows = (rng.normal(size=(num_rows, 30)) * scales + 4).astype(np.float32)
    pca = fit_pca(rows, 3)
    _, _, expected = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(np.abs(pca.directions.T @ expected[:3].T), np.eye(3), atol=1e-3)
    np.testing.assert_allclose(pca.mean, rows.mean(axis=0))


def test_a_cut_descriptor_is_its_strongest_components_at_unit_length() -> None:
    pca = Pca(np.array([1, 1, 0], np.float32), np.eye(3, dtype=np.float32))
    np.testing.assert_allclose(pca.cut(np.array([[4, 5, 9]], np.float32), 2), [[0.6, 0.8]])


def arguments(folders: dict[str, Path], kind: str, out: Path) -> list[str]:
    places = ['--places', str(folders['places']), '--validation', str(folders['held_out'])]
    return ['ablate', kind, *places, '--out', str(out)]


def test_the_command_cuts_descriptors_down(folders, weights, tmp_path, capsys) -> None:
    given = arguments(folders, 'dimensions', tmp_path / 'out')
    given += assignments(tiny_settings(weights, 'grid'))
    assert main([*given, '--sizes', '4,16,2000']) == 0
    content = read(tmp_path / 'out')
    assert [row['descriptor_dim'] for row in content['versions']] == [768, 4, 16]
    assert content['protocol']['fitted'] == "on 18 of the places' images"
    assert content['protocol']['left_out'] == {'pca_2000': 'the descriptor has 768 numbers'}
    assert '| `pca_4` | 4 |' in capsys.readouterr().out
    assert main([*given, '--sizes', '4,8']) == 0  # one more, beside those that are there
    sizes = [row['descriptor_dim'] for row in read(tmp_path / 'out')['versions']]
    assert sizes == [768, 4, 16, 8]


def test_a_vocabulary_is_fitted_on_the_places_too(folders, weights, tmp_path) -> None:
    given = arguments(folders, 'dimensions', tmp_path / 'out')
    given += assignments(tiny_settings(weights, 'vlad'))
    assert main([*given, '--sizes', '8']) == 0
    assert [row['name'] for row in read(tmp_path / 'out')['versions']] == ['whole', 'pca_8']


@pytest.mark.parametrize(
    ('more', 'message'),
    [
        (['--sizes', '8,x'], 'error: --sizes 8,x: expected whole numbers from 1, as 64,128'),
        (['--sizes', '0'], 'error: --sizes 0: expected whole numbers from 1, as 64,128'),
        (['--sizes', '18'], 'error: --sizes 18: expected fewer than the 18 images that it is fit'),
    ],
)
def test_sizes_that_cannot_be_are_refused(folders, weights, tmp_path, capsys, more, message):
    given = arguments(folders, 'dimensions', tmp_path / 'out')
    assert main([*given, *assignments(tiny_settings(weights, 'grid')), *more]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_an_ablation_is_measured_on_something_and_each_on_its_own_name(
    folders, weights, tmp_path, capsys
) -> None:
    given = [
        'ablate',
        'stages',
        '--places',
        str(folders['places']),
        '--out',
        str(tmp_path / 'out'),
    ]
    given += assignments(tiny(weights))
    assert main(given) == 2
    assert 'error: nothing to measure on; give --validation DIR' in capsys.readouterr().err
    again = write_traverse(tmp_path / 'more' / 'held_out', folders['places'])
    both = ['--validation', str(folders['held_out']), '--validation', str(again)]
    assert main([*given, *both]) == 2
    assert 'two --validation folders are called held_out; rename one' in capsys.readouterr().err


def test_the_command_compares_placements(folders, vit_weights, tmp_path, capsys) -> None:
    vit = {'backbone__name': VIT, 'backbone__layer': 0, 'adapters__hidden_dim': 24}
    given = arguments(folders, 'placements', tmp_path / 'out')
    given += assignments(tiny(vit_weights, **vit))
    assert main([*given, '--versions', 'serial_va_parallel_lka']) == 0
    assert '| `serial_va_parallel_lka` |' in capsys.readouterr().out
    none, adapted = read(tmp_path / 'out')['versions']
    assert (none['trained'], none['num_steps'], none['num_tunable']) == (False, 0, 0)
    assert (adapted['trained'], adapted['num_steps']) == (True, 2)
    assert adapted['descriptor_dim'] == 192
    assert (tmp_path / 'out' / 'serial_va_parallel_lka' / 'log.csv').is_file()
    assert not (tmp_path / 'out' / 'none').exists()
