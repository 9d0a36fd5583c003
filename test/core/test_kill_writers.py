"""Writers of a map that are killed; `make soak` kills more of them."""

from __future__ import annotations

import pytest

from cerfevpr_ros.soak.kill_writers import survive


@pytest.mark.slow
def test_a_map_survives_writers_that_are_killed_at_any_instant():
    found = survive(20, seed=1)
    assert found['failures'] == [] and found['kills'] == 20
    assert found['acknowledged changes'] > 20 and found['killed within a change'] > 5
