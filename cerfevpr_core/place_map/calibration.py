"""The calibration that a map keeps, and how much of the map has changed since it was made."""

from __future__ import annotations

import json

from cerfevpr_core.place_map.damage import damage
from cerfevpr_core.place_map.store import KeyframeStore

_CONTENT, _STATE = 'calibration', 'calibration_state'


def read(store: KeyframeStore) -> bytes | None:
    """What was written last, or None. Raises DamagedMapError for what never was."""
    content = store.note(_CONTENT)
    if content is not None and not isinstance(content, bytes):
        reason = f'its calibration is {type(content).__name__}, not bytes'
        raise damage(store.folder, reason)
    return content


def write(store: KeyframeStore, content: bytes) -> None:
    """Keep it with the number of keyframes, and the last of them, that it was made with."""
    with store.writing():
        ids = store.ids()
        state = {
            'num_keyframes': len(ids),
            'last_id': int(ids[-1]) if len(ids) else 0,
            'generation': store.generation(),
        }
        store.put_notes({_CONTENT: content, _STATE: json.dumps(state)})


def in_words(age: int | None) -> str:
    """How well a calibration of some age fits its map; None: there is none."""
    if age is None:
        return 'none'
    return f'{age} keyframes added or removed since' if age else 'of the map as it is'


def age(store: KeyframeStore) -> int | None:
    """How many keyframes were added or removed since; None where there is no calibration.

    Raises DamagedMapError where that cannot be told.
    """
    with store.snapshot():
        text, ids = store.note(_STATE), store.ids()
    if text is None:
        return None
    try:
        state = json.loads(text)
        num_left = int((ids <= state['last_id']).sum())
        return (state['num_keyframes'] - num_left) + (len(ids) - num_left)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        reason = f'what its calibration was made for cannot be read ({error!r})'
        raise damage(store.folder, reason) from None
