"""`cerfevpr ablate` as its users meet it."""

from __future__ import annotations

import pytest
from ablations import VIT, arguments, read, tiny_ablation
from samples import assignments, write_traverse

from cerfevpr_core.cli import main

pytestmark = pytest.mark.usefixtures('cache')


def test_an_ablation_is_measured_on_something_and_each_on_its_own_name(
    ablation_folders, weights, tmp_path, capsys
) -> None:
    given = [
        'ablate',
        'stages',
        '--places',
        str(ablation_folders['places']),
        '--out',
        str(tmp_path / 'out'),
    ]
    given += assignments(tiny_ablation(weights))
    assert main(given) == 2
    assert 'error: nothing to measure on; give --validation DIR' in capsys.readouterr().err
    again = write_traverse(tmp_path / 'more' / 'held_out', ablation_folders['places'])
    both = ['--validation', str(ablation_folders['held_out']), '--validation', str(again)]
    assert main([*given, *both]) == 2
    assert 'two --validation folders are called held_out; rename one' in capsys.readouterr().err


def test_the_command_compares_placements(ablation_folders, vit_weights, tmp_path, capsys) -> None:
    vit = {'backbone__name': VIT, 'backbone__layer': 0, 'adapters__hidden_dim': 24}
    given = arguments(ablation_folders, 'placements', tmp_path / 'out')
    given += assignments(tiny_ablation(vit_weights, **vit))
    assert main([*given, '--versions', 'serial_va_parallel_lka']) == 0
    assert '| `serial_va_parallel_lka` |' in capsys.readouterr().out
    none, adapted = read(tmp_path / 'out')['versions']
    assert (none['trained'], none['num_steps'], none['num_tunable']) == (False, 0, 0)
    assert (adapted['trained'], adapted['num_steps']) == (True, 2)
    assert adapted['descriptor_dim'] == 192
    assert (tmp_path / 'out' / 'serial_va_parallel_lka' / 'log.csv').is_file()
    assert not (tmp_path / 'out' / 'none').exists()
