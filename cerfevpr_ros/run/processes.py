"""Start nodes as processes of their own, and leave none behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PATIENCE_S = 5.0


@contextmanager
def node_process(
    module: str, parameters: Mapping[str, Any], folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `python -m module` with ROS parameters; its output goes to a log in `folder`.

    It ends with the block, however that is left, and also if this process is killed.
    """
    name = module.rpartition('.')[2]
    params_file = folder / f'{name}.yaml'
    tree = {'/**': {'ros__parameters': dict(parameters)}}
    params_file.write_text(yaml.safe_dump(tree), encoding='utf-8')
    command = [sys.executable, '-m', module, '--ros-args', '--params-file', str(params_file)]
    with (folder / f'{name}.log').open('wb') as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | {'PYTHONUNBUFFERED': '1'},
            start_new_session=True,  # Ctrl-C reaches us alone; we end the nodes in order
            preexec_fn=_die_with_parent,
        )
        try:
            yield process
        finally:
            _end(process)


def log_of(module: str, folder: Path) -> str:
    """The last lines that a node printed."""
    lines = (folder / f'{module.rpartition(".")[2]}.log').read_text(errors='replace').splitlines()
    return '\n'.join(lines[-8:])


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask, then insist, then kill: the process itself and whatever it started."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        _wait(process)


def _wait(process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
