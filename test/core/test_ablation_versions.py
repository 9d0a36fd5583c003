"""The versions of an ablation really differ, and each in one thing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from ablations import VIT, tiny_ablation

from cerfevpr_core.ablation.measure import counts
from cerfevpr_core.ablation.versions import build, chosen, placements, stages
from cerfevpr_core.backbone import Tokens
from cerfevpr_core.config import Config, load_config
from cerfevpr_core.encoder import RobustEncoder
from cerfevpr_core.errors import ConfigError
from cerfevpr_core.fusion import PyramidFusion
from cerfevpr_core.projection import MapProjection

pytestmark = pytest.mark.usefixtures('cache')

ADAPTED = ('serial_lka', 'serial_parallel_lka', 'serial_parallel_va', 'serial_va_parallel_lka')


def test_every_stage_is_missing_in_one_version(ablation_config: Config) -> None:
    versions = stages(ablation_config)
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


def test_a_version_without_its_encoder_has_no_attention(ablation_config: Config) -> None:
    rows = {row.name: row for row in stages(ablation_config).rows}
    assert len(build(rows['full']).encoder.layers) == 1
    assert len(build(rows['without_encoder']).encoder.layers) == 0
    assert rows['without_encoder'].differs == {'encoder.num_layers': 0}


def test_what_the_settings_do_not_have_cannot_be_left_out(weights: Path) -> None:
    plain = load_config(overrides=tiny_ablation(weights, fusion__num_words=0))
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
    versions = placements(load_config(overrides=tiny_ablation(vit_weights, **vit)))
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
        placements(load_config(overrides=tiny_ablation(vit_weights, **vit))),
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
        placements(load_config(overrides=tiny_ablation(weights)))


def test_versions_are_chosen_by_name_and_the_first_is_always_there(
    ablation_config: Config,
) -> None:
    some = chosen(stages(ablation_config), 'without_encoder, cls_alone')
    assert [row.name for row in some.rows] == ['full', 'cls_alone', 'without_encoder']
    with pytest.raises(ConfigError, match=r'--versions without_hope: expected some of full, wit'):
        chosen(stages(ablation_config), 'without_hope')
    plain = stages(
        replace(ablation_config, variants=replace(ablation_config.variants, conditions=()))
    )
    with pytest.raises(ConfigError, match=r'without_variants \(with these settings it is full ag'):
        chosen(plain, 'without_variants')


def test_trained_weights_are_no_start_of_an_ablation(ablation_config: Config) -> None:
    used = replace(
        ablation_config, descriptor=replace(ablation_config.descriptor, weights='best.safetensors')
    )
    for kind in (stages, placements):
        with pytest.raises(ConfigError, match='each version is trained from the start'):
            kind(used)
