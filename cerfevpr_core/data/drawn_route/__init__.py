"""The drawn route: a street rendered with exact poses, depth and four conditions.

What stands where (`street`) is painted and lit once for each condition (`scene`), then looked at
through a pinhole (`render`) and through the weather (`weather`). `traverse` writes it to a folder,
`bag` to a rosbag2.
"""

from .bag import write_bag
from .conditions import CONDITIONS
from .route import DEFAULT_CAMERA, VIEWPOINTS, DrawnFrame, DrawnRoute, Viewpoint
from .traverse import write_traverse

__all__ = [
    'CONDITIONS',
    'DEFAULT_CAMERA',
    'VIEWPOINTS',
    'DrawnFrame',
    'DrawnRoute',
    'Viewpoint',
    'write_bag',
    'write_traverse',
]
