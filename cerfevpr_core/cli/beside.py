"""What a command line says beside the images: poses, camera, depth; as files or topics."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from cerfevpr_core.errors import ConfigError

if TYPE_CHECKING:
    from cerfevpr_core.data.beside import BagDepth, BagPoses
    from cerfevpr_core.data.depth_images import DepthImages
    from cerfevpr_core.data.positions import PoseTable
    from cerfevpr_core.geometry import Camera
    from cerfevpr_core.mapping import Extras

    _Beside: TypeAlias = tuple[
        PoseTable | BagPoses | None, Camera | None, DepthImages | BagDepth | None
    ]


def add_beside(parser: argparse.ArgumentParser) -> None:
    """Files beside the images, or topics of their bag."""
    parser.add_argument('--poses', type=Path, metavar='FILE', help='TUM form, by name or stamp')
    parser.add_argument('--camera', type=Path, metavar='FILE', help='ROS calibration YAML')
    parser.add_argument(
        '--depth', type=Path, metavar='DIR', help='16-bit png in mm, named like the images'
    )
    parser.add_argument('--pose-topic', metavar='T', help="the bag's odometry or poses")
    parser.add_argument(
        '--camera-in-base',
        metavar='POSE',
        help="the camera where --pose-topic is of the robot's base: 'x y z qx qy qz qw'",
    )
    parser.add_argument('--camera-info-topic', metavar='T', help="the bag's calibration")
    parser.add_argument('--depth-topic', metavar='T', help="the bag's depth images")


def extras_of(options: argparse.Namespace) -> Extras:
    """All of it. Raises ConfigError for what does not fit together, or cannot be read."""
    from cerfevpr_core.mapping import Extras

    _refuse_both(options)
    poses, camera, depth = _of_bag(options) if options.bag else _of_files(options)
    if depth and not (camera and poses):
        raise ConfigError(
            '--depth needs --camera and --poses: points are kept in the map; in a bag '
            '--depth-topic needs --camera-info-topic and --pose-topic'
        )
    return Extras(options.traverse, poses, camera, depth)


def _of_files(options: argparse.Namespace) -> _Beside:
    from cerfevpr_core.data.depth_images import DepthImages
    from cerfevpr_core.data.positions import PoseTable, read_camera

    return (
        PoseTable(options.poses) if options.poses else None,
        read_camera(options.camera) if options.camera else None,
        DepthImages(options.depth) if options.depth else None,
    )


def _of_bag(options: argparse.Namespace) -> _Beside:
    """From the bag's topics; what is not among them from files."""
    from cerfevpr_core.data.beside import BagDepth, BagPoses, bag_camera
    from cerfevpr_core.geometry import parse_pose

    poses, camera, depth = _of_files(options)
    in_base = options.camera_in_base
    mount = None if in_base is None else parse_pose(in_base, '--camera-in-base')
    return (
        BagPoses(options.bag, options.pose_topic, mount) if options.pose_topic else poses,
        bag_camera(options.bag, options.camera_info_topic)
        if options.camera_info_topic
        else camera,
        BagDepth(options.bag, options.depth_topic) if options.depth_topic else depth,
    )


def _refuse_both(options: argparse.Namespace) -> None:
    """Two sources of one thing, and topics without a bag. Raises ConfigError."""
    pairs = (('poses', 'pose_topic'), ('camera', 'camera_info_topic'), ('depth', 'depth_topic'))
    for file, topic in pairs:
        if getattr(options, topic) and getattr(options, file):
            raise ConfigError(f'{_flag(file)} and {_flag(topic)} say the same; give one of them')
    for name in (*(topic for _, topic in pairs), 'camera_in_base'):
        if getattr(options, name) and not options.bag:
            raise ConfigError(f'{_flag(name)} belongs to --bag; leave it out with --images')
    if options.camera_in_base and not options.pose_topic:
        raise ConfigError('--camera-in-base belongs to --pose-topic; leave it out without')


def _flag(name: str) -> str:
    return f'--{name.replace("_", "-")}'
