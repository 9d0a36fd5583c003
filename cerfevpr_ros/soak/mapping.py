"""What the mapper goes through: drives, moved and removed keyframes, maps saved and loaded."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from geometry_msgs.msg import Pose as PoseMsg
from geometry_msgs.msg import PoseStamped
from rclpy.qos import QoSProfile, ReliabilityPolicy

from cerfevpr_core.geometry import Pose
from cerfevpr_msgs.msg import KeyframeAdded
from cerfevpr_msgs.srv import AddKeyframe, LoadMap, RemoveKeyframe, SaveMap, UpdatePoses
from cerfevpr_ros.conversions import ns_to_stamp, pose_to_msg, stamp_to_ns
from cerfevpr_ros.soak.phases import Stage, compare, place_of
from cerfevpr_ros.soak.rig import FRAME_ID, Rig, raw_msg

_RELIABLE = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
_STEP_M = 2.0  # more than mapping.min_distance_m
_FAR_M = 10_000.0  # from the route of the map
_SETTLE_S = 1.0
_FACING = (0.5, -0.5, 0.5, -0.5)  # some camera that looks ahead


@dataclass
class Drive:
    """The robot's poses, and what the mapper said it added and is still in the map."""

    rig: Rig
    place: int = 0
    added: dict[int, int] = field(default_factory=dict)  # keyframe id -> stamp

    def __post_init__(self) -> None:
        self.poses = self.rig.node.create_publisher(PoseStamped, 'pose', _RELIABLE)
        self.rig.node.create_subscription(
            KeyframeAdded, 'mapper/keyframes', self._on_added, _RELIABLE
        )

    def pose(self) -> Pose:
        """Where the robot is now: further along than ever before."""
        return Pose((_FAR_M + _STEP_M * self.place, 0.0, 1.0), _FACING)

    def show(self, stage: Stage, number: int) -> int:
        """One image with its pose; returns its stamp."""
        self.place += 1
        stamp_ns = self.rig.stamp_ns()
        self.tell(pose_to_msg(self.pose()), stamp_ns)
        self.rig.lens.send(raw_msg(stage.images[number % len(stage.images)], stamp_ns))
        return stamp_ns

    def tell(self, pose: PoseMsg, stamp_ns: int) -> None:
        """What odometry says."""
        msg = PoseStamped(pose=pose)
        msg.header.stamp, msg.header.frame_id = ns_to_stamp(stamp_ns), 'map'
        self.poses.publish(msg)

    def wait(self, stamp_ns: int, seconds: float = 10.0) -> bool:
        """Whether the image with this stamp becomes a keyframe."""
        deadline = time.monotonic() + seconds
        while stamp_ns not in list(self.added.values()):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def _on_added(self, msg: KeyframeAdded) -> None:
        self.added[int(msg.keyframe_id)] = stamp_to_ns(msg.header.stamp)


def mapped(stage: Stage, drive: Drive) -> None:
    """The robot drives on; the localizer finds the new keyframes; a SLAM system moves them."""
    tally = stage.rig.tally
    for number in range(max(3, round(8 * stage.scale))):
        if not any(drive.wait(drive.show(stage, number)) for _ in range(3)):
            tally.failed('an image with a pose became no keyframe, shown three times')
    stage.rig.ask_surely(stage.images[0], 'while it is mapped')
    if (found := place_of(stage, 0)) not in drive.added:
        tally.failed(f'the localizer found keyframe {found}, not the newest of the same image')
    tally.count('keyframes added', len(drive.added))
    _by_service(stage, drive)
    ids = list(drive.added)
    request = UpdatePoses.Request(keyframe_ids=ids, poses=[pose_to_msg(drive.pose()) for _ in ids])
    _must(stage, UpdatePoses, 'update_poses', request)


def cleared(stage: Stage, drive: Drive) -> None:
    """What was added is removed again, so that the map is as large in every cycle."""
    time.sleep(_SETTLE_S)  # what is still being added is told by then
    for keyframe_id in list(drive.added):
        request = RemoveKeyframe.Request(keyframe_id=keyframe_id)
        _must(stage, RemoveKeyframe, 'remove_keyframe', request)
        del drive.added[keyframe_id]
    for number in list(stage.expected)[:2]:
        compare(stage, number)


def saved_and_loaded(stage: Stage, drive: Drive, root: Path) -> None:
    """A copy of the map in use is made, loaded by both nodes, and left for the old one again."""
    copy = root / 'copy'
    shutil.rmtree(copy, ignore_errors=True)
    _must(stage, SaveMap, 'save_map', SaveMap.Request(path='copy'))
    for node in ('localizer', 'mapper'):
        for path in ('copy', 'map'):
            drive.show(stage, 0)
            _must(stage, LoadMap, 'load_map', LoadMap.Request(path=path), node)
            stage.rig.tally.count('maps loaded')
    stage.rig.ask_surely(stage.images[0], 'after maps were loaded')
    shutil.rmtree(copy, ignore_errors=True)


def _by_service(stage: Stage, drive: Drive) -> None:
    """Keyframes of a SLAM system: twice the same request adds one."""
    msg = raw_msg(stage.images[1], stage.rig.stamp_ns())
    msg.header.frame_id = FRAME_ID
    request = AddKeyframe.Request(
        image=msg, pose=pose_to_msg(drive.pose()), external_id=f'slam {drive.place}'
    )
    ids = set()
    for _ in range(2):
        response = _must(stage, AddKeyframe, 'add_keyframe', request)
        ids |= {int(response.keyframe_id)} if response else set()
    if len(ids) != 1:
        stage.rig.tally.failed(f'the same request twice gave the ids {ids}')
    drive.added.update(dict.fromkeys(ids, 0))
    unknown = AddKeyframe.Request(image=msg, pose=PoseMsg(), external_id='no pose')
    unknown.pose.orientation.w = 0.0
    response = _must(stage, AddKeyframe, 'add_keyframe', unknown)
    if response:
        drive.added[int(response.keyframe_id)] = 0


def _must(
    stage: Stage, kind: type, service: str, request: object, node: str = 'mapper'
) -> AddKeyframe.Response | None:
    response = stage.rig.call(kind, f'/{node}/{service}', request, 60.0)
    if response is None or not response.success:
        why = 'no response' if response is None else response.message
        stage.rig.tally.failed(f'{node}/{service}: {why}')
        return None
    stage.rig.tally.count(service)
    return response
