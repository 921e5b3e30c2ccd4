"""Zero-move controls: whether passes repeat the step where nothing has moved."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

FAR = 1e4
"""Rounding errors of one operation that a whole pass may add up to."""

NEVER_BELOW, NEVER_ABOVE = 1e-6, 0.1
"""Of the gradient: bounds of what counts as rounding, whatever the precision."""


def repeats(control: float, size: float, parameters: Sequence[Tensor]) -> bool | None:
    """Whether a control ||g'' - g|| is rounding beside ||g||; None where there is none."""
    if math.isnan(control):
        return None
    rounding = max((_rounding(parameter) for parameter in parameters), default=0.0)
    return control <= min(max(FAR * rounding, NEVER_BELOW), NEVER_ABOVE) * size


def _rounding(parameter: Tensor) -> float:
    """Machine precision of what is computed with a parameter."""
    if not (parameter.is_floating_point() or parameter.is_complex()):
        return 0.0
    kind = parameter.device.type
    in_mixed_precision = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    dtype = torch.get_autocast_dtype(kind) if in_mixed_precision else parameter.dtype
    return torch.finfo(dtype).eps


def warn_of_control(what: str) -> None:
    """Say, once for each text, that what was measured is not of what moved alone."""
    warnings.warn(
        f"zero-move control: the {what} was measured by passes which do not repeat the step where "
        "nothing has moved, beyond rounding. What differs from pass to pass is in the numbers too "
        "(see `control`). Likely reasons: the forward keeps something outside its modules' "
        "attributes and buffers (a global, a closure), writes to its own parameters, draws random "
        "numbers from a generator that is not torch's, Python's, NumPy's or a module's own, or "
        "runs kernels that are not deterministic.",
        UserWarning,
        stacklevel=4,
    )
