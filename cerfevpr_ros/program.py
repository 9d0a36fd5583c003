"""A node as a program: from its start until it is told to stop."""

from __future__ import annotations

import gc
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import rclpy
from rclpy.context import Context
from rclpy.executors import Executor, ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.utilities import try_shutdown

from cerfevpr_core.errors import CerfeVPRError
from cerfevpr_ros.executor import StandingExecutor
from cerfevpr_ros.heaps import share_heaps
from cerfevpr_ros.logs import forward_logs, stop_forwarding
from cerfevpr_ros.parameters import own_parameter

_Node = TypeVar('_Node', bound=Node)
_Managed = TypeVar('_Managed', bound=LifecycleNode)
_PATIENCE_S = 2.0  # with rclpy's answer to a signal, which takes some milliseconds


def run_program(
    name: str, make: Callable[[], _Node], run: Callable[[_Node], int], arguments: list[str] | None
) -> int:
    """Make a node and run it; 0 where it was told to stop, 1 for a user's error."""
    share_heaps()
    rclpy.init(args=arguments)
    node: _Node | None = None
    try:
        node = make()
        forward_logs(node)
        return run(node)
    except CerfeVPRError as error:
        rclpy.logging.get_logger(name).fatal(str(error))
        return 1
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    except Exception:
        if rclpy.ok():
            raise
        return 0  # SIGTERM ended the context meanwhile
    finally:
        # A terminal's Ctrl-C and `ros2 launch` each send a signal; the first is enough.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if node is not None:
            node.destroy_node()
        try_shutdown()
        # A lifecycle node keeps its DDS participant, with 9 MB of shared memory that would stay
        # in /dev/shm, until nothing refers to it any more.
        node = None
        stop_forwarding()
        gc.collect()


@contextmanager
def shut_down(executor: Executor) -> Iterator[None]:
    """Shut an executor down at the block's end, after a signal as soon as that is safe."""
    try:
        yield
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _let_rclpy_answer(executor.context)
        raise
    finally:
        executor.shutdown()


def _let_rclpy_answer(context: Context) -> None:
    """A thread of rclpy's answers SIGINT beside Python and reads what `shutdown` of an executor
    frees, without a lock: a crash now and then. The last that it does is to end the context.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while context.ok() and time.monotonic() < deadline:
        time.sleep(0.005)


def run_lifecycle(name: str, make: Callable[[], _Managed], arguments: list[str] | None) -> int:
    """Run a lifecycle node, which starts by itself with `autostart`; 1 if it cannot."""
    return run_program(name, make, _run_lifecycle, arguments)


def _run_lifecycle(node: LifecycleNode) -> int:
    executor = StandingExecutor()
    executor.add_node(node)
    with shut_down(executor):
        if own_parameter(node, 'autostart', True) and not _start(node):
            return 1 if rclpy.ok() else 0
        executor.spin()
    return 0


def _start(node: LifecycleNode) -> bool:
    success = TransitionCallbackReturn.SUCCESS
    return bool(node.trigger_configure() == success and node.trigger_activate() == success)
