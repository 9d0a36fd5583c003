"""The model that a map belongs to: what the map says of it, and the describer that fits."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from cerfevpr_core.config import Config, model_settings, settings
from cerfevpr_core.describer import Describer
from cerfevpr_core.errors import MapError, WeightsError
from cerfevpr_core.place_map import FIT, UNIVERSAL, Manifest, PlaceMap
from cerfevpr_core.place_map.store import KeyframeStore


def map_settings(folder: Path) -> dict[str, Any]:
    """The model's settings that a map was made with, to start from when it is opened."""
    known = settings(Config())
    with closing(KeyframeStore.open(folder)) as store:
        return {k: v for k, v in store.manifest.settings.items() if k in known}


def matching_describer(config: Config, place_map: PlaceMap) -> Describer:
    """The describer for a map, with what was fitted on it. Raises MapError if it is another."""
    try:
        describer = Describer(config)
    except WeightsError:
        # The map's landmarks are of its own features: that the model is another says more.
        landmarks = replace(config.landmarks, selection='none')
        _require_same_model(Describer(replace(config, landmarks=landmarks)), place_map)
        raise
    _require_same_model(describer, place_map)
    theirs = place_map.manifest.settings
    wanted, known = describer.selector.selection, theirs['landmarks.selection']
    if wanted not in ('none', known):
        raise MapError(
            f'the map has landmarks selected by {known}, landmarks.selection is {wanted}; leave '
            'it out, set it to none, or build the map again'
        )
    kept = place_map.manifest.settings['verification.mode']
    if config.verification.mode == 'always' and kept != 'always':
        raise MapError(
            'the map keeps no keypoints to verify with; build it again with '
            'verification.mode=always, or leave this setting out'
        )
    describer.load_fitted(place_map.manifest.fitted)
    return describer


def _require_same_model(describer: Describer, place_map: PlaceMap) -> None:
    ours, theirs = model_settings(describer.config), place_map.manifest.settings
    differing = [
        f'{name} is {ours[name]}, the map has {theirs.get(name)}'
        for name in ours
        if not name.endswith('.weights') and _plain(ours[name]) != _plain(theirs.get(name))
    ]
    place_map.require(describer.fingerprint, differing)


def new_manifest(describer: Describer, verifies: bool = False) -> Manifest:
    """What a map made with this describer says of itself. Fit the describer first."""
    if describer.needs_fit:
        raise MapError('nothing to fit the method on; give at least one image')
    config = describer.config
    parts = {name: _plain(value) for name, value in model_settings(config).items()}
    # Not the model's, but a later start wants them too:
    parts['map.index'] = config.map.index
    parts['landmarks.selection'] = describer.selector.selection
    parts['landmarks.num_landmarks'] = config.landmarks.num_landmarks
    parts['landmarks.weights'] = config.landmarks.weights
    parts['verification.mode'] = 'always' if verifies else 'never'
    for name in ('detector', 'weights', 'num_keypoints', 'detect_px'):
        parts[f'verification.{name}'] = getattr(config.verification, name)
    return Manifest(describer.fingerprint, parts, describer.descriptor_dim, describer.fitted())


def create_live_map(folder: Path, config: Config, verifies: bool | None = None) -> None:
    """An empty map that a robot fills while it drives.

    Its keyframes keep keypoints if `verifies`; by default unless verification.mode is `never`.
    Raises MapError for a method that must see the images first, and where there is a map already.
    """
    describer = Describer(config)
    describer.load_universal()
    if verifies is None:
        verifies = config.verification.mode != 'never'
    manifest = new_manifest(describer, verifies)
    if manifest.fitted:
        manifest = replace(manifest, settings=dict(manifest.settings) | {FIT: UNIVERSAL})
    PlaceMap.create(folder, manifest, config.map.index).close()


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
