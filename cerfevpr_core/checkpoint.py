"""The only place that saves and loads networks: safetensors to use, torch files to go on with."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from cerfevpr_core.errors import WeightsError

State = dict[str, Tensor]

_SETTINGS, _NOTES = 'cerfevpr_settings', 'cerfevpr_notes'


@dataclass(frozen=True)
class SavedNetwork:
    """Tensors by name, the settings that made the network, and what is known of its making."""

    state: State
    settings: dict[str, Any]
    notes: dict[str, Any]


def save_network(
    file: Path,
    state: Mapping[str, Tensor],
    settings: Mapping[str, Any],
    notes: Mapping[str, Any] = {},
) -> None:
    """Write a network that is ready to use, with its settings; a half file is never seen."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    texts = {_SETTINGS: json.dumps(dict(settings)), _NOTES: json.dumps(dict(notes))}
    # save_file would make a file that only its owner may read, whatever the umask.
    _write(file, lambda partial: partial.write_bytes(safetensors.torch.save(tensors, texts)))


def load_network(file: Path) -> SavedNetwork:
    """Read what `save_network` wrote. Raises WeightsError."""
    try:
        with safe_open(file, framework='pt') as opened:
            texts = opened.metadata() or {}
        state = safetensors.torch.load_file(file)
        return SavedNetwork(state, json.loads(texts[_SETTINGS]), json.loads(texts[_NOTES]))
    except FileNotFoundError:
        raise WeightsError(f'no trained network at {file}; check the path') from None
    except (KeyError, json.JSONDecodeError):
        raise WeightsError(f'{file} was not written by `cerfevpr train`') from None
    except (OSError, SafetensorError) as error:
        raise WeightsError(f'{file} cannot be read as safetensors ({error})') from None


def save_training(file: Path, content: Mapping[str, Any]) -> None:
    """Write everything that a training goes on with: tensors, numbers, texts, lists, dicts."""
    _write(file, lambda partial: torch.save(dict(content), partial))


def load_training(file: Path) -> dict[str, Any]:
    """Read what `save_training` wrote; nothing in it is run. Raises WeightsError."""
    try:
        return torch.load(file, map_location='cpu', weights_only=True)
    except FileNotFoundError:
        raise WeightsError(f'no checkpoint at {file}; check the path') from None
    except Exception as error:  # damaged bytes make torch raise a dozen types
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(f'{file} cannot be read as a checkpoint ({reason})') from None


def _write(file: Path, write: Any) -> None:
    partial = file.with_name(f'{file.name}.{os.getpid()}.part')
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write(partial)
        partial.replace(file)
    except (OSError, SafetensorError, RuntimeError) as error:
        partial.unlink(missing_ok=True)
        raise WeightsError(f'{file} cannot be written: {error}') from None
