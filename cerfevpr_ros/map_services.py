"""`~/save_map` and `~/load_map`, the same for every node that has a map."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from rclpy.node import Node

from cerfevpr_core.errors import CerfeVPRError, MapError
from cerfevpr_core.map_folders import MapRoot
from cerfevpr_core.place_map import PlaceMap
from cerfevpr_msgs.srv import LoadMap, SaveMap

_MAX_MESSAGE = 1000  # characters: what was refused may be long, the answer need not

Response = TypeVar('Response', bound=Any)  # one with `success` and `message`


class MapServices:
    """Copies the map of a node elsewhere, and has the node take another one.

    `place_map` gives the map in use, None before configure; `load` replaces it by that of a
    folder, or raises and keeps it. Paths lead below `map_root`, or if that is empty below the
    folder that the first map lies in.
    """

    def __init__(
        self,
        node: Node,
        map_root: str,
        place_map: Callable[[], PlaceMap | None],
        load: Callable[[Path], None],
    ) -> None:
        self._node, self._map_root = node, map_root
        self._place_map, self._load = place_map, load
        self._root: MapRoot | None = None
        node.create_service(SaveMap, '~/save_map', self._on_save)
        node.create_service(LoadMap, '~/load_map', self._on_load)

    def configured(self, folder: Path) -> None:
        """The node has opened the map of a folder."""
        self._root = MapRoot(Path(self._map_root) if self._map_root else folder.resolve().parent)

    def _on_save(self, request: SaveMap.Request, response: SaveMap.Response) -> SaveMap.Response:
        def save() -> None:
            place_map, root = self._in_use()
            place_map.save(root.free(request.path) if request.path else None)

        return answered(self._node, response, save)

    def _on_load(self, request: LoadMap.Request, response: LoadMap.Response) -> LoadMap.Response:
        def load() -> None:
            _, root = self._in_use()
            self._load(root.existing(request.path))
            place_map, _ = self._in_use()
            response.map_id = place_map.manifest.map_id
            self._node.get_logger().info(f'{len(place_map)} keyframes from {place_map.folder}')

        return answered(self._node, response, load)

    def _in_use(self) -> tuple[PlaceMap, MapRoot]:
        place_map = self._place_map()
        if place_map is None or self._root is None:
            raise MapError(f'the {self._node.get_name()} is not configured: no map is loaded')
        return place_map, self._root


def answered(node: Node, response: Response, serve: Callable[[], None]) -> Response:
    """The response of a service, which says why if it failed; a bad request costs itself alone."""
    try:
        serve()
        response.success = True
    except CerfeVPRError as error:
        response.message = str(error)[:_MAX_MESSAGE]
    except Exception as error:  # out of the callback it would end the node
        node.get_logger().error(traceback.format_exc())
        response.message = f'internal error: {error!r}'[:_MAX_MESSAGE]
    return response
