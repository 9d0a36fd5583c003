"""Localize a camera in a map.

    ros2 launch cerfevpr_ros localize.launch.py map:=DIR image:=/camera/image_raw

The compressed images of the same camera are heard as well, at TOPIC/compressed. With its
calibration, camera_info beside the image topic, and a map built with depth there are poses.
"""

from pathlib import Path

from launch.actions import DeclareLaunchArgument, OpaqueFunction, RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """Arguments first, then the node, which needs their values."""
    default_params = PathJoinSubstitution(
        [FindPackageShare('cerfevpr_ros'), 'config', 'localizer.yaml']
    )
    return LaunchDescription(
        [
            DeclareLaunchArgument('map', description='folder made by `cerfevpr map build`'),
            DeclareLaunchArgument('image', default_value='/camera/image_raw'),
            DeclareLaunchArgument(
                'camera_info',
                default_value='',
                description='empty: camera_info beside the image topic, as image_transport has it',
            ),
            DeclareLaunchArgument(
                'odom',
                default_value='',
                description='nav_msgs/Odometry topic; empty: motion is guessed from the images',
            ),
            DeclareLaunchArgument(
                'camera_in_base',
                default_value='',
                description='x y z qx qy qz qw; empty: the odometry is of the camera',
            ),
            DeclareLaunchArgument('params_file', default_value=default_params),
            DeclareLaunchArgument('namespace', default_value=''),
            DeclareLaunchArgument(
                'use_sim_time', default_value='false', choices=['true', 'false']
            ),
            DeclareLaunchArgument(
                'autostart',
                default_value='true',
                choices=['true', 'false'],
                description='false: a lifecycle manager configures and activates the node',
            ),
            OpaqueFunction(function=_localizer),
        ]
    )


def _localizer(context, *args, **kwargs):
    params_file = LaunchConfiguration('params_file').perform(context)
    if not Path(params_file).is_file():  # launch itself would only warn and use defaults
        raise RuntimeError(f'params_file:={params_file} does not exist')
    image = LaunchConfiguration('image').perform(context)
    camera_info = LaunchConfiguration('camera_info').perform(context)
    camera_info = camera_info or ''.join(image.rpartition('/')[:2]) + 'camera_info'
    # Typed, or a map called 007 would arrive as a number.
    own = {
        'map.path': ParameterValue(LaunchConfiguration('map'), value_type=str),
        'use_sim_time': ParameterValue(LaunchConfiguration('use_sim_time'), value_type=bool),
        'autostart': ParameterValue(LaunchConfiguration('autostart'), value_type=bool),
    }
    odom = LaunchConfiguration('odom').perform(context)
    if odom:  # else a params_file may say where motion comes from
        own['pose_source'] = ParameterValue('odom', value_type=str)
    camera_in_base = LaunchConfiguration('camera_in_base').perform(context)
    if camera_in_base:
        own['camera_in_base'] = ParameterValue(camera_in_base, value_type=str)
    node = LifecycleNode(
        package='cerfevpr_ros',
        executable='localizer',
        name='localizer',
        namespace=LaunchConfiguration('namespace'),
        parameters=[params_file, own],
        remappings=[
            ('image', image),
            ('image/compressed', f'{image}/compressed'),
            ('camera_info', camera_info),
            ('odom', odom or 'odom'),
        ],
        output='screen',
    )
    ended = OnProcessExit(target_action=node, on_exit=_complain)
    return [RegisterEventHandler(ended), node]


def _complain(event, context):
    # A node that could not start must not look like a launch that went well.
    if event.returncode and not context.is_shutdown:
        raise RuntimeError(f'the localizer ended with exit code {event.returncode}; see above why')
