"""ablation.json: the protocol and what is measured so far; another protocol is refused."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cerfevpr_core.ablation.measure import (
    Ranks,
    difference,
    recalls,
    standard_error,
)
from cerfevpr_core.ablation.page import page
from cerfevpr_core.ablation.versions import Version, Versions
from cerfevpr_core.config import Config, settings
from cerfevpr_core.data.places import PlaceSet
from cerfevpr_core.errors import ConfigError, TrainingError
from cerfevpr_core.training.progress import differences
from cerfevpr_core.training.validation import Traverse

# They change where and how fast it runs, not what comes of it.
_FREE = ('map.', 'runtime.', 'gan.', 'train.num_workers', 'train.checkpoint_every_s')


class Record:
    """OUT/ablation.json and OUT/ablation.md, written anew whenever a version is measured.

    Raises ConfigError where they cannot be read or written, TrainingError where they are of
    another ablation.
    """

    def __init__(self, out: Path, protocol: Mapping[str, Any], command: str) -> None:
        self.out, self.file = out, out / 'ablation.json'
        self.protocol = json.loads(json.dumps(protocol))
        self.versions: list[dict[str, Any]] = []
        self.commands = [command]
        if self.file.exists():
            self._go_on(_read(self.file))
        self._write()

    def __contains__(self, name: str) -> bool:
        return any(row['name'] == name for row in self.versions)

    def add(self, version: Version, found: Ranks, **more: Any) -> None:
        """Note what a version answered, beside what the first one did."""
        row = {
            'name': version.name,
            'note': version.note,
            'differs': dict(version.differs),
            'trained': version.trains,
            **more,
            'recall': recalls(found),
            'standard_error': standard_error(found),
            'ranks': {name: rows.tolist() for name, rows in found.items()},
        }
        first = self.versions[0] if self.versions else row
        against = {name: np.array(rows) for name, rows in first['ranks'].items()}
        row['difference'] = difference(found, against)
        self.versions.append(json.loads(json.dumps(row)))
        self._write()

    def _go_on(self, earlier: Mapping[str, Any]) -> None:
        theirs, ours = _deciding(earlier['protocol']), _deciding(self.protocol)
        if differing := differences(ours, theirs, 'it', _short):
            raise TrainingError(
                f'{self.file} is of another ablation: {"; ".join(differing)}; put these back, or '
                'start anew in another --out'
            )
        self.versions = earlier['versions']
        self.commands = list(dict.fromkeys([*earlier['commands'], *self.commands]))

    def _write(self) -> None:
        content = {
            'protocol': self.protocol,
            'commands': self.commands,
            'versions': self.versions,
        }
        _replace(self.file, json.dumps(content, indent=1, allow_nan=False) + '\n')
        _replace(self.out / 'ablation.md', page(content))


def protocol_of(
    ablation: str,
    config: Config,
    versions: Versions,
    places: PlaceSet,
    traverses: Sequence[Traverse],
) -> dict[str, Any]:
    """All that must be known to read the table, or to measure it again."""
    return {
        'ablation': ablation,
        'settings': settings(config),
        'seed': config.train.seed,
        'places': places.summary(),
        'places_fingerprint': places.fingerprint(),
        'traverses': {
            t.name: {
                'num_database': len(t.database),
                'num_queries': len(t.queries),
                'num_answerable': int(t.right.any(axis=1).sum()),
                'fingerprint': _fingerprint(t),
            }
            for t in traverses
        },
        'radius_m': config.train.validation_radius_m,
        'query_batch': 1,
        'selection': 'the traverses choose no step and no setting',
        'first': versions.rows[0].name,
        'left_out': dict(versions.left_out),
        'torch': torch.__version__,
    }


def _fingerprint(traverse: Traverse) -> str:
    names = [f.name for f in (*traverse.database, *traverse.queries)]
    digest = hashlib.sha256('\n'.join(names).encode())
    digest.update(np.packbits(traverse.right).tobytes())
    return digest.hexdigest()[:16]


def _deciding(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """What must be the same for two rows to stand in one table."""
    flat = {
        name: value for name, value in protocol['settings'].items() if not name.startswith(_FREE)
    }
    apart = ('settings', 'torch', 'left_out')
    return flat | {name: value for name, value in protocol.items() if name not in apart}


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 200 else f'{text[:200]} ...'


def _read(file: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding='utf-8'))
        _ = found['protocol']['settings'], found['versions'], found['commands']
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError(
            f'{file} was not written by `cerfevpr ablate`, or is damaged; choose another --out'
        ) from None
    return found


def _replace(file: Path, text: str) -> None:
    partial = file.with_name(f'{file.name}.{os.getpid()}.part')
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding='utf-8')
        partial.replace(file)
    except OSError as error:
        raise ConfigError(f'cannot write {file}: {error.strerror}; choose another --out') from None
