"""Whether what a file holds is the state of a network."""

from __future__ import annotations

import pickle
from collections.abc import Mapping

from torch import Tensor, nn

UNREADABLE = (
    *(pickle.UnpicklingError, EOFError, OSError, RuntimeError, ValueError, TypeError),
    *(LookupError, AttributeError, AssertionError, OverflowError),
)
"""What `torch.load(weights_only=True)` raises for files that are cut, garbled or something else."""


def misfit(model: nn.Module, state: object) -> str | None:
    """Why `state` cannot be loaded into the network, in words; None: it can.

    A state fits that has a tensor for every parameter and buffer, of its shape and kind (floating
    point, integer or complex), and none besides.
    """
    if not isinstance(state, Mapping):
        return f"it holds a {type(state).__name__}, not tensors by name"
    own = model.state_dict()
    for name, tensor in own.items():
        if name not in state:
            count = sum(other not in state for other in own)
            return f"it lacks {name}{_others(count)}"
        value = state[name]
        if not isinstance(value, Tensor):
            return f"its {name} is a {type(value).__name__}, not a tensor"
        if value.shape != tensor.shape:
            return f"its {name} has {tuple(value.shape)}, the network's {tuple(tensor.shape)}"
        if _kind(value) != _kind(tensor):
            return f"its {name} is of {value.dtype}, the network's of {tensor.dtype}"
    further = [str(name) for name in state if name not in own]
    if further:
        return f"it has {further[0]}{_others(len(further))}, which the network lacks"
    return None


def _others(count: int) -> str:
    return f" (and {count - 1} more)" if count > 1 else ""


def _kind(tensor: Tensor) -> tuple[bool, bool]:
    return tensor.is_floating_point(), tensor.is_complex()
