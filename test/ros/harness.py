"""Nodes as processes of their own, and a client that talks to them over DDS."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import yaml

REPOSITORY = Path(__file__).parents[2]
PATIENCE_S = 240.0  # for what must happen; a busy machine takes its time
QUIET_DOMAIN = '101'  # no session's own, see _free_domain
ENDS_WITHIN_S = 8.0  # after a signal; 2 s on an idle machine
START_NS = 1_700_000_000_000_000_000
# Generated: the folder of their sources can be imported too, but holds no such module.
INTERFACES = 'cerfevpr_msgs.msg._place_match_array'


def ros_environment(folder: Path) -> dict[str, str]:
    """This machine only, large images over shared memory, logs in `folder`, our own domain."""
    profile = str(REPOSITORY / 'config' / 'fastdds.xml')
    return {
        'AMENT_PREFIX_PATH': os.environ.get('AMENT_PREFIX_PATH', sys.prefix),
        'RMW_IMPLEMENTATION': os.environ.get('RMW_IMPLEMENTATION', 'rmw_fastrtps_cpp'),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'FASTDDS_DEFAULT_PROFILES_FILE': profile,
        'ROS_DOMAIN_ID': str(_free_domain()),
        'ROS_LOG_DIR': str(folder),
        'PYTHONUNBUFFERED': '1',
    }


def _free_domain() -> int:
    """A domain of 1 to 100 where nobody has the first participant's port.

    The session's client takes that port and keeps it, so that two sessions do not meet.
    """
    for attempt in range(100):
        domain = 1 + (os.getpid() + attempt) % 100
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(('127.0.0.1', 7400 + 250 * domain + 10))  # RTPS, 9.6.1.4
            except OSError:
                continue
        return domain
    raise RuntimeError('all ROS domains from 1 to 100 are in use on this machine')


class TimedOut(AssertionError):
    """What was waited for did not happen."""


def wait_until(condition, what: str, patience_s: float = PATIENCE_S):
    """The condition's first true value; fails, naming `what`, if there is none in time."""
    deadline = time.monotonic() + patience_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimedOut(f'after {patience_s:g} s still not: {what}')
        time.sleep(0.01)
    return value


class Process:
    """A child in a session of its own; killed, with all it started, when the block ends."""

    def __init__(self, command: list[str], log: Path, env: dict[str, str] | None = None) -> None:
        self.log = log
        with log.open('wb') as stream:
            self.child = subprocess.Popen(
                command,
                stdout=stream,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=log.parent,
                env=os.environ | (env or {}),
                start_new_session=True,
            )

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGINT)  # DDS gives its shared memory back
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()

    @property
    def output(self) -> str:
        """All it printed so far."""
        return self.log.read_text(errors='replace')

    def says(self, text: str) -> None:
        """Wait until it has printed this text."""
        wait_until(
            lambda: text in self.output or self.child.poll() is not None, f'it says {text!r}'
        )
        assert text in self.output, f'it ended without {text!r}:\n{self.output}'

    def code(self, patience_s: float = PATIENCE_S) -> int:
        """Wait for its end."""
        return self.child.wait(patience_s)

    def end(self, number: signal.Signals) -> float:
        """Send a signal; returns how many seconds the end took."""
        start_s = time.monotonic()
        self.child.send_signal(number)
        self.child.wait(PATIENCE_S)
        return time.monotonic() - start_s


def node(module: str, folder: Path, namespace: str, parameters: dict) -> Process:
    """Start `python -m cerfevpr_ros.<module>` in a namespace; its files go to a new folder."""
    folder = folder / f'{module}-{namespace}'
    folder.mkdir()
    params_file = folder / 'params.yaml'
    params_file.write_text(yaml.safe_dump({'/**': {'ros__parameters': parameters}}))
    command = [sys.executable, '-m', f'cerfevpr_ros.{module}', '--ros-args']
    command += ['-r', f'__ns:=/{namespace}', '--params-file', str(params_file)]
    return Process(command, folder / 'output.log')


def ends_of(module: str, folder: Path, cases: dict[str, dict]) -> dict[str, tuple[int, str]]:
    """Exit code and output of nodes that cannot start, by name.

    They run one after another in one process, as `python -m` would: most of the time of such a
    node is the import of what it will not use.
    """
    for name, parameters in cases.items():
        tree = {'/**': {'ros__parameters': parameters}}
        (folder / f'{name}.yaml').write_text(yaml.safe_dump(tree))
    command = [sys.executable, '-c', _ONE_AFTER_ANOTHER, f'cerfevpr_ros.{module}', *cases]
    with Process(command, folder / 'output.log') as process:
        assert process.code() == 0, process.output
        parts = process.output.split(_MARK)
    ends = zip(cases, parts[0::2], parts[1::2], strict=False)
    return {name: (int(code), output) for name, output, code in ends}


_MARK = '=====\n'
_ONE_AFTER_ANOTHER = f"""
import runpy, signal, sys
module, *names = sys.argv[1:]
for name in names:
    sys.argv = ['node', '--ros-args', '-r', '__ns:=/' + name, '--params-file', name + '.yaml']
    try:
        runpy.run_module(module, run_name='__main__')
        code = 0
    except SystemExit as end:
        code = end.code
    sys.stderr.flush()
    print({_MARK!r}, code, {_MARK!r}, sep='', end='', flush=True)
"""


def processes_with(text: str) -> list[int]:
    """Processes whose command line or environment holds the text, this one left out."""
    found = []
    for entry in Path('/proc').iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                data = (entry / 'cmdline').read_bytes() + (entry / 'environ').read_bytes()
                if text.encode() in data:
                    found.append(int(entry.name))
    return found


def shared_memory_of(process: Process) -> list[Path]:
    """The Fast DDS segments that it maps: its own, and those of whom it hears."""
    maps = Path(f'/proc/{process.child.pid}/maps').read_text()
    return [Path(p) for p in sorted(set(re.findall(r'/dev/shm/fastdds_[0-9a-f]{16}', maps)))]


class Heard(list):
    """The messages of a topic, as they come."""

    def wait_for(self, accept, what: str):
        """The first message that is accepted."""
        return wait_until(lambda: next((m for m in list(self) if accept(m)), None), what)


class Client:
    """A node in this process, in a context of its own, that spins in the background."""

    def __init__(self) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node('test_client', context=self.context)
        self.clients: dict = {}
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self._spin, daemon=True)
        self.thread.start()

    def close(self) -> None:
        """Leave the domain."""
        self.executor.shutdown()
        self.thread.join()
        self.node.destroy_node()
        self.context.try_shutdown()

    def hears(self, kind: type, topic: str) -> Heard:
        """Listen to a topic, reliably, from now on."""
        heard = Heard()
        self.node.create_subscription(kind, topic, heard.append, 50)
        wait_until(lambda: self.node.count_publishers(topic), f'somebody publishes {topic}')
        return heard

    def publisher(self, kind: type, topic: str):
        """A reliable publisher that somebody listens to."""
        publisher = self.node.create_publisher(kind, topic, 10)
        wait_until(publisher.get_subscription_count, f'somebody listens to {topic}')
        return publisher

    def call(self, kind: type, service: str, repeat: bool = True, **fields):
        """The response of a service; the request is repeated if none comes.

        A server that has not found the other end of a new client yet drops its response.
        """
        client = self.client_of(kind, service)
        futures = []
        for _ in range(20 if repeat else 1):
            futures.append(client.call_async(kind.Request(**fields)))
            with contextlib.suppress(TimedOut):
                patience_s = PATIENCE_S / 20 if repeat else PATIENCE_S
                wait_until(lambda: any(f.done() for f in futures), '', patience_s)
                return next(f.result() for f in futures if f.done())
        raise TimedOut(f'{service} does not respond')

    def client_of(self, kind: type, service: str):
        """A client of a service that is there."""
        if service not in self.clients:
            self.clients[service] = self.node.create_client(kind, service)
        assert self.clients[service].wait_for_service(PATIENCE_S), f'no service {service}'
        return self.clients[service]

    def _spin(self) -> None:
        from rclpy.executors import ExternalShutdownException

        with contextlib.suppress(ExternalShutdownException):
            self.executor.spin()


class Camera:
    """What stands in front of a localizer, and hears its answers."""

    def __init__(self, client: Client, namespace: str, process: Process) -> None:
        from sensor_msgs.msg import CompressedImage, Image

        from cerfevpr_msgs.msg import KeyframeCandidates, PlaceMatchArray

        self.client = client
        self.process = process
        self.namespace = f'/{namespace}'
        self.name = f'/{namespace}/localizer'
        self.matches = client.hears(PlaceMatchArray, f'{self.name}/place_matches')
        self.candidates = client.hears(KeyframeCandidates, f'{self.name}/candidates')
        self.raw = client.publisher(Image, f'/{namespace}/image')
        self.compressed = client.publisher(CompressedImage, f'/{namespace}/image/compressed')
        self.number = 0

    def send(self, image: np.ndarray) -> int:
        """Publish an image; returns its number."""
        self.number += 1
        self.raw.publish(image_msg(image, self.number))
        return self.number

    def answer(self, number: int):
        """The answer to the image of this number."""
        return self.matches.wait_for(lambda m: number_of(m) == number, f'answer {number}')

    def warm_up(self, image: np.ndarray) -> None:
        """Until an image is answered: best effort loses what comes before both ends matched."""
        for _ in range(20):
            number = self.send(image)
            with contextlib.suppress(TimedOut):
                wait_until(lambda: any(number_of(m) == number for m in self.matches), '', 5)  # noqa: B023
                return
        raise AssertionError(f'{self.name} does not answer:\n{self.process.output}')


def image_msg(image: np.ndarray, number: int, frame_id: str = 'front_camera'):
    """An Image, stamped by its number."""
    from std_msgs.msg import Header

    from cerfevpr_ros.conversions import image_to_msg, ns_to_stamp

    stamp = ns_to_stamp(START_NS + number)
    return image_to_msg(image, Header(stamp=stamp, frame_id=frame_id))


def number_of(msg) -> int:
    """The number of the image that a message was made of, or answers."""
    from cerfevpr_ros.conversions import stamp_to_ns

    return stamp_to_ns(msg.header.stamp) - START_NS


def write_bag(folder: Path, images: list[np.ndarray], storage: str) -> Path:
    """A rosbag2 with the images at /camera/image_raw."""
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    types, kind = store.types, 'sensor_msgs/msg/Image'
    with Writer(folder, version=9, storage_plugin=StoragePlugin[storage.upper()]) as writer:
        connection = writer.add_connection('/camera/image_raw', kind, typestore=store)
        for number, image in enumerate(images):
            stamp = types['builtin_interfaces/msg/Time'](1_700_000_000, number)
            header = types['std_msgs/msg/Header'](stamp, 'camera')
            height, width = image.shape[:2]
            message = types[kind](header, height, width, 'rgb8', 0, 3 * width, image.reshape(-1))
            writer.write(connection, START_NS + number, store.serialize_cdr(message, kind))
    return folder
