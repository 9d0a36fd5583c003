"""A loop closure -> the link that RTAB-Map's add_link service takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.errors import CerfeVPRError
from cerfevpr_core.geometry import Pose
from cerfevpr_core.hooks.ids import to_unsigned
from cerfevpr_core.uncertain_pose import UncertainPose, inverse

GLOBAL_CLOSURE = 1  # rtabmap::Link::kGlobalClosure
_MAX_ID = 2**31 - 1  # ids are int32 there, and count from 1


@dataclass(frozen=True)
class RtabmapLink:
    """The fields of rtabmap_msgs/Link.

    `transform` is the base at `to_id` in the base at `from_id`; `information` (6, 6) is along and
    about the axes of `to_id`, in the order x, y, z, roll, pitch, yaw.
    """

    from_id: int
    to_id: int
    type: int
    transform: Pose
    information: NDArray[np.float64]


def link_of_closure(
    newer_id: str, older_id: str, newer_in_older: UncertainPose, camera_in_base: Pose
) -> RtabmapLink:
    """From the external ids of a closure, which are RTAB-Map's node ids, and its relative pose.

    RTAB-Map's nodes are poses of the robot's base, ours are of the camera. The link leads from the
    older node to the newer, as our relative pose does. Raises CerfeVPRError for ids that are not
    RTAB-Map's, and for a pose without a covariance.
    """
    base_in_camera = inverse(camera_in_base)
    between = newer_in_older.checked().of(base_in_camera).seen_from(camera_in_base)
    information = information_of(between)
    return RtabmapLink(
        _node_id(older_id), _node_id(newer_id), GLOBAL_CLOSURE, between.pose, information
    )


def information_of(pose: UncertainPose) -> NDArray[np.float64]:
    """The inverse (6, 6) of the covariance along and about the body's own axes.

    Graph optimisers compare a link's measurement with the graph there. Raises CerfeVPRError.
    """
    information = np.linalg.inv(pose.checked().in_own_axes())
    return (information + information.T) / 2


def _node_id(external_id: str) -> int:
    number = to_unsigned(external_id, _MAX_ID)
    if not number:
        raise CerfeVPRError(
            f'external id {external_id!r} is not a node of RTAB-Map, expected 1 to {_MAX_ID}; '
            'add keyframes with the id of their RTAB-Map node'
        )
    return number
