"""A program that starts nodes: how it ends, by itself, by Ctrl-C, or by a user's error."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable

from cerfevpr_core.cli.options import STDERR
from cerfevpr_core.errors import CerfeVPRError


def run_as_program(run: Callable[[], int]) -> int:
    """Its own exit code, 2 for a user's error, 130 if it is interrupted."""
    logging.basicConfig(format='%(levelname)s: %(message)s')
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a script has us ignore Ctrl-C
        signal.signal(number, signal.default_int_handler)
    try:
        return run()
    except CerfeVPRError as error:
        STDERR.print(f'error: {error}', markup=False, soft_wrap=True)
        return 2
    except KeyboardInterrupt:
        STDERR.print('interrupted; the nodes are stopped')
        return 130
