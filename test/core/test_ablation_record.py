"""Versions are trained alike, recorded honestly, and gone on with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ablations import read

from cerfevpr_core.ablation.compare import compare
from cerfevpr_core.ablation.versions import Versions, chosen, stages
from cerfevpr_core.config import Config
from cerfevpr_core.data.places import Source, read_places
from cerfevpr_core.errors import ConfigError, TrainingError
from cerfevpr_core.training.validation import read_traverse
from cerfevpr_core.training.watch import Watch

pytestmark = pytest.mark.usefixtures('cache')


@pytest.fixture
def ablate(ablation_folders: dict[str, Path], tmp_path: Path):
    def start(versions: Versions, config: Config, out: str = 'out', watch: Watch | None = None):
        places = read_places([Source(ablation_folders['places'])], config.train)
        traverses = [read_traverse(ablation_folders['held_out'], 5.0)]
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


def test_every_version_learns_from_the_same_images(ablation_config: Config, ablate) -> None:
    seen: list[tuple[list[int], list[int]]] = []

    def track(items, what, count):
        for item in items:
            if what.startswith('epoch'):
                _, places, images = item
                seen.append((places.tolist(), images.tolist()))
            yield item

    ablate(
        chosen(stages(ablation_config), 'without_variants,cls_alone'),
        ablation_config,
        watch=Watch(track=track),
    )
    assert len(seen) == 3 * 2
    assert seen[:2] == seen[2:4] == seen[4:]
    assert seen[0] != seen[1]


def without_times(content: dict) -> dict:
    for row in content['versions']:
        del row['train_s'], row['answer_s']
    return content


def test_an_ablation_gives_the_same_numbers_again_also_when_cut_short(
    ablation_config: Config, ablate, tmp_path: Path
) -> None:
    often = replace(ablation_config, train=replace(ablation_config.train, checkpoint_every_s=0.0))
    versions = chosen(stages(often), 'without_encoder')
    ablate(versions, often, 'whole')
    steps = iter(range(100))

    def cut(items, what, count):
        for item in items:
            if what.startswith('epoch') and next(steps) == 3:  # in the second version
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        ablate(versions, often, 'cut', Watch(track=cut))
    assert [row['name'] for row in read(tmp_path / 'cut')['versions']] == ['full']
    said: list[str] = []
    ablate(versions, often, 'cut', Watch(say=said.append))
    assert said[0] == 'full: measured already'
    assert without_times(read(tmp_path / 'cut')) == without_times(read(tmp_path / 'whole'))


def test_another_ablation_in_the_same_folder_is_refused_by_name(
    ablation_config: Config, ablate
) -> None:
    alone = chosen(stages(ablation_config), 'full')
    ablate(alone, ablation_config)
    other = replace(ablation_config, train=replace(ablation_config.train, seed=3))
    with pytest.raises(TrainingError) as caught:
        ablate(chosen(stages(other), 'full'), other)
    assert 'ablation.json is of another ablation: seed is 3, it has 0' in str(caught.value)
    assert 'train.seed is 3, it has 0' in str(caught.value)
    slower = replace(ablation_config, train=replace(ablation_config.train, num_workers=1))
    ablate(chosen(stages(slower), 'without_encoder'), slower)  # this changes no number


def test_the_record_holds_the_whole_protocol(
    ablation_config: Config, ablate, tmp_path: Path
) -> None:
    ablate(chosen(stages(ablation_config), 'without_encoder'), ablation_config)
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


def test_a_damaged_record_is_not_written_over(
    ablation_config: Config, ablate, tmp_path: Path
) -> None:
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'ablation.json').write_text('{"versions": [')
    with pytest.raises(ConfigError, match=r'was not written by `cerfevpr ablate`, or is damaged'):
        ablate(chosen(stages(ablation_config), 'full'), ablation_config)
    assert (tmp_path / 'out' / 'ablation.json').read_text() == '{"versions": ['
