"""Nodes as processes of their own: their environment, start, output and end."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[2]
PATIENCE_S = 240.0  # for what must happen; a busy machine takes its time
QUIET_DOMAIN = '101'  # no session's own, see _free_domain
ENDS_WITHIN_S = 8.0  # after a signal; 2 s on an idle machine
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
