"""Settings: where they come from, who wins, and what a wrong one is told."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cerfevpr_core.config import (
    Config,
    load_config,
    model_settings,
    parse_assignment,
    save_config,
    settings,
)
from cerfevpr_core.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


def write(folder: Path, text: str) -> Path:
    file = folder / 'settings.yaml'
    file.write_text(text, encoding='utf-8')
    return file


def message(**given) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(**given)
    return str(caught.value)


def test_without_any_setting_the_defaults_hold():
    config = load_config()
    assert config == Config()
    assert (config.method, config.map.top_k, config.backbone.image_size) == (
        'cerfevpr',
        5,
        (224, 224),
    )


@pytest.mark.parametrize(
    'text',
    [
        '/**:\n  ros__parameters:\n    map: {top_k: 7}\n',
        'localizer:\n  ros__parameters:\n    map: {top_k: 7}\n',
        '/**:\n  ros__parameters:\n    map.top_k: 7\n',
        'map:\n  top_k: 7\n',
        'map.top_k: 7\n',
    ],
)
def test_a_setting_is_read_from_ros_form_and_from_plain_yaml(tmp_path, text):
    assert load_config(write(tmp_path, text)).map.top_k == 7


def test_an_empty_file_changes_nothing(tmp_path):
    assert load_config(write(tmp_path, '# nothing yet\n')) == Config()
    assert load_config(write(tmp_path, '/**:\n  ros__parameters:\n')) == Config()


def test_later_sources_win_over_earlier_ones(tmp_path):
    file = write(tmp_path, 'map: {top_k: 2}\nvlad: {seed: 2, num_clusters: 2}\nmethod: gem\n')
    config = load_config(
        file,
        ['map.top_k=3', 'vlad.seed=3'],
        {'map.top_k': 4},
        base={'map.top_k': 1, 'vlad.seed': 1, 'vlad.num_clusters': 1, 'grid.num_cells': 1},
    )
    assert config.map.top_k == 4  # overrides
    assert config.vlad.seed == 3  # --set
    assert config.vlad.num_clusters == 2  # the file
    assert config.grid.num_cells == 1  # the base
    assert config.method == 'gem'


def test_of_two_assignments_the_last_one_wins():
    assert load_config(assignments=['map.top_k=3', 'map.top_k=4']).map.top_k == 4


def test_an_unknown_setting_is_answered_with_the_nearest_one(tmp_path):
    expected = 'unknown setting map.topk, did you mean map.top_k?'
    assert message(assignments=['map.topk=3']) == expected
    assert message(file=write(tmp_path, 'map: {topk: 3}')) == expected
    assert message(overrides={'map.topk': 3}) == expected


def test_a_setting_like_none_is_answered_with_all_of_them():
    text = message(assignments=['qqqq=3'])
    assert text.startswith('unknown setting qqqq; there are ')
    assert 'map.top_k' in text and 'runtime.device' in text


@pytest.mark.parametrize(
    ('name', 'value', 'expected'),
    [
        ('map.top_k', True, 'map.top_k = True: expected a valid integer'),
        ('map.top_k', '5', "map.top_k = '5': expected a valid integer"),
        ('map.top_k', 5.0, 'map.top_k = 5.0: expected a valid integer'),
        ('map.top_k', None, 'map.top_k = None: expected a valid integer'),
        ('map.top_k', [5], 'map.top_k = [5]: expected a valid integer'),
        ('map.min_similarity', True, 'map.min_similarity = True: expected a valid number'),
        ('map.min_similarity', '0.5', "map.min_similarity = '0.5': expected a valid number"),
        ('map.path', 5, 'map.path = 5: expected a valid string'),
        ('map.top_k', 0, 'map.top_k = 0: expected greater than or equal to 1'),
        ('map.top_k', 1001, 'map.top_k = 1001: expected less than or equal to 1000'),
        ('map.min_similarity', 1.5, 'map.min_similarity = 1.5: expected less than or equal to 1'),
        ('map.min_similarity', float('nan'), 'map.min_similarity = nan: expected a finite number'),
        ('gem.p', float('inf'), 'gem.p = inf: expected a finite number'),
        ('gem.p', 0, 'gem.p = 0: expected greater than 0'),
        ('map.index', 'tree', "map.index = 'tree': expected 'flat', 'hnsw' or 'ivfpq'"),
        ('method', 'nonsense', "method = 'nonsense': expected 'cerfevpr', 'cls', 'gem', 'grid'"),
        ('backbone.image_size', [224], 'backbone.image_size = [224]: expected height and width'),
        ('backbone.image_size', [8, 224], 'expected height and width in pixels, each from 32'),
        ('backbone.image_size', 224, 'backbone.image_size = 224: expected'),
        ('backbone.image_size', ['a', 224], "backbone.image_size = 'a': expected"),
        ('fusion.levels', [0], 'fusion.levels = [0]: expected whole numbers from 1'),
    ],
)
def test_a_wrong_value_is_refused_by_its_full_name(name, value, expected):
    text = message(overrides={name: value})
    assert text.startswith('wrong setting ') and expected in text


def test_every_wrong_value_of_a_branch_is_named():
    text = message(overrides={'map.top_k': 0, 'map.index': 'tree'})
    assert 'map.top_k = 0' in text and "map.index = 'tree'" in text


def test_a_whole_number_serves_as_a_number():
    config = load_config(overrides={'map.min_similarity': 0, 'gem.p': 2})
    assert (config.map.min_similarity, config.gem.p) == (0.0, 2.0)
    assert isinstance(config.gem.p, float)


def test_lists_become_tuples():
    config = load_config(assignments=['backbone.image_size=[96, 128]', 'fusion.levels=[1]'])
    assert (config.backbone.image_size, config.fusion.levels) == ((96, 128), (1,))


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('map.path=a=b', ('map.path', 'a=b')),
        ('map.path=', ('map.path', '')),
        (' map.top_k =5', ('map.top_k', 5)),
        ("map.path='5'", ('map.path', '5')),
    ],
)
def test_an_assignment_is_read_as_yaml(text, expected):
    assert parse_assignment(text) == expected


def test_an_assignment_that_is_none_says_its_form():
    assert message(assignments=['map.top_k']) == "expected --set NAME=VALUE, found 'map.top_k'"
    assert 'cannot be read; quote it' in message(assignments=['map.path=[a'])


def test_a_file_that_is_missing_or_no_settings_is_named(tmp_path):
    gone = tmp_path / 'gone.yaml'
    assert message(file=gone) == f'cannot read the settings file {gone}: No such file or directory'
    assert f'cannot read the settings file {tmp_path}' in message(file=tmp_path)
    file = write(tmp_path, 'map: [1,')
    assert message(file=file).startswith(f'{file} is not valid YAML')
    assert 'expected settings by name, found list' in message(file=write(tmp_path, '- 1\n'))
    assert 'expected settings by name, found str' in message(file=write(tmp_path, 'hello'))
    assert 'expected settings by name below /**' in message(
        file=write(tmp_path, '/**: {ros__parameters: [1]}')
    )
    file.write_bytes(b'\xff\xfe\x00')
    assert f'{file} is not valid YAML' in message(file=file)


def test_a_file_for_several_nodes_is_refused(tmp_path):
    text = 'a: {ros__parameters: {method: gem}}\nb: {ros__parameters: {method: cls}}\n'
    assert 'expected one node, found a, b' in message(file=write(tmp_path, text))


def test_parameters_of_the_nodes_alone_may_stand_in_the_same_file(tmp_path):
    text = '/**:\n  ros__parameters: {autostart: true, use_sim_time: true, map.top_k: 7}\n'
    assert load_config(write(tmp_path, text)).map.top_k == 7
    assert 'unknown setting autostart' in message(assignments=['autostart=true'])


def test_save_and_load_give_the_same_tree(tmp_path):
    config = load_config(
        overrides={
            'method': 'grid',
            'backbone.image_size': [96, 64],
            'gem.p': 2,
            'map.path': 'a b',
        }
    )
    file = tmp_path / 'saved.yaml'
    save_config(config, file)
    assert load_config(file) == config


@pytest.mark.parametrize('file', sorted((ROOT / 'config').glob('*.yaml')), ids=lambda f: f.name)
def test_the_files_that_come_with_the_project_load(file):
    assert isinstance(load_config(file), Config)


def test_settings_are_named_as_ros_names_its_parameters(tmp_path):
    def leaves(tree, prefix=''):
        for name, value in tree.items():
            if isinstance(value, dict):
                yield from leaves(value, f'{prefix}{name}.')
            else:
                yield f'{prefix}{name}'

    file = tmp_path / 'saved.yaml'
    save_config(Config(), file)
    ros = yaml.safe_load(file.read_text())['/**']['ros__parameters']
    flat = settings(Config())
    assert list(leaves(ros)) == list(flat)
    assert all(isinstance(v, bool | int | float | str | tuple) for v in flat.values())


def test_a_map_carries_what_makes_a_descriptor_and_nothing_else():
    names = model_settings(Config())
    assert {'method', 'backbone.name', 'backbone.image_size', 'grid.num_cells'} <= set(names)
    assert not any(name.startswith(('map.', 'runtime.')) for name in names)


def test_settings_cannot_be_changed_behind_the_back_of_the_checks():
    with pytest.raises(AttributeError):
        Config().map.top_k = 0  # type: ignore[misc]
