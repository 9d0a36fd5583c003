"""The map: keyframes in SQLite, the only truth, and a vector index derived from them."""

from cerfevpr_core.place_map.keyframes import Candidate, Keyframe
from cerfevpr_core.place_map.manifest import FIT, UNIVERSAL, Manifest
from cerfevpr_core.place_map.place_map import PlaceMap

__all__ = ['FIT', 'UNIVERSAL', 'Candidate', 'Keyframe', 'Manifest', 'PlaceMap']
