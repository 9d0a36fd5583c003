"""Map while driving: images become keyframes of a map, which is made if it is not there.

    ros2 launch cerfevpr_ros mapping.launch.py map:=DIR image:=/camera/image_raw odom:=/odom

Poses come from odom:=TOPIC (nav_msgs/Odometry) or pose:=TOPIC (geometry_msgs, pose_type says
which); without either an image is added after a time. A localizer may use the map meanwhile.
"""

from pathlib import Path

from launch.actions import DeclareLaunchArgument, OpaqueFunction, RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

TRUE_OR_FALSE = ['true', 'false']


def generate_launch_description() -> LaunchDescription:
    """Arguments first, then the node, which needs their values."""
    arguments = [*_of_the_map(), *_of_poses(), *_of_the_node()]
    return LaunchDescription([*arguments, OpaqueFunction(function=_mapper)])


def _of_the_map():
    return [
        DeclareLaunchArgument('map', description='folder of the map; made if it is missing'),
        DeclareLaunchArgument('traverse', default_value='', description='as day, 2026-03-01'),
        DeclareLaunchArgument('image', default_value='/camera/image_raw'),
        DeclareLaunchArgument(
            'camera_info',
            default_value='',
            description='empty: camera_info beside the image topic, as image_transport has it',
        ),
        DeclareLaunchArgument('depth', default_value='', description='16UC1 or 32FC1 topic'),
    ]


def _of_poses():
    return [
        DeclareLaunchArgument('odom', default_value='', description='nav_msgs/Odometry topic'),
        DeclareLaunchArgument('pose', default_value='', description='topic of pose_type'),
        DeclareLaunchArgument(
            'pose_type',
            default_value='pose',
            choices=['pose', 'pose_with_covariance'],
            description='PoseStamped or PoseWithCovarianceStamped',
        ),
        DeclareLaunchArgument(
            'camera_in_base',
            default_value='',
            description='x y z qx qy qz qw; empty: the poses are of the camera',
        ),
        DeclareLaunchArgument(
            'camera_frame',
            default_value='',
            description='instead of camera_in_base: the frame of the camera in tf',
        ),
        DeclareLaunchArgument('base_frame', default_value='base_link'),
    ]


def _of_the_node():
    default_params = PathJoinSubstitution(
        [FindPackageShare('cerfevpr_ros'), 'config', 'mapper.yaml']
    )
    return [
        DeclareLaunchArgument('params_file', default_value=default_params),
        DeclareLaunchArgument('namespace', default_value=''),
        DeclareLaunchArgument('use_sim_time', default_value='false', choices=TRUE_OR_FALSE),
        DeclareLaunchArgument(
            'autostart',
            default_value='true',
            choices=TRUE_OR_FALSE,
            description='false: a lifecycle manager configures and activates the node',
        ),
    ]


def _mapper(context, *args, **kwargs):
    def given(name):
        return LaunchConfiguration(name).perform(context)

    if not Path(given('params_file')).is_file():  # launch itself would only warn
        raise RuntimeError(f'params_file:={given("params_file")} does not exist')
    if given('odom') and given('pose'):
        raise RuntimeError('give odom:=TOPIC or pose:=TOPIC, not both')
    node = LifecycleNode(
        package='cerfevpr_ros',
        executable='mapper',
        name='mapper',
        namespace=LaunchConfiguration('namespace'),
        parameters=[given('params_file'), _parameters(given)],
        remappings=list(_topics(given).items()),
        output='screen',
    )
    ended = OnProcessExit(target_action=node, on_exit=_complain)
    return [RegisterEventHandler(ended), node]


def _parameters(given):
    """Typed, or a map called 007 would arrive as a number."""
    source = 'odom' if given('odom') else given('pose_type') if given('pose') else 'none'
    own = {
        'map.path': ParameterValue(LaunchConfiguration('map'), value_type=str),
        'traverse': ParameterValue(LaunchConfiguration('traverse'), value_type=str),
        'pose_source': ParameterValue(source, value_type=str),
        'use_depth': bool(given('depth')),
        'use_sim_time': ParameterValue(LaunchConfiguration('use_sim_time'), value_type=bool),
        'autostart': ParameterValue(LaunchConfiguration('autostart'), value_type=bool),
    }
    for name in ('camera_in_base', 'camera_frame'):
        if given(name):  # else a params_file may have it
            own[name] = ParameterValue(given(name), value_type=str)
    if given('camera_frame'):
        own['base_frame'] = ParameterValue(given('base_frame'), value_type=str)
    return own


def _topics(given):
    image = given('image')
    beside_it = ''.join(image.rpartition('/')[:2]) + 'camera_info'
    return {
        'image': image,
        'image/compressed': f'{image}/compressed',
        'camera_info': given('camera_info') or beside_it,
        'odom': given('odom') or 'odom',
        'pose': given('pose') or 'pose',
        'depth': given('depth') or 'depth',
    }


def _complain(event, context):
    # A node that could not start must not look like a launch that went well.
    if event.returncode and not context.is_shutdown:
        raise RuntimeError(f'the mapper ended with exit code {event.returncode}; see above why')
