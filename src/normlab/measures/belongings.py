"""What a forward or an optimizer's step may change of its objects, and how to change it back."""

from __future__ import annotations

import operator
import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

PLAIN = frozenset({bool, int, float, str, bytes, type(None), torch.dtype, torch.device})
"""Kinds of values that hold nothing; the first asked about, since most are of these."""

LONGEST = 10_000
"""A longer container is put back too, but what lies inside it is not looked at."""


@dataclass(frozen=True)
class RandomState:
    """Generators that a forward may draw from: torch's global ones, on the CPU and on the CUDA
    devices in use, Python's, NumPy's, and those that modules keep."""

    cpu: Tensor
    cuda: tuple[tuple[torch.device, Tensor], ...]
    python: Any
    numpy: Any
    own: tuple[tuple[torch.Generator, Tensor], ...]

    @classmethod
    def now(
        cls, devices: Iterable[torch.device], own: Iterable[torch.Generator] = ()
    ) -> RandomState:
        return cls(
            cpu=torch.get_rng_state(),
            cuda=tuple(
                (device, torch.cuda.get_rng_state(device))
                for device in devices
                if device.type == "cuda"
            ),
            python=random.getstate(),
            numpy=np.random.get_state(),  # noqa: NPY002 (a forward may draw from it)
            own=tuple((generator, generator.get_state()) for generator in own),
        )

    def restore(self) -> None:
        torch.set_rng_state(self.cpu)
        for device, state in self.cuda:
            torch.cuda.set_rng_state(state, device)
        random.setstate(self.python)
        np.random.set_state(self.numpy)  # noqa: NPY002
        for generator, state in self.own:
            generator.set_state(state)


class Watcher:
    """A hook that only looks. It is no part of a step, so passes on loan run without it."""

    def __init__(self, look: Callable[..., None]) -> None:
        self._look = look

    def __call__(self, *args: Any) -> None:
        self._look(*args)


class Belongings:
    """All that belongs to some modules and optimizers, as it stands now.

    These are their attributes, what lists, dictionaries and sets among these hold, requires_grad,
    and the random generators they keep; inner optimizers, and modules that are kept in plain
    attributes, count. So do modules and optimizers that their functions and hooks refer to, and
    the object of a method among these (an average of weights that follows each step). What
    tensors hold is not looked at.

    Args:
        watched: with the hooks that are a `Watcher`; else as if they were not there.
        beside: without what belongs to these.
    """

    def __init__(
        self, *roots: object, watched: bool = True, beside: Belongings | None = None
    ) -> None:
        self._is_watched = watched
        self.tensors: list[Tensor] = []
        """Parameters, buffers and every other tensor without gradient history, each once."""
        self._dicts: list[tuple[dict[Any, Any], dict[Any, Any]]] = []
        self._hooks: list[tuple[dict[Any, Any], dict[Any, Any]]] = []
        self._lists: list[tuple[Any, list[Any]]] = []
        self._sets: list[tuple[set[Any], set[Any]]] = []
        self._generators: list[torch.Generator] = []
        self._scripted: list[tuple[torch.jit.ScriptModule, bool, dict[str, Tensor]]] = []
        self._seen: set[int] = set(beside._seen) if beside else set()
        self._look_into(roots)
        self._flags = [tensor.requires_grad for tensor in self.tensors]
        self._devices = tuple({tensor.device for tensor in self.tensors})

    def random_state(self) -> RandomState:
        """The generators' states now."""
        return RandomState.now(self._devices, self._generators)

    def restore(self, *, hooks: bool = True) -> bool:
        """Put all back; True where something beside tensors had been changed.

        Args:
            hooks: those of modules too.
        """
        is_changed = False
        for mapping, kept in [*self._dicts, *(self._hooks if hooks else ())]:
            if not _same(mapping, kept) or not _same(mapping.values(), kept.values()):
                _put_back(mapping, kept)
                is_changed = True
        for sequence, items in self._lists:
            if not _same(sequence, items):
                sequence.clear()
                sequence.extend(items)
                is_changed = True
        for found, members in self._sets:
            if found != members:
                found.clear()
                found.update(members)
                is_changed = True
        for module, training, buffers in self._scripted:
            if module.training != training:
                module.train(training)
            for name, buffer in module.named_buffers(recurse=False):
                if buffer is not buffers[name]:
                    setattr(module, name, buffers[name])
                    is_changed = True
        for tensor, flag in zip(self.tensors, self._flags, strict=True):
            if tensor.requires_grad != flag:
                tensor.requires_grad_(flag)
                is_changed = True
        return is_changed

    def _look_into(self, roots: Iterable[object]) -> None:
        waiting = list(roots)[::-1]
        while waiting:
            value = waiting.pop()
            if type(value) in PLAIN:
                continue
            if isinstance(value, Tensor):
                self._keep_tensor(value)
            elif id(value) in self._seen:
                continue
            elif isinstance(value, _LOOKED_INTO) or _is_optimizer(value):
                self._seen.add(id(value))
                waiting += self._inside(value)
            elif callable(value):
                self._seen.add(id(value))
                waiting += _referred_to(value)

    def _inside(self, value: Any) -> list[Any]:
        """What a value holds, last first; its present content is kept."""
        if isinstance(value, torch.Generator):
            self._generators.append(value)
            return []
        if isinstance(value, torch.jit.ScriptModule):
            self._scripted.append((value, value.training, dict(value.named_buffers(recurse=False))))
            held: list[Any] = [*value.parameters(recurse=False), *value.buffers(recurse=False)]
            return [*held, *value.children()][::-1]
        if isinstance(value, nn.Module):
            self._keep_hooks(value)
        if not isinstance(value, dict | list | tuple | set | deque):
            value = vars(value)
        if isinstance(value, dict):
            self._dicts.append((value, dict(value)))
            return [] if not value or len(value) > LONGEST else list(value.values())[::-1]
        if isinstance(value, list | deque):
            self._lists.append((value, list(value)))
        elif isinstance(value, set):
            self._sets.append((value, set(value)))
        return [] if len(value) > LONGEST else list(value)[::-1]

    def _keep_hooks(self, module: nn.Module) -> None:
        for name, hooks in vars(module).items():
            if "_hooks" in name and isinstance(hooks, dict):
                self._seen.add(id(hooks))
                kept = {
                    key: hook
                    for key, hook in hooks.items()
                    if self._is_watched or not isinstance(hook, Watcher)
                }
                self._hooks.append((hooks, kept))
                self._look_into(kept.values())

    def _keep_tensor(self, tensor: Tensor) -> None:
        if id(tensor) in self._seen or tensor.grad_fn is not None:
            return  # a kept result: the next forward makes another
        if is_lazy(tensor):
            raise ValueError(
                "the model has parameters without a shape yet (a lazy module); run one forward "
                "before measuring."
            )
        if tensor.is_inference():
            raise ValueError(
                "a parameter or buffer of the model was made inside torch.inference_mode(), so "
                "nothing can be differentiated through it. Build or load the model outside of it."
            )
        self._seen.add(id(tensor))
        self.tensors.append(tensor)


_LOOKED_INTO = (
    nn.Module,
    torch.optim.Optimizer,
    torch.Generator,
    dict,
    list,
    tuple,
    set,
    deque,
)


def _is_optimizer(value: Any) -> bool:
    """Whether a value behaves as an optimizer, as wrappers do."""
    return hasattr(type(value), "step") and hasattr(value, "param_groups")


def _referred_to(function: Any) -> list[Any]:
    """The modules and optimizers in a function's closure, and what a method's object holds."""
    if isinstance(function, partial):
        return [function.func, *function.args, *function.keywords.values()]
    owner = getattr(function, "__self__", None)
    if owner is not None and not isinstance(owner, ModuleType | type):
        plain = not isinstance(owner, _LOOKED_INTO) and hasattr(owner, "__dict__")
        return [vars(owner) if plain else owner]
    if hasattr(function, "__dict__") and not hasattr(function, "__code__"):
        return [] if isinstance(function, Watcher | type) else [vars(function)]
    found = []
    for cell in getattr(function, "__closure__", None) or ():
        try:
            held = cell.cell_contents
        except ValueError:  # not filled yet
            continue
        if (
            isinstance(held, nn.Module | torch.optim.Optimizer | partial)
            or _is_optimizer(held)
            or (callable(held) and hasattr(held, "__closure__"))
        ):
            found.append(held)
    return found


def _same(one: Iterable[Any], other: Iterable[Any]) -> bool:
    """Whether two collections hold the same objects in the same order."""
    return len(one) == len(other) and all(map(operator.is_, one, other))  # type: ignore[arg-type]


def _put_back(mapping: dict[Any, Any], kept: dict[Any, Any]) -> None:
    for key in [key for key in mapping if key not in kept]:
        del mapping[key]
    for key, value in kept.items():
        if key not in mapping or mapping[key] is not value:
            mapping[key] = value
    if not _same(mapping, kept):  # keys that were taken out and came back, at the end
        mapping.clear()
        mapping.update(kept)
