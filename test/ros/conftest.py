"""What the tests of the nodes share: a route, its map, a client, and a running localizer."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from client import Camera, Client
from processes import node, ros_environment

from cerfevpr_core.config import Config
from cerfevpr_core.data.drawn_route import DrawnRoute, write_traverse
from cerfevpr_core.data.frames import FolderFrames
from cerfevpr_core.data.positions import PoseTable
from cerfevpr_core.mapping import Extras, build_map
from cerfevpr_core.recognizer import PlaceRecognizer

NUM_FRAMES = 12


@dataclass
class Route:
    """Twelve frames of the drawn route by day, its map, and the same places by night."""

    day: Path
    night: Path
    place_map: Path
    images: list[np.ndarray]  # those of the night


@pytest.fixture(scope='session')
def route(tmp_path_factory) -> Route:
    folder = tmp_path_factory.mktemp('route')
    day, night, place_map = folder / 'day', folder / 'night', folder / 'map'
    drawn = DrawnRoute(0, NUM_FRAMES)
    write_traverse(drawn, day, 'summer')
    write_traverse(drawn, night, 'night')
    poses = PoseTable(day / 'poses.txt')
    build_map(FolderFrames(day), place_map, Config(), Extras(traverse='morning', poses=poses))
    return Route(day, night, place_map, [frame.image for frame in FolderFrames(night)])


@pytest.fixture(scope='session')
def ros(tmp_path_factory):
    """The environment of every node that is started from here on."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ros_environment(tmp_path_factory.mktemp('ros_log')).items():
            patch.setenv(name, value)
        yield


@pytest.fixture
def tf2_stand_in(monkeypatch) -> None:
    """Nodes that a test starts take the stand-in for tf2_ros, also beside a real one."""
    path = [str(Path(__file__).parent / 'tf2_stand_in'), os.environ.get('PYTHONPATH', '')]
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(path).rstrip(os.pathsep))


@pytest.fixture(scope='session')
def client(ros):
    client = Client()
    yield client
    client.close()


@pytest.fixture(scope='session')
def localizer(route, client, tmp_path_factory):
    """A localizer that is active for the whole session, and the camera in front of it."""
    # Each image by itself, so that answers can be compared with the core's.
    parameters = {'map.path': str(route.place_map), 'map.top_k': 4, 'sequence.mode': 'never'}
    with node('localizer', tmp_path_factory.mktemp('shared'), 'shared', parameters) as it:
        camera = Camera(client, 'shared', it)
        camera.warm_up(route.images[0])
        yield camera


@pytest.fixture(scope='session')
def recognizer(route):
    """The core by itself, on the same map."""
    recognizer = PlaceRecognizer.load(route.place_map)
    yield recognizer
    recognizer.close()
