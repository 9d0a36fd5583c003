"""cerfevpr localize."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cerfevpr_core.cli.options import add_images, add_settings, frames_of, track, typed, write_json
from cerfevpr_core.errors import ImageError

if TYPE_CHECKING:
    from cerfevpr_core.place_map import Candidate
    from cerfevpr_core.recognizer import Answer, PlaceRecognizer, Recognition
    from cerfevpr_core.verification import PoseEstimate


def add_commands(commands: Any) -> None:
    """Put the commands of this file under the program's."""
    parser = commands.add_parser('localize', help='find the places of images in a map')
    parser.add_argument('map', type=Path, metavar='MAP')
    add_images(parser)
    parser.add_argument('--camera', type=Path, metavar='FILE', help='ROS calibration YAML')
    parser.add_argument('--top-k', type=int, metavar='K', help='candidates an image')
    parser.add_argument(
        '--unordered', action='store_true', help='the images are no sequence: each by itself'
    )
    parser.add_argument(
        '--frame-tolerance',
        type=int,
        metavar='K',
        help='numbers in names tell the truth for the report: right within K of each other',
    )
    parser.add_argument('--json', type=Path, metavar='FILE', help='write every answer')
    parser.add_argument('--report', type=Path, metavar='DIR', help='write report.html')
    add_settings(parser)
    parser.set_defaults(run=_localize)


def _localize(options: argparse.Namespace) -> None:
    from cerfevpr_core.data.frames import FolderFrames
    from cerfevpr_core.data.positions import read_camera
    from cerfevpr_core.evaluation.pairs import jpeg_of
    from cerfevpr_core.recognizer import Answer, PlaceRecognizer

    frames = frames_of(options)
    camera = read_camera(options.camera) if options.camera else None
    overrides = {} if options.top_k is None else {'map.top_k': options.top_k}
    recognizer = PlaceRecognizer.load(
        options.map, options.config, tuple(options.assignments), overrides
    )
    sequence = None if options.unordered else recognizer.sequence()
    answers: list[Answer] = []
    for frame in track(frames, 'localizing', len(frames)):
        recognition = recognizer.recognize(frame.image, camera=camera, sequence=sequence)
        picture = jpeg_of(frame.image) if options.report else b''
        answers.append(Answer(frame.name, recognition, picture))
        print(_line(frame.name, recognition), flush=True)
    if not answers:
        raise ImageError('none of the images could be read; nothing was localized')
    if options.json:
        left_out = frames.left_out if isinstance(frames, FolderFrames) else {}
        write_json(as_json(options.map, recognizer, answers, left_out), options.json)
    if options.report:
        _report(recognizer, answers, options.frame_tolerance, options.report / 'report.html')
    recognizer.close()


def _report(
    recognizer: PlaceRecognizer, answers: list[Answer], tolerance: int | None, file: Path
) -> None:
    from cerfevpr_core.config import settings
    from cerfevpr_core.evaluation.report import report_from_localization, write_report

    used = settings(recognizer.config)
    write_report(
        report_from_localization(
            recognizer, answers, tolerance=tolerance, settings=used, command=typed()
        ),
        file,
    )
    print(f'report -> {file}')


def as_json(
    folder: Path,
    recognizer: PlaceRecognizer,
    answers: list[Answer],
    left_out: Mapping[str, str],
) -> dict[str, Any]:
    """The answers as `--json` writes them."""
    return {
        'map': str(folder),
        'model_fingerprint': recognizer.describer.fingerprint,
        'images': [
            {
                'image': answer.name,
                'decision': answer.recognition.decision.name,
                'nowhere': answer.recognition.nowhere,
                'stage_ms': {k: round(v, 3) for k, v in answer.recognition.stage_ms.items()},
                'pose': _pose(answer.recognition.pose),
                'pose_reason': answer.recognition.pose_reason,
                'candidates': [_candidate(c, answer) for c in answer.recognition.candidates],
            }
            for answer in answers
        ],
        'left_out': [{'image': name, 'reason': reason} for name, reason in left_out.items()],
    }


def _pose(estimate: PoseEstimate | None) -> dict[str, Any] | None:
    """Of the query's camera in the map; the covariance is of x, y, z and turns about them."""
    if estimate is None:
        return None
    return {
        'pose': [*estimate.pose.position_m, *estimate.pose.quaternion],
        'covariance': estimate.covariance.tolist(),
        'num_inliers': estimate.num_inliers,
        'keyframe_ids': list(estimate.keyframe_ids),
    }


def _candidate(candidate: Candidate, answer: Answer) -> dict[str, Any]:
    pose, found = candidate.pose, answer.recognition.pose
    is_seen = found is not None and candidate.keyframe_id in found.keyframe_ids
    return {
        'keyframe_id': candidate.keyframe_id,
        'external_id': candidate.external_id,
        'image': candidate.name,
        'similarity': candidate.similarity,
        'landmark_similarity': candidate.landmark_similarity,
        'landmark_shift': matches.shift if (matches := candidate.landmark_matches) else None,
        'belief': candidate.belief,
        'probability': candidate.probability,
        'verified': candidate.verified,
        'num_inliers': candidate.num_inliers,
        'keyframe_pose': [*pose.position_m, *pose.quaternion] if pose else None,
        'inlier_ratio': candidate.inlier_ratio,
        'pose': [*found.pose.position_m, *found.pose.quaternion] if found and is_seen else None,
        'reject_reason': candidate.reject_reason,
    }


def _line(name: str, recognition: Recognition) -> str:
    if not recognition.candidates:
        return f'{name}  {recognition.decision.name}'
    best = recognition.candidates[0]
    line = f'{name}  {recognition.decision.name}  {best.name}  {best.similarity:.3f}'
    if recognition.pose is not None:
        x, y, z = recognition.pose.pose.position_m
        return f'{line}  at {x:.2f} {y:.2f} {z:.2f} m'
    return f'{line}  no pose: {recognition.pose_reason}' if recognition.pose_reason else line
