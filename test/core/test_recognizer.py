"""One image in, one answer out, from a map and the model that made it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from samples import picture, tiny_config, tiny_settings, write_tiny_weights

from cerfevpr_core.config import load_config
from cerfevpr_core.data.frames import FolderFrames
from cerfevpr_core.describer import Describer
from cerfevpr_core.errors import ConfigError, ImageError, MapError
from cerfevpr_core.images import read_image
from cerfevpr_core.map_model import matching_describer, new_manifest
from cerfevpr_core.mapping import Extras, add_to_map, build_map, fit
from cerfevpr_core.place_map import Manifest, PlaceMap
from cerfevpr_core.recognizer import Decision, PlaceRecognizer


@pytest.fixture(scope='module')
def recognizer(tmp_path_factory, pictures, weights):
    folder = tmp_path_factory.mktemp('recognizer') / 'map'
    build_map(FolderFrames(pictures), folder, tiny_config(weights))
    recognizer = PlaceRecognizer.load(folder)
    yield recognizer
    recognizer.close()


def test_an_image_of_the_map_finds_itself(recognizer, pictures):
    for number in range(8):
        answer = recognizer.recognize(read_image(pictures / f'{number:03}.png'))
        assert answer.decision == Decision.MATCH
        assert answer.candidates[0].name == f'{number:03}.png'
        assert answer.candidates[0].similarity == pytest.approx(1, abs=1e-4)


def test_a_picture_a_little_darker_still_finds_its_place(recognizer):
    for seed in range(8):
        darker = (picture(seed) * 0.85).astype(np.uint8)
        assert recognizer.recognize(darker).candidates[0].name == f'{seed:03}.png'


def test_candidates_are_ordered_and_as_many_as_asked_for(recognizer):
    image = picture(3)
    for top_k, expected in ((1, 1), (3, 3), (None, 5), (100, 8)):
        similarities = [c.similarity for c in recognizer.recognize(image, top_k).candidates]
        assert len(similarities) == expected
        assert similarities == sorted(similarities, reverse=True)


def test_an_answer_says_which_map_and_model_and_how_long_each_stage_took(recognizer):
    answer = recognizer.recognize(picture(0))
    assert list(answer.stage_ms) == ['describe', 'search']
    assert all(ms > 0 for ms in answer.stage_ms.values())
    assert answer.map_id == recognizer.place_map.manifest.map_id
    assert answer.model_fingerprint == recognizer.place_map.manifest.fingerprint


def test_an_answer_does_not_depend_on_what_was_asked_before(recognizer):
    first = recognizer.recognize(picture(2)).candidates
    recognizer.recognize(picture(5))
    assert recognizer.recognize(picture(2)).candidates == first


def test_a_bad_image_is_refused_and_the_next_one_is_answered(recognizer):
    with pytest.raises(ImageError, match='the image is empty'):
        recognizer.recognize(np.zeros((0, 4, 3), np.uint8))
    with pytest.raises(ImageError, match='expected RGB pixels'):
        recognizer.recognize(np.zeros((4, 4), np.uint8))
    assert recognizer.recognize(picture(0)).candidates[0].name == '000.png'


def test_below_the_least_similarity_the_place_is_unknown(small_map):
    recognizer = PlaceRecognizer.load(small_map, assignments=('map.min_similarity=0.999',))
    assert recognizer.recognize(picture(0)).decision == Decision.MATCH
    answer = recognizer.recognize(picture(77))
    assert answer.decision == Decision.UNKNOWN
    assert len(answer.candidates) == 5  # told all the same
    recognizer.close()


def test_settings_of_the_model_are_those_of_the_map(small_map, weights):
    recognizer = PlaceRecognizer.load(small_map)
    assert recognizer.config.method == 'grid'
    assert recognizer.config.backbone.image_size == (64, 96)
    assert recognizer.config.map.top_k == 5
    recognizer.close()


def test_settings_of_the_search_may_be_chosen_anew(small_map, tmp_path):
    file = tmp_path / 'settings.yaml'
    file.write_text('map: {top_k: 2, min_similarity: 0.1}')
    recognizer = PlaceRecognizer.load(small_map, file, ('map.min_similarity=0.2',))
    assert len(recognizer.recognize(picture(0)).candidates) == 2
    assert recognizer.config.map.min_similarity == 0.2
    recognizer.close()


def test_settings_of_another_model_are_refused_by_name(small_map):
    with pytest.raises(MapError) as caught:
        PlaceRecognizer.load(small_map, assignments=('grid.num_cells=3',))
    text = str(caught.value)
    assert f'the map at {small_map} was made by model ' in text
    assert '(grid.num_cells is 3, the map has 2)' in text
    assert 'leave out --set and --config' in text
    with PlaceMap.open(small_map) as place_map:
        theirs = place_map.manifest.fingerprint
    assert theirs in text
    with pytest.raises(MapError, match=r'image_size is .*96, 96.*, the map has .*64, 96'):
        PlaceRecognizer.load(small_map, assignments=('backbone.image_size=[96, 96]',))


def test_other_weights_of_the_same_network_are_refused(small_map, tmp_path):
    other = write_tiny_weights(tmp_path / 'other.safetensors', seed=1)
    with pytest.raises(MapError, match='the weights differ'):
        PlaceRecognizer.load(small_map, assignments=(f'backbone.weights={other}',))


def test_the_same_weights_in_another_place_are_the_same_model(small_map, weights, tmp_path):
    moved = tmp_path / 'moved.safetensors'
    moved.write_bytes(weights.read_bytes())
    recognizer = PlaceRecognizer.load(small_map, assignments=(f'backbone.weights={moved}',))
    assert recognizer.recognize(picture(0)).candidates[0].similarity > 0.9999
    recognizer.close()


def test_a_setting_that_this_model_does_not_use_changes_nothing(small_map):
    PlaceRecognizer.load(small_map, assignments=('vlad.num_clusters=9', 'gem.p=2')).close()


def test_the_vocabulary_travels_with_the_map(pictures, weights, tmp_path):
    config = tiny_config(weights, 'vlad')
    describer = Describer(config)
    assert describer.needs_fit
    fit(describer, FolderFrames(pictures))
    assert not describer.needs_fit
    PlaceMap.create(tmp_path / 'map', new_manifest(describer)).close()
    build_map(FolderFrames(pictures), tmp_path / 'full', config)
    fresh = PlaceRecognizer.load(tmp_path / 'full')
    for seed in (1, 50):
        image = picture(seed)
        np.testing.assert_allclose(
            fresh.describe(image).descriptor, describer.describe(image), atol=1e-5
        )
    assert fresh.recognize(picture(1)).candidates[0].similarity == pytest.approx(1, abs=1e-4)
    fresh.close()


def test_a_vocabulary_that_is_not_fitted_makes_no_map(weights):
    with pytest.raises(MapError, match='nothing to fit the method on'):
        new_manifest(Describer(tiny_config(weights, 'vlad')))


def test_the_fingerprint_is_that_of_settings_and_weights(weights, tmp_path):
    fingerprint = Describer(tiny_config(weights)).fingerprint
    assert fingerprint == Describer(tiny_config(weights, map__top_k=9)).fingerprint
    other = write_tiny_weights(tmp_path / 'other.safetensors', seed=1)
    different = [
        tiny_config(weights, grid__num_cells=3),
        tiny_config(weights, 'gem'),
        tiny_config(weights, backbone__layer=1),
        tiny_config(weights, backbone__image_size=[96, 64]),
        tiny_config(other),
    ]
    found = [Describer(config).fingerprint for config in different]
    assert len({fingerprint, *found}) == 6


def test_an_empty_map_says_how_to_fill_it(weights, tmp_path):
    PlaceMap.create(tmp_path / 'map', Manifest('model', {}, 4)).close()
    with pytest.raises(MapError, match='is empty; add images with'):
        PlaceRecognizer.load(tmp_path / 'map')


def test_a_map_that_is_not_there_says_how_to_build_one(tmp_path):
    with pytest.raises(MapError, match='it does not exist; build one with'):
        PlaceRecognizer.load(tmp_path / 'gone')


def test_a_device_that_is_not_there_is_refused(weights):
    for name in ('cuda:99', 'nonsense'):
        settings = tiny_settings(weights) | {'runtime.device': name}
        with pytest.raises(ConfigError, match=f'runtime.device = {name}: .*; use auto or cpu'):
            Describer(load_config(overrides=settings))


def test_only_the_traverses_of_the_settings_are_searched(tmp_path, pictures, weights):
    config = tiny_config(weights)
    frames = FolderFrames(pictures)
    build_map(frames, tmp_path / 'map', config, Extras('day'))
    with PlaceMap.open(tmp_path / 'map') as place_map:
        describer = matching_describer(config, place_map)
        add_to_map(place_map, describer, frames, config, Extras('night'))
    for names, expected in (([], {'day', 'night'}), (['night'], {'night'})):
        recognizer = PlaceRecognizer.load(tmp_path / 'map', overrides={'map.traverses': names})
        found = recognizer.recognize(picture(2), 100).candidates
        recognizer.close()
        assert {c.traverse for c in found} == expected
        assert len(found) == 8 * len(expected)
    with pytest.raises(MapError, match="no traverse 'dusk'; it has 'day', 'night'"):
        PlaceRecognizer.load(tmp_path / 'map', overrides={'map.traverses': ['dusk']})


def test_where_all_chosen_traverses_vanish_every_image_is_unknown(tmp_path, pictures, weights):
    config = tiny_config(weights)
    build_map(FolderFrames(pictures), tmp_path / 'map', config, Extras('day'))
    with PlaceMap.open(tmp_path / 'map') as place_map:
        describer = matching_describer(config, place_map)
        add_to_map(place_map, describer, FolderFrames(pictures), config, Extras('night'))
        recognizer = PlaceRecognizer.load(tmp_path / 'map', overrides={'map.traverses': ['day']})
        sequence = recognizer.sequence()
        assert recognizer.recognize(picture(2), sequence=sequence).candidates
        place_map.remove(range(1, 9))
        for each in (sequence, None, recognizer.sequence()):
            found = recognizer.recognize(picture(2), sequence=each)
            assert (found.decision, found.candidates) == (Decision.UNKNOWN, [])
        recognizer.close()


def test_a_map_that_is_refused_is_closed_again(small_map):
    def opened() -> list[str]:
        return [f for f in map(os.path.realpath, Path('/proc/self/fd').iterdir()) if small in f]

    small = str(small_map / 'keyframes.sqlite')
    before = opened()
    with pytest.raises(MapError, match='no traverse') as told:
        PlaceRecognizer.load(small_map, assignments=('map.traverses=[nothing]',))
    assert told.tb is not None  # keeps all that the call had in its hands
    assert opened() == before
