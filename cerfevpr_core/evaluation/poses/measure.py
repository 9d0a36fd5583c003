"""A map of a drawn street, and what the recognizer answers to questions about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from cerfevpr_core.config import Config
from cerfevpr_core.data.depth_images import DepthImages
from cerfevpr_core.data.drawn_route import DrawnRoute, write_traverse
from cerfevpr_core.data.frames import FolderFrames
from cerfevpr_core.data.positions import PoseTable, read_camera
from cerfevpr_core.data.relocalization import pose_error
from cerfevpr_core.data.relocalization.drawn import MAP
from cerfevpr_core.geometry import Pose
from cerfevpr_core.mapping import Extras, build_map
from cerfevpr_core.mapping import Track as MapTrack
from cerfevpr_core.recognizer import PlaceRecognizer
from cerfevpr_core.verification import PoseEstimate
from cerfevpr_core.verification.refine import motion_between

from .questions import Question, Questions
from .result import Answer, Group

# Shows how far it is: (questions, what is asked, how many) -> the same questions.
Track = Callable[[Iterable[Question], str, int], Iterable[Question]]


def draw_map(route: DrawnRoute, folder: Path, config: Config, track: MapTrack) -> Path:
    """The map of a street in summer, as `cerfevpr draw` and `cerfevpr map build` make it."""
    street, out = folder / 'street', folder / 'map'
    write_traverse(route, street, *MAP, depth=True)
    extras = Extras(
        poses=PoseTable(street / 'poses.txt'),
        camera=read_camera(street / 'camera.yaml'),
        depth=DepthImages(street / 'depth'),
    )
    build_map(FolderFrames(street), out, config, extras, track)
    return out


def ask(recognizer: PlaceRecognizer, questions: Sequence[Questions], track: Track) -> list[Group]:
    """Every question, one at a time; those of one name become one group."""
    groups: dict[str, Group] = {}
    for some in questions:
        group = groups.setdefault(some.name, Group(some.name, some.in_map, []))
        group.answers.extend(_answer(recognizer, q) for q in track(some, some.name, len(some)))
    return list(groups.values())


def nees(estimate: PoseEstimate, true: Pose) -> float:
    """The error of a pose squared, in its own covariance: 6 on average if that is right."""
    error = motion_between(estimate.pose.matrix(), true.matrix())
    return float(error @ np.linalg.solve(estimate.covariance, error))


def _answer(recognizer: PlaceRecognizer, question: Question) -> Answer:
    start = time.perf_counter()
    found = recognizer.recognize(question.image, camera=question.camera)
    ms = 1000 * (time.perf_counter() - start)
    pose, true = found.pose, question.pose
    error = squared = None
    if pose is not None and true is not None:
        error, squared = pose_error(pose.pose, true), nees(pose, true)
    verified = any(candidate.verified for candidate in found.candidates)
    return Answer(question.name, pose is not None, error, squared, verified, found.pose_reason, ms)
