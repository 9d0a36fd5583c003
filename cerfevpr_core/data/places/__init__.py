"""Places to train on: readers for public sets, folders of places, and traverses with poses."""

from cerfevpr_core.data.places.overlap import keep_overlapping
from cerfevpr_core.data.places.place import Place, PlaceSet
from cerfevpr_core.data.places.read import Layout, Source, read_places

__all__ = ['Layout', 'Place', 'PlaceSet', 'Source', 'keep_overlapping', 'read_places']
