"""A calibration is kept with the map, which knows how much has changed since."""

from __future__ import annotations

import pytest
from maps import created, sql
from samples import keyframes, unit_vectors

from cerfevpr_core.errors import DamagedMapError
from cerfevpr_core.place_map import PlaceMap


def test_a_calibration_stays_with_the_map_and_its_copies(tmp_path):
    with created(tmp_path / 'map') as place_map:
        assert place_map.calibration() is None and place_map.calibration_age() is None
        place_map.add(keyframes(unit_vectors(5)))
        place_map.set_calibration(b'{"a": 1}')
        place_map.set_calibration(b'\x00\xff')
        place_map.save(tmp_path / 'copy')
    for name in ('map', 'copy'):
        with PlaceMap.open(tmp_path / name) as place_map:
            assert place_map.calibration() == b'\x00\xff' and place_map.calibration_age() == 0
            assert place_map.check() == [] and place_map.derived.saved


def test_keyframes_added_and_removed_since_are_counted(tmp_path):
    with created(tmp_path / 'map') as place_map:
        place_map.set_calibration(b'empty')
        place_map.add(keyframes(unit_vectors(5)))
        assert place_map.calibration_age() == 5
        place_map.set_calibration(b'five')
        place_map.remove([2, 3])
        place_map.add(keyframes(unit_vectors(4, seed=1)))
        assert place_map.calibration_age() == 6
        place_map.remove([6])  # came and went since
        assert place_map.calibration_age() == 5


def test_a_calibration_of_which_nobody_knows_when_it_was_made_is_damage(tmp_path):
    with created(tmp_path / 'map') as place_map:
        place_map.set_calibration(b'a')
    sql(tmp_path / 'map', "UPDATE manifest SET value = '{}' WHERE key = 'calibration_state'")
    with PlaceMap.open(tmp_path / 'map') as place_map:
        try:
            place_map.calibration_age()
        except DamagedMapError as error:
            assert 'cannot be read' in str(error)
        else:
            raise AssertionError('no error')


@pytest.mark.parametrize('value', ["'text'", '8000000000', '0.5'])
def test_a_calibration_of_another_type_is_damage_and_takes_no_memory(tmp_path, value):
    with created(tmp_path / 'map') as place_map:
        place_map.set_calibration(b'{}')
    sql(tmp_path / 'map', f"UPDATE manifest SET value = {value} WHERE key = 'calibration'")
    place_map = PlaceMap.open(tmp_path / 'map')
    with pytest.raises(DamagedMapError, match='its calibration is'):
        place_map.calibration()
    place_map.close()
