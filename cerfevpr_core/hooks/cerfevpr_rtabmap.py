"""The script that RTAB-Map calls for an image's descriptor: its parameter PyDescriptor/Path.

RTAB-Map appends this folder to sys.path, imports this file by its name, and calls init(dim) once
and extract(image) for each image, with the interpreter's lock held. `cerfevpr hooks rtabmap`
prints the parameters.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# RTAB-Map's interpreter is the system's: it knows neither an environment's packages nor argv.
_PACKAGES = str(Path(__file__).resolve().parents[2])
if _PACKAGES not in sys.path:
    sys.path.append(_PACKAGES)
if not hasattr(sys, 'argv'):
    sys.argv = ['rtabmap']

_state: dict[str, Any] = {'describer': None, 'error': 'init was not called'}


def init(dim: int) -> None:
    """Load the model; `dim` is RTAB-Map's PyDescriptor/Dim.

    RTAB-Map crashes when this raises: what is wrong is printed, and raised by `extract`.
    """
    _state.update(describer=None, error='')
    try:
        from cerfevpr_core.hooks.rtabmap import describer_for, require_dim

        describer = describer_for(os.environ.get('CERFEVPR_MAP', ''))
        require_dim(describer, dim)
        _state['describer'] = describer
    except Exception as error:
        logging.getLogger(__name__).exception('cerfevpr gives RTAB-Map no descriptors')
        _state['error'] = f'{error}'


def extract(image: NDArray[np.generic]) -> NDArray[np.float32]:
    """Bytes (H, W, C), grey, BGR or BGRA -> (1, E) float32, contiguous, unit length."""
    from cerfevpr_core.hooks.rtabmap import rgb_of

    if _state['describer'] is None:
        raise RuntimeError(f'cerfevpr gives no descriptors: {_state["error"]}')
    descriptor = _state['describer'].describe(rgb_of(image))
    return np.ascontiguousarray(descriptor[None], dtype=np.float32)
