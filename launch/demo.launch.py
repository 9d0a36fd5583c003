"""See it work: the localizer, and a replay that plays images as a camera.

    ros2 launch cerfevpr_ros demo.launch.py
    ros2 launch cerfevpr_ros demo.launch.py map:=DIR images:=DIR

Without arguments it plays the drawn route by night, in a map of the same street in summer that
knows depth, so that there are poses; the first time it draws both and builds the map, which takes
a minute or two. Images of a folder get poses if camera.yaml lies beside them and the map knows
depth.
"""

from pathlib import Path

from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    OpaqueFunction,
    Shutdown,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.logging import get_logger
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

IMAGE, CAMERA_INFO = '/replay/image', '/replay/camera_info'


def generate_launch_description() -> LaunchDescription:
    """The localizer as on a robot, and a camera that is a folder."""
    return LaunchDescription(
        [
            DeclareLaunchArgument('map', default_value='', description='empty: the drawn route'),
            DeclareLaunchArgument('images', default_value='', description='a folder to play'),
            DeclareLaunchArgument('rate_hz', default_value='0.0', description='0: as answered'),
            OpaqueFunction(function=_nodes),
        ]
    )


def _nodes(context, *args, **kwargs):
    place_map = LaunchConfiguration('map').perform(context)
    images = LaunchConfiguration('images').perform(context)
    if bool(place_map) != bool(images):
        raise RuntimeError('give both map:=DIR and images:=DIR, or none of them')
    if not place_map:
        from cerfevpr_ros.run.jobs import drawn_route_map

        get_logger('demo').info('drawing a street and mapping it, if this is the first time')
        place_map, images = map(str, drawn_route_map(Path.home() / '.cache' / 'cerfevpr'))
    localize = PathJoinSubstitution(
        [FindPackageShare('cerfevpr_ros'), 'launch', 'localize.launch.py']
    )
    replay = Node(
        package='cerfevpr_ros',
        executable='replay',
        name='replay',
        parameters=[
            {
                'images': ParameterValue(images, value_type=str),
                'rate_hz': ParameterValue(LaunchConfiguration('rate_hz'), value_type=float),
            }
        ],
        remappings=[('image', IMAGE), ('camera_info', CAMERA_INFO)],
        output='screen',
        on_exit=lambda event, context: None if context.is_shutdown else [Shutdown()],
    )
    arguments = {'map': place_map, 'image': IMAGE, 'camera_info': CAMERA_INFO}.items()
    return [
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(localize), launch_arguments=arguments
        ),
        replay,
    ]
