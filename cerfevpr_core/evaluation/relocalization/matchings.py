"""Which keypoints of a query match which of a keyframe: in words, in regions, or anywhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np

from cerfevpr_core.config import VerificationConfig
from cerfevpr_core.evaluation.bag_of_words import match_in_words
from cerfevpr_core.evaluation.bag_of_words.matching import MAX_DISTANCE
from cerfevpr_core.landmarks import match_landmarks
from cerfevpr_core.verification.keypoints import Kind
from cerfevpr_core.verification.matching import Matches, match
from cerfevpr_core.verification.regions import Regions, matched_regions

from .seen import WORDS, Seen

NUM_BITS = 256  # of a binary descriptor
NODE_LEVEL = 1  # counted from 0: of ten nodes by ten, as ORB-SLAM matches in the second level


class Matching(Protocol):
    """Matches of a query's keypoints with a keyframe's."""

    name: str
    kind: Kind
    needs: tuple[str, ...]  # parts of a query it takes, whose time counts as its own

    def match(self, query: Seen, keyframe: Seen) -> Matches: ...


class InWords:
    """Binary keypoints of one node of the vocabulary tree, as ORB-SLAM matches them."""

    name = 'words'
    kind: Kind = WORDS
    needs: tuple[str, ...] = (WORDS, 'words')

    def match(self, query: Seen, keyframe: Seen) -> Matches:
        """See Matching."""
        level = min(NODE_LEVEL, query.nodes.shape[1] - 1)
        bits0, bits1 = query.bits, keyframe.bits
        pairs, differing = match_in_words(
            bits0, query.nodes[:, level], bits1, keyframe.nodes[:, level]
        )
        similarities = (1 - 2 * differing / NUM_BITS).astype(np.float32)
        return Matches(pairs, similarities)


def settings_of(config: VerificationConfig, kind: Kind) -> VerificationConfig:
    """Those of a kind of keypoints: bits match up to ORB-SLAM's distance.

    Nor does ORB-SLAM ask whether the rest of the map looks as a pose says. Bits hardly ever do in
    another light: the bar would refuse half of their true poses, and they have few false ones.
    """
    if kind != WORDS:
        return config
    return replace(config, min_similarity=1 - 2 * MAX_DISTANCE / NUM_BITS, min_agreement=0.0)


class InRegions:
    """Keypoints of regions whose landmarks matched."""

    name = 'regions'

    def __init__(self, config: VerificationConfig, kind: Kind) -> None:
        self.config, self.kind = settings_of(config, kind), kind
        self.needs: tuple[str, ...] = (kind, 'landmarks')

    def match(self, query: Seen, keyframe: Seen) -> Matches:
        """See Matching."""
        sides = query.keypoints[self.kind], keyframe.keypoints[self.kind]
        return match(*sides, _regions(query, keyframe), self.config)


class Anywhere:
    """Mutual nearest neighbours of the whole images."""

    name = 'anywhere'

    def __init__(self, config: VerificationConfig, kind: Kind) -> None:
        self.config, self.kind = settings_of(config, kind), kind
        self.needs: tuple[str, ...] = (kind,)

    def match(self, query: Seen, keyframe: Seen) -> Matches:
        """See Matching."""
        return match(query.keypoints[self.kind], keyframe.keypoints[self.kind], None, self.config)


def _regions(query: Seen, keyframe: Seen) -> Regions:
    (matched,) = match_landmarks(query.landmarks, [keyframe.landmarks])
    return matched_regions(matched, query.landmarks, keyframe.landmarks, query.size, keyframe.size)
