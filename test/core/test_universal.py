"""A map that starts empty, with what was fitted on other places."""

from __future__ import annotations

import numpy as np
import pytest
from samples import filled, picture, tiny_config

from cerfevpr_core.config import Config, load_config
from cerfevpr_core.describer import Describer
from cerfevpr_core.errors import MapError, WeightsError
from cerfevpr_core.map_model import create_live_map, map_settings, matching_describer
from cerfevpr_core.place_map import PlaceMap
from cerfevpr_core.universal import universal_fit


def test_a_live_map_starts_empty_and_finds_what_is_added(universal, tmp_path):
    create_live_map(tmp_path / 'map', universal)
    config = load_config(base=map_settings(tmp_path / 'map'))
    with PlaceMap.open(tmp_path / 'map') as place_map:
        assert len(place_map) == 0
        describer = matching_describer(config, place_map)
        # All numbers stay: 9 tokens (CLS, 4 cells, 4 words) of 8.
        assert place_map.manifest.descriptor_dim == (1 + 4 + 4) * 8
    filled(tmp_path / 'map', describer, range(12))
    with PlaceMap.open(tmp_path / 'map') as place_map:
        describer = matching_describer(config, place_map)
        found = [place_map.search(describer.describe(picture(i)), 1)[0] for i in range(12)]
        assert [c.keyframe_id for c in found] == list(range(1, 13))
        assert place_map.check() == []


def test_two_live_maps_describe_an_image_alike(universal, tmp_path):
    rows = []
    for name in ('a', 'b'):
        create_live_map(tmp_path / name, universal)
        with PlaceMap.open(tmp_path / name) as place_map:
            rows.append(matching_describer(universal, place_map).describe(picture(3)))
    assert np.array_equal(*rows)
    assert np.linalg.norm(rows[0]) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize('method', ['cls', 'gem', 'grid', 'holistic'])
def test_a_method_that_fits_nothing_needs_no_universal_fit(weights, tmp_path, method):
    create_live_map(tmp_path / 'map', tiny_config(weights, method))
    with PlaceMap.open(tmp_path / 'map') as place_map:
        assert place_map.manifest.fitted == {}


def test_vlad_cannot_start_without_images(weights, tmp_path):
    with pytest.raises(MapError, match=r'vlad fits its vocabulary on images.*`cerfevpr map build'):
        create_live_map(tmp_path / 'map', tiny_config(weights, 'vlad'))
    assert not (tmp_path / 'map').exists()


def test_the_fit_of_another_descriptor_is_refused(trained, tmp_path):
    with pytest.raises(WeightsError, match=r'another descriptor.*tools/universal_fit.py'):
        create_live_map(tmp_path / 'map', trained())  # the one that ships
    assert not (tmp_path / 'map').exists()


def test_a_live_map_keeps_keypoints_unless_verification_is_never(weights, tmp_path):
    for mode, kept in (('auto', 'always'), ('never', 'never')):
        create_live_map(tmp_path / mode, tiny_config(weights, verification__mode=mode))
        with PlaceMap.open(tmp_path / mode) as place_map:
            assert place_map.manifest.settings['verification.mode'] == kept


def test_the_fit_that_ships_is_of_the_descriptor_that_ships():
    describer = Describer(Config())
    assert universal_fit(describer.config).keys() == {'narrow', 'words'}
    describer.load_universal()
    known = np.stack([describer.describe(picture(seed)) for seed in range(6)])
    assert known.shape == (6, describer.descriptor_dim) == (6, 8544)
    assert np.linalg.norm(known, axis=1) == pytest.approx(1, abs=1e-3)
    asked = [describer.describe((picture(s) * 0.85).astype(np.uint8)) for s in range(6)]
    assert (np.stack(asked) @ known.T).argmax(axis=1).tolist() == list(range(6))
