"""cerfevpr train gan|descriptor|landmarks: each network's training has a file of its own."""

from __future__ import annotations

from typing import Any

from cerfevpr_core.cli import train_descriptor, train_gan, train_landmarks


def add_commands(commands: Any) -> None:
    """Put the trainings under the program's commands."""
    parser = commands.add_parser('train', help='train generators, descriptors and landmarks')
    actions = parser.add_subparsers(required=True, metavar='NETWORK')
    for part in (train_descriptor, train_gan, train_landmarks):
        part.add_action(actions)
