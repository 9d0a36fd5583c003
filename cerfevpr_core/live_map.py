"""A map that grows while the robot drives: one image at a time, each on disk when it is told."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cerfevpr_core.config import Config, load_config
from cerfevpr_core.describer import Describer
from cerfevpr_core.errors import MapError
from cerfevpr_core.geometry import Pose
from cerfevpr_core.keyframe_maker import KeyframeMaker, Shot
from cerfevpr_core.keyframe_policy import KeyframePolicy, Moment
from cerfevpr_core.map_model import create_live_map, map_settings, matching_describer
from cerfevpr_core.place_map import Keyframe, PlaceMap
from cerfevpr_core.place_map.store import FILE
from cerfevpr_core.verification import load_detector
from cerfevpr_core.view import View

log = logging.getLogger(__name__)

MAX_TEXT = 256  # characters of an external_id or of a traverse
_MAX_POSITION_M = 1e8  # beyond every projected coordinate on Earth


@dataclass(frozen=True)
class Added:
    """A new keyframe, and what later stages need of it; a view it has only if it is new."""

    keyframe_id: int
    keyframe: Keyframe | None = None
    view: View | None = None


class LiveMapper:
    """A map open for additions, with the model that made it; several threads may use it."""

    def __init__(self, config: Config, describer: Describer, place_map: PlaceMap) -> None:
        self.config, self.place_map = config, place_map
        keeps_keypoints = place_map.manifest.settings.get('verification.mode') == 'always'
        detector = load_detector(config.verification) if keeps_keypoints else None
        self.maker = KeyframeMaker(config, describer, detector)
        self.policy = KeyframePolicy(config.mapping)
        self._adding = threading.Lock()
        self._warned = ''

    @staticmethod
    def load(
        folder: Path,
        create: bool = True,
        file: Path | None = None,
        assignments: tuple[str, ...] = (),
        overrides: Mapping[str, Any] | None = None,
    ) -> LiveMapper:
        """Open a map with the model that made it, or make an empty one where there is none.

        Raises MapError for a map that is damaged or of another model, and for a folder that holds
        something else.
        """
        if create and not (folder / FILE).exists():
            _require_free(folder)
            create_live_map(folder, load_config(file, assignments, overrides))
        config = load_config(file, assignments, overrides, map_settings(folder))
        with ExitStack() as on_error:
            place_map = PlaceMap.open(folder, config.map.index)
            on_error.callback(place_map.store.close)
            mapper = LiveMapper(config, matching_describer(config, place_map), place_map)
            on_error.pop_all()
        return mapper

    @property
    def fingerprint(self) -> str:
        """Of the model that describes."""
        return self.maker.describer.fingerprint

    def reason_against(self, moment: Moment) -> str:
        """Why the policy wants no keyframe now; empty if it wants one."""
        return self.policy.reason_against(moment)

    def add(self, shot: Shot, traverse: str = '', external_id: str = '') -> Added:
        """Add an image, whatever the policy says; on return it is on disk.

        An image that is there already, with the same external_id, stamp and traverse, is not added
        again: it gives the keyframe's id alone. Raises ImageError for a bad image; MapError for
        another image under an external_id of the map, and for a pose or text that cannot be.
        """
        for what, text in (('external_id', external_id), ('traverse', traverse)):
            _require_short(what, text)
        if shot.pose is not None:
            _require_possible(shot.pose)
        shot = self._with_fitting_camera(shot)
        with self._adding:
            if known := self._known(shot, traverse, external_id):
                return Added(known)
            name = external_id or f'{shot.stamp_ns / 1e9:.9f}'
            view, made = self.maker.make(shot, name, traverse, external_id)
            (keyframe_id,) = self.place_map.add([made])
            self.policy.added(Moment(shot.stamp_ns, shot.pose))
        return Added(keyframe_id, made, view)

    def remove(self, keyframe_id: int, external_id: str = '') -> int:
        """Remove the keyframe with this external_id, or else this id; returns its id.

        Raises MapError if there is none.
        """
        found = self.place_map.find(external_id) if external_id else keyframe_id
        if found is None:
            raise MapError(
                f'no keyframe has the external_id {external_id[:MAX_TEXT]!r}; nothing was removed'
            )
        self.place_map.remove([found])
        return found

    def update_poses(self, keyframe_ids: Iterable[int], poses: Iterable[Pose]) -> None:
        """Give keyframes other poses, all of them or none. Raises MapError."""
        ids, given = list(keyframe_ids), list(poses)
        if len(ids) != len(given):
            raise MapError(
                f'{len(ids)} keyframe ids came with {len(given)} poses, expected one pose for '
                'each; no pose was changed'
            )
        if len(set(ids)) < len(ids):
            raise MapError('a keyframe id comes twice, expected one pose each; none was changed')
        for pose in given:
            _require_possible(pose)
        self.place_map.update_poses(ids, given)

    def close(self) -> None:
        """Finish what is being added, and close the map."""
        with self._adding:
            self.place_map.close()

    def _known(self, shot: Shot, traverse: str, external_id: str) -> int | None:
        known = self.place_map.find(external_id) if external_id else None
        if known is None:
            return None
        candidate = next(iter(self.place_map.store.candidates([(known, 0.0)])), None)
        if candidate is None:
            return None  # another program has just removed it
        if (candidate.stamp_ns, candidate.traverse) == (shot.stamp_ns, traverse):
            return known  # the same request once more: its answer was lost
        raise MapError(
            f'keyframe {known} of the map has the external_id {external_id!r} already, with '
            f'another stamp or traverse; nothing was added; remove it first, or give another id'
        )

    def _with_fitting_camera(self, shot: Shot) -> Shot:
        height, width = shot.image.shape[:2]
        camera = shot.camera
        if camera is not None and (camera.width_px, camera.height_px) == (width, height):
            return shot
        if camera is not None:
            self._warn(
                f'the camera is calibrated for {camera.width_px} x {camera.height_px} pixels, its '
                f'images have {width} x {height}: keyframes get neither camera nor 3-D points'
            )
        elif shot.depth_m is not None:
            self._warn('depth without a calibrated camera: keyframes get no 3-D points')
        return replace(shot, camera=None, depth_m=None)

    def _warn(self, text: str) -> None:
        if text != self._warned:  # once, not for each image
            self._warned = text
            log.warning(text)


def _require_free(folder: Path) -> None:
    if folder.is_dir() and any(not f.name.endswith('.new') for f in folder.iterdir()):
        raise MapError(
            f'{folder} holds files but no map; give a new or empty folder, or that of a map'
        )
    if folder.exists() and not folder.is_dir():
        raise MapError(f'{folder} is a file; expected the folder of a map, or a new one')


def _require_short(what: str, text: str) -> None:
    if len(text) > MAX_TEXT or not text.isprintable():
        raise MapError(
            f'{what} {text[:40]!r} has {len(text)} characters, expected at most {MAX_TEXT}, all '
            'printable; nothing was added'
        )


def _require_possible(pose: Pose) -> None:
    numbers = np.array([*pose.position_m, *pose.quaternion], np.float64)
    length = float(np.linalg.norm(numbers[3:]))
    if not np.isfinite(numbers).all() or np.abs(numbers[:3]).max() > _MAX_POSITION_M:
        found = ', '.join(f'{n:g}' for n in pose.position_m)
        raise MapError(f'a pose has position ({found}), expected metres, finite; nothing was done')
    if abs(length - 1) > 1e-3:
        raise MapError(
            f'a pose has a quaternion of length {length:g}, expected 1; nothing was done'
        )
