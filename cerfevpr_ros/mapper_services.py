"""What a SLAM system asks of the mapper: add, remove, move keyframes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cerfevpr_core.errors import MapError
from cerfevpr_core.keyframe_maker import Shot
from cerfevpr_core.live_map import MAX_TEXT, LiveMapper
from cerfevpr_msgs.srv import AddKeyframe, RemoveKeyframe, UpdatePoses
from cerfevpr_ros.conversions import image_from_msg, pose_from_msg, stamp_to_ns
from cerfevpr_ros.map_services import answered

if TYPE_CHECKING:
    from geometry_msgs.msg import Pose as PoseMsg

    from cerfevpr_core.geometry import Pose
    from cerfevpr_ros.mapper import Mapper


class MapperServices:
    """`~/add_keyframe`, `~/remove_keyframe` and `~/update_poses`."""

    def __init__(self, mapper: Mapper) -> None:
        self.mapper = mapper
        mapper.create_service(AddKeyframe, '~/add_keyframe', self._on_add)
        mapper.create_service(RemoveKeyframe, '~/remove_keyframe', self._on_remove)
        mapper.create_service(UpdatePoses, '~/update_poses', self._on_update)

    def _on_add(
        self, request: AddKeyframe.Request, response: AddKeyframe.Response
    ) -> AddKeyframe.Response:
        def add() -> None:
            header = request.image.header
            if len(header.frame_id) > MAX_TEXT:
                raise MapError(f'frame_id has {len(header.frame_id)} characters')
            pose, image = _pose_or_none(request.pose), image_from_msg(request.image)
            stamp_ns = stamp_to_ns(header.stamp)
            beside = self.mapper.beside
            depth_m = beside.depth(stamp_ns, may_wait=False) if beside.use_depth else None
            shot = Shot(image, stamp_ns, pose, self.mapper.camera, depth_m)
            with self.mapper.in_use:
                traverse = request.traverse or self.mapper.traverse
                added = self._live_map().add(shot, traverse, request.external_id)
                if added.keyframe is not None:  # else it was there already
                    self.mapper.told(added, header)
            response.keyframe_id = added.keyframe_id

        return answered(self.mapper, response, add)

    def _on_remove(
        self, request: RemoveKeyframe.Request, response: RemoveKeyframe.Response
    ) -> RemoveKeyframe.Response:
        def remove() -> None:
            with self.mapper.in_use:
                self._live_map().remove(request.keyframe_id, request.external_id)

        return answered(self.mapper, response, remove)

    def _on_update(
        self, request: UpdatePoses.Request, response: UpdatePoses.Response
    ) -> UpdatePoses.Response:
        def update() -> None:
            with self.mapper.in_use:
                live_map = self._live_map()
                num_ids, num_keyframes = len(request.keyframe_ids), len(live_map.place_map)
                if num_ids > num_keyframes:  # before so many messages are looked at one by one
                    raise MapError(
                        f'{num_ids} poses for a map of {num_keyframes} keyframes; no pose was '
                        'changed'
                    )
                poses = [pose_from_msg(pose) for pose in request.poses[: num_ids + 1]]
                live_map.update_poses(request.keyframe_ids, poses)

        return answered(self.mapper, response, update)

    def _live_map(self) -> LiveMapper:
        if self.mapper.live_map is None:
            raise MapError('the mapper is not configured: no map is open')
        return self.mapper.live_map


def _pose_or_none(msg: PoseMsg) -> Pose | None:
    """None for an all-zero orientation, which is none. Raises CerfeVPRError."""
    q = msg.orientation
    return pose_from_msg(msg) if any((q.x, q.y, q.z, q.w)) else None
