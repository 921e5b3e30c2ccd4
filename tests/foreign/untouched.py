"""Whether a network, its optimizer and the batch are, bit for bit, what they were."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device, torch.Size)


@contextmanager
def untouched(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> Iterator[None]:
    """Everything that the block could have touched is compared with what it was before.

    Raises:
        AssertionError: naming what has changed.
    """
    before = _picture(model, optimizer, batch)
    held = list(before.values())  # no id is given to another object meanwhile
    yield
    after = _picture(model, optimizer, batch)
    missing = sorted(before.keys() - after.keys())
    added = sorted(after.keys() - before.keys())
    assert not missing, f"gone: {missing}"
    assert not added, f"new: {added}"
    changed = [name for name in before if not _same(before[name], after[name])]
    assert not changed, f"changed: {changed}"
    del held


def _picture(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> dict[str, Any]:
    parts: dict[str, Any] = {
        "torch's generator": torch.get_rng_state(),
        "numpy's generator": repr(np.random.get_state()),  # noqa: NPY002
        "Python's generator": random.getstate(),
        "grad mode": torch.is_grad_enabled(),
        "default dtype": torch.get_default_dtype(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }
    for name, module in model.named_modules(remove_duplicate=False):
        for key, value in vars(module).items():
            _add(parts, f"{name or 'model'}.{key}", value)
        if isinstance(module, torch.jit.ScriptModule):
            for key, tensor in (*module.named_parameters(), *module.named_buffers()):
                _add(parts, f"{name or 'model'}.{key} (script)", tensor)
            parts[f"{name or 'model'}.training (script)"] = module.training
    _add(parts, "optimizer.state", {id(p): state for p, state in optimizer.state.items()})
    _add(parts, "optimizer.param_groups", optimizer.param_groups)
    _add(parts, "optimizer", {k: id(v) for k, v in vars(optimizer).items()})
    _add(parts, "batch", batch)
    return parts


def _add(parts: dict[str, Any], name: str, value: Any) -> None:
    if isinstance(value, Tensor):
        parts[name] = (id(value), _bits(value), value.requires_grad, value.grad_fn is None)
        parts[f"{name} itself"] = value
        if value.is_leaf and value.grad is not None:
            _add(parts, f"{name}.grad", value.grad)
    elif isinstance(value, torch.Generator):
        parts[name] = _bits(value.get_state())
    elif isinstance(value, Mapping):
        parts[name] = (type(value), [str(key) for key in value])
        for key, item in value.items():
            _add(parts, f"{name}[{key!r}]", item)
    elif isinstance(value, list | tuple):
        parts[name] = (type(value), len(value))
        for index, item in enumerate(value):
            _add(parts, f"{name}[{index}]", item)
    elif isinstance(value, PLAIN):
        parts[name] = value
    else:
        parts[name] = id(value)
        parts[f"{name} itself"] = value


def _bits(tensor: Tensor) -> tuple[Any, ...]:
    dense = tensor.detach()
    if dense.layout != torch.strided:
        dense = dense.to_dense()
    data = dense.resolve_conj().resolve_neg().contiguous().numpy().tobytes()
    return tensor.shape, tensor.stride() if tensor.layout == torch.strided else (), data


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one is other or torch.equal(one, other)
    return one is other or bool(one == other)
