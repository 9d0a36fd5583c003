"""cerfevpr <command>: parse, call, print."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence

from cerfevpr_core.cli import (
    ablate,
    bench,
    draw,
    evaluate,
    hooks,
    landmarks,
    localize,
    maps,
    train,
    variants,
    weights,
)
from cerfevpr_core.cli.options import STDERR
from cerfevpr_core.errors import CerfeVPRError

DONE, DAMAGED, USER_ERROR, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 1 `map check` found damage, 2 a user's error, 130 interrupted."""
    options = _parser().parse_args(arguments)
    level = logging.INFO if options.verbose else logging.WARNING
    logging.basicConfig(level=level, handlers=[_AboveProgress()], force=True)
    try:
        code = int(options.run(options) or DONE)
        sys.stdout.flush()  # here, where a closed pipe is still an exception
        return code
    except CerfeVPRError as error:
        print(f'error: {error}', file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `cerfevpr ... | head`
        # What is still buffered must go somewhere, or Python complains of it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


class _AboveProgress(logging.Handler):
    """Log lines, whole and never wrapped, above a progress bar that may be running."""

    def emit(self, record: logging.LogRecord) -> None:
        text = f'{record.levelname.lower()}: {record.getMessage()}'
        STDERR.print(text, markup=False, highlight=False, soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='cerfevpr', description='Visual place recognition: build maps, find places, measure.'
    )
    parser.add_argument('-v', '--verbose', action='store_true', help='say what is being done')
    commands = parser.add_subparsers(title='commands', required=True, metavar='COMMAND')
    parts = (weights, maps, localize, evaluate, variants, landmarks, train, ablate, bench, draw)
    for part in (*parts, hooks):
        part.add_commands(commands)
    return parser
