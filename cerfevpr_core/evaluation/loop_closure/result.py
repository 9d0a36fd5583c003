"""What a drive's closures come to: found, missed and false ones, of images and as told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.loop_closure import LoopAnswer, LoopClosure


@dataclass(frozen=True)
class Asked:
    """One image of the drive, by its number in the order, and what was found for it."""

    name: str
    answer: LoopAnswer
    ms: float


@dataclass(frozen=True)
class Score:
    """`num_loops` images have a true earlier match; closures of images count one an image."""

    num_images: int
    num_loops: int
    num_found: int  # of these, with a correct closure
    num_false: int  # images with a closure that is not marked true
    num_told: int
    num_told_false: int


def score(asked: Sequence[Asked], of_keyframe: dict[int, int], truth: NDArray[np.bool_]) -> Score:
    """Against pairs (N, N) that are true; `of_keyframe` are the numbers of keyframes' images."""
    found = [is_true(each.answer.found, of_keyframe, truth) for each in asked]
    told = [is_true(each.answer.closure, of_keyframe, truth) for each in asked]
    return Score(
        len(asked),
        int(np.tril(truth, -1).any(axis=1).sum()),
        found.count(True),
        found.count(False),
        len(told) - told.count(None),
        told.count(False),
    )


def is_true(
    closure: LoopClosure | None, of_keyframe: dict[int, int], truth: NDArray[np.bool_]
) -> bool | None:
    """Whether the pair is marked; None without one."""
    if closure is None:
        return None
    return bool(truth[of_keyframe[closure.from_id], of_keyframe[closure.to_id]])


def as_json(
    asked: Sequence[Asked],
    of_keyframe: dict[int, int],
    truth: NDArray[np.bool_] | None,
    settings: dict[str, Any],
    command: str,
) -> dict[str, Any]:
    """Every image with its closure, the score where the truth is known, and all settings."""
    names = [each.name for each in asked]
    content: dict[str, Any] = {'command': command, 'settings': settings}
    if truth is not None:
        content['score'] = vars(score(asked, of_keyframe, truth))
    content['ms_p50'] = float(np.median([each.ms for each in asked]))
    content['images'] = [
        _of_image(number, each, names, of_keyframe, truth) for number, each in enumerate(asked)
    ]
    return content


def _of_image(
    number: int,
    asked: Asked,
    names: Sequence[str],
    of_keyframe: dict[int, int],
    truth: NDArray[np.bool_] | None,
) -> dict[str, Any]:
    answer, found = asked.answer, asked.answer.found
    row: dict[str, Any] = {'image': asked.name, 'reason': answer.reason, 'closure': None}
    if truth is not None:
        row['num_true'] = int(truth[number, :number].sum())
    if found is not None:
        row['closure'] = {
            'with': names[of_keyframe[found.to_id]],
            'is_true': is_true(found, of_keyframe, truth) if truth is not None else None,
            'told': answer.closure is not None,
            'num_inliers': found.num_inliers,
            'similarity': found.similarity,
            'relative_pose': _pose(found),
            'scale_known': found.scale_known,
        }
    row['candidates'] = [
        {
            'image': names[of_keyframe[c.keyframe_id]],
            'similarity': c.similarity,
            'landmark_similarity': c.landmark_similarity,
            'num_inliers': c.num_inliers,
            'reject_reason': c.reject_reason,
        }
        for c in answer.candidates
    ]
    return row


def _pose(closure: LoopClosure) -> list[float] | None:
    pose = closure.relative_pose
    return None if pose is None else [*pose.position_m, *pose.quaternion]
