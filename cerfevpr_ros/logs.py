"""The core's log lines -> the node's, so that they reach /rosout."""

from __future__ import annotations

import logging

from rclpy.node import Node

_PACKAGES = ('cerfevpr_core', 'cerfevpr_ros')


class _ToNode(logging.Handler):
    def __init__(self, node: Node) -> None:
        super().__init__()
        self.node = node

    def emit(self, record: logging.LogRecord) -> None:
        logger, text = self.node.get_logger(), self.format(record)
        if record.levelno >= logging.ERROR:
            logger.error(text)
        elif record.levelno >= logging.WARNING:
            logger.warning(text)
        else:
            logger.info(text)


def forward_logs(node: Node) -> None:
    """From now on what cerfevpr_core and cerfevpr_ros log appears as the node's own lines."""
    handler = _ToNode(node)
    handler.setFormatter(logging.Formatter('%(message)s'))
    for name in _PACKAGES:
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(logging.INFO)
        logger.propagate = False


def stop_forwarding() -> None:
    """Let go of the node."""
    for name in _PACKAGES:
        logging.getLogger(name).handlers.clear()
