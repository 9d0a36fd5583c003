"""The launch files, where `ros2 launch` is installed: what they declare, start and end."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from client import Camera
from processes import INTERFACES, REPOSITORY, Process, processes_with

pytest.importorskip('rclpy', reason='needs ROS 2 (rclpy)')
pytest.importorskip(INTERFACES, reason='needs the built interfaces (`make setup`)')

from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import GetParameters

pytestmark = [pytest.mark.ros, pytest.mark.slow]

# Another `launch` is on PyPI, and our own folder of that name can be imported: ask for more.
try:
    import launch_ros  # noqa: F401
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    from launch import LaunchContext, LaunchDescription  # noqa: F401

    HAS_LAUNCH = True
except ImportError:
    HAS_LAUNCH = False


def _is_installed() -> bool:
    from ament_index_python.packages import PackageNotFoundError, get_package_prefix

    try:
        return Path(get_package_prefix('cerfevpr_ros'), 'lib', 'cerfevpr_ros').is_dir()
    except PackageNotFoundError:
        return False


needs_launch = pytest.mark.skipif(not HAS_LAUNCH, reason='needs launch and launch_ros')
needs_ros2_launch = pytest.mark.skipif(
    not HAS_LAUNCH or shutil.which('ros2') is None or not _is_installed(),
    reason='needs `ros2 launch`, and this package installed for it',
)


def test_the_launch_folder_of_this_repository_is_not_taken_for_the_launch_package():
    code = 'from launch import LaunchDescription as L; import sys; print(sys.modules["launch"])'
    command = [sys.executable, '-c', code]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert (done.returncode == 0) == HAS_LAUNCH, done.stderr
    assert str(REPOSITORY / 'launch') not in done.stdout


def declared(name: str) -> dict[str, str | None]:
    source = PythonLaunchDescriptionSource(str(REPOSITORY / 'launch' / name))
    context = LaunchContext()
    arguments = source.get_launch_description(context).get_launch_arguments()
    return {
        argument.name: ''.join(part.perform(context) for part in argument.default_value)
        if argument.default_value is not None
        else None
        for argument in arguments
    }


@needs_launch
def test_localize_declares_its_arguments_and_only_the_map_must_be_given():
    arguments = declared('localize.launch.py')
    params_file = arguments.pop('params_file')
    assert params_file is not None and params_file.endswith('config/localizer.yaml')
    assert arguments == {
        'map': None,
        'image': '/camera/image_raw',
        'camera_info': '',
        'odom': '',
        'camera_in_base': '',
        'namespace': '',
        'use_sim_time': 'false',
        'autostart': 'true',
    }


@needs_launch
def test_mapping_declares_its_arguments_and_only_the_map_must_be_given():
    arguments = declared('mapping.launch.py')
    params_file = arguments.pop('params_file')
    assert params_file is not None and params_file.endswith('config/mapper.yaml')
    assert arguments == {
        'map': None,
        'traverse': '',
        'image': '/camera/image_raw',
        'camera_info': '',
        'odom': '',
        'pose': '',
        'pose_type': 'pose',
        'camera_in_base': '',
        'camera_frame': '',
        'base_frame': 'base_link',
        'depth': '',
        'namespace': '',
        'use_sim_time': 'false',
        'autostart': 'true',
    }


@needs_launch
def test_demo_declares_its_arguments_and_none_must_be_given():
    assert declared('demo.launch.py') == {'map': '', 'images': '', 'rate_hz': '0.0'}


def start(tmp_path, file: str, *arguments: str) -> Process:
    command = ['ros2', 'launch', 'cerfevpr_ros', file, *arguments]
    return Process(command, tmp_path / 'output.log')


@needs_ros2_launch
def test_localize_starts_a_localizer_that_answers_and_ends_with_ctrl_c(client, route, tmp_path):
    arguments = [f'map:={route.place_map}', 'image:=image', 'namespace:=launched']
    with start(tmp_path, 'localize.launch.py', *arguments) as process:
        camera = Camera(client, 'launched', process)
        camera.warm_up(route.images[0])
        assert camera.answer(camera.send(route.images[4])).matches
        assert client.node.count_subscribers('/launched/camera_info')
        process.end(signal.SIGINT)
        assert process.child.returncode == 0, process.output
        assert not processes_with(str(route.place_map))


@needs_ros2_launch
def test_localize_leaves_the_start_to_a_manager_and_the_time_to_a_simulator(
    client, route, tmp_path
):
    arguments = [f'map:={route.place_map}', 'namespace:=managed_launch']
    arguments += ['autostart:=false', 'use_sim_time:=true']
    with start(tmp_path, 'localize.launch.py', *arguments):
        name = '/managed_launch/localizer'
        state = client.call(GetState, f'{name}/get_state').current_state.id
        assert state == State.PRIMARY_STATE_UNCONFIGURED
        names = ['use_sim_time', 'autostart']
        use_sim_time, autostart = client.call(
            GetParameters, f'{name}/get_parameters', names=names
        ).values
        assert use_sim_time.bool_value and not autostart.bool_value


@needs_ros2_launch
def test_a_launch_whose_map_is_missing_says_so_and_fails(ros, tmp_path):
    with start(tmp_path, 'localize.launch.py', 'map:=/nowhere/map') as process:
        assert process.code() != 0
        assert 'no map at /nowhere/map: it does not exist' in process.output
        assert 'the localizer ended with exit code 1' in process.output


@needs_ros2_launch
def test_the_demo_plays_all_images_and_ends_by_itself(ros, route, tmp_path):
    arguments = [f'map:={route.place_map}', f'images:={route.night}']
    with start(tmp_path, 'demo.launch.py', *arguments) as process:
        assert process.code() == 0, process.output
        assert '12 images answered' in process.output
        assert not processes_with(str(route.place_map))
