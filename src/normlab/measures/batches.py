"""The user's batch, which passes may read and write without another noticing."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor, nn

Batch = tuple[Any, Any]
"""(inputs, targets), each whatever a model and a loss take as one argument."""


def pair(batch: Any) -> Batch:
    """A batch's inputs and targets.

    Raises:
        ValueError: it is not a pair, or one that can be read only once.
    """
    if isinstance(batch, Iterator):
        raise ValueError(
            f"a batch is (inputs, targets); got a {type(batch).__name__}, which can be read only "
            "once. Give what it yields: next(batches)."
        )
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        size = f" of {len(batch)}" if hasattr(batch, "__len__") else ""
        raise ValueError(
            f"a batch is (inputs, targets), two things; got a {type(batch).__name__}{size}. Put "
            "all that the model takes into the first, and all that the loss takes beside the "
            "outputs into the second."
        )
    inputs, targets = batch
    for name, part in (("inputs", inputs), ("targets", targets)):
        if isinstance(part, Iterator):
            raise ValueError(
                f"the {name} of the batch are a {type(part).__name__}, which can be read only "
                "once, and several passes need them. Make them a list or a tensor."
            )
    return inputs, targets


def protected(value: Any) -> Any:
    """A copy of tensors, and of tuples, lists, mappings and objects of them, however nested.

    A pass may write to it, and none sees what another wrote. Gradient history is left behind;
    what occurs twice still does.
    """
    return _mapped(value, _own, {})


def detached(value: Any) -> Any:
    """The same without gradient history, in the tensors' own memory."""
    return _mapped(value, Tensor.detach, {})


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors of a nested batch, each once."""
    found: dict[int, Tensor] = {}

    def note(tensor: Tensor) -> Tensor:
        found.setdefault(id(tensor), tensor)
        return tensor

    _mapped(value, note, {})
    return list(found.values())


def _own(tensor: Tensor) -> Tensor:
    return tensor.detach().clone().requires_grad_(tensor.requires_grad)


def _mapped(value: Any, change: Callable[[Tensor], Tensor], seen: dict[int, Any]) -> Any:
    """A value with its tensors changed; containers and objects around them are new."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return value
    if id(value) in seen:
        return seen[id(value)][1]
    if isinstance(value, Tensor):
        new: Any = change(value)
    elif isinstance(value, tuple):
        items = [_mapped(item, change, seen) for item in value]
        new = type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    elif isinstance(value, nn.Module) or callable(value):
        new = value
    else:
        return _mapped_object(value, change, seen)
    seen[id(value)] = value, new  # the value is held, so that its id is not another's
    return new


def _mapped_object(value: Any, change: Callable[[Tensor], Tensor], seen: dict[int, Any]) -> Any:
    try:
        new = copy.copy(value)
    except TypeError:  # an open file, a lock: nothing that passes could share tensors through
        new = value
    seen[id(value)] = value, new
    if new is value:
        return new
    if isinstance(new, list):
        new[:] = [_mapped(item, change, seen) for item in new]
    elif isinstance(new, dict):
        for key in list(new):
            new[key] = _mapped(new[key], change, seen)
    names = [*getattr(new, "__dict__", ()), *getattr(new, "__slots__", ())]
    for name in names:
        if hasattr(new, name):
            object.__setattr__(new, name, _mapped(getattr(new, name), change, seen))
    return new
