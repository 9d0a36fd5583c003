"""An answer of the localizer as the replay logs it: one JSON line, or words."""

from __future__ import annotations

import math
from typing import Any

from cerfevpr_msgs.msg import PlaceMatchArray
from cerfevpr_ros.conversions import pose_from_msg


def answer_line(
    name: str, stamp_ns: int, answer: tuple[PlaceMatchArray, float] | None
) -> dict[str, Any]:
    """What is logged of the answer, a message and its latency in ms, to an image."""
    if answer is None:
        return {'image': name, 'answered': False}
    msg, latency_ms = answer
    stage_ms = dict(zip(msg.stages, map(float, msg.stage_ms), strict=True))
    return {
        'image': name,
        'answered': True,
        'stamp_ns': stamp_ns,
        'decision': ('UNKNOWN', 'MATCH', 'AMBIGUOUS')[msg.decision],
        'keyframe_ids': [m.keyframe_id for m in msg.matches],
        'similarities': [float(m.similarity) for m in msg.matches],
        'probability': _probability(msg),
        'pose': _pose(msg),
        'latency_ms': latency_ms,
        'stage_ms': stage_ms,
        'map_id': msg.map_id,
        'model_fingerprint': msg.model_fingerprint,
    }


def _probability(msg: PlaceMatchArray) -> float | None:
    """That of the first match, in a map that knows it."""
    if not msg.matches or math.isnan(msg.matches[0].probability):
        return None
    return float(msg.matches[0].probability)


def _pose(msg: PlaceMatchArray) -> list[float] | None:
    """x y z qx qy qz qw of the camera in the map, where it was found."""
    posed = (m.pose_in_map.pose for m in msg.matches if m.has_pose and m.scale_known)
    if (pose := next(posed, None)) is None:
        return None
    found = pose_from_msg(pose)
    return [*found.position_m, *found.quaternion]


def in_words(line: dict[str, Any]) -> str:
    """An answered line, short."""
    best = f'keyframe {line["keyframe_ids"][0]}, ' if line['keyframe_ids'] else ''
    similarity = line['similarities'][0] if line['similarities'] else math.nan
    likely = line['probability']
    at = ', '.join(f'{value:.2f}' for value in (line['pose'] or [])[:3])
    return (
        f'{line["image"]}: {line["decision"]} {best}'
        + (f'probability {likely:.2f}, ' if likely is not None else '')
        + f'similarity {similarity:.3f}, '
        + (f'at ({at}) m, ' if at else '')
        + f'{line["latency_ms"]:.0f} ms'
    )
