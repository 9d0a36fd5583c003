"""What a map says of itself: format, model, settings and what was fitted on it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMAT = 1


@dataclass(frozen=True)
class Manifest:
    """Written once, when the map is made."""

    fingerprint: str
    settings: Mapping[str, Any]  # those of the model, by flat name
    descriptor_dim: int
    fitted: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    map_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    format: int = FORMAT
