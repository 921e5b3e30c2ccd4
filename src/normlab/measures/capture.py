"""What flows through named places of a network during a forward pass."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

Receiver = Callable[["Point", Tensor], None]


@dataclass(frozen=True)
class Point:
    """One side of a module, by the module's name: what it reads first, or what it gives."""

    module: str
    side: Literal["input", "output"] = "output"


@contextmanager
def watching(model: nn.Module, points: Iterable[Point], receive: Receiver) -> Iterator[None]:
    """Hand over what passes the points in every forward inside the `with` block.

    The network computes what it would have computed; afterwards the hooks are gone. `receive`
    gets the very tensor, which it must not write to.

    Raises:
        ValueError: there is no such module; or, in the forward, it passes something other than
            one tensor.
    """
    modules = dict(model.named_modules())
    handles = []
    try:
        for point in dict.fromkeys(points):
            if point.module not in modules:
                raise ValueError(_unknown(point.module, modules))
            handles.append(_hook(modules[point.module], point, receive))
        yield
    finally:
        for handle in handles:
            handle.remove()


class Captured:
    """The tensors of one forward, by point, without their gradient history.

    captured = Captured()
    with watching(model, points, captured.keep):
        model(inputs)
    captured[points[0]]
    """

    def __init__(self) -> None:
        self._kept: dict[Point, tuple[Tensor, int]] = {}
        self._passes: Counter[Point] = Counter()

    def keep(self, point: Point, values: Tensor) -> None:
        self._passes[point] += 1
        self._kept[point] = (values.detach(), values._version)

    def __getitem__(self, point: Point) -> Tensor:
        """
        Raises:
            ValueError: the module did not run, ran more than once, or another module wrote into
                the tensor afterwards.
        """
        num_passes = self._passes[point]
        if num_passes != 1:
            raise ValueError(
                f"{point.module} ran {num_passes} times in the forward, so it has no one "
                f"{point.side} to measure. Name modules that run once."
            )
        values, version = self._kept[point]
        if values._version != version:
            raise ValueError(
                f"the {point.side} of {point.module} was overwritten by a module after it. Build "
                "that module with inplace=False."
            )
        return values


def _hook(module: nn.Module, point: Point, receive: Receiver) -> Any:
    if point.side == "input":

        def read(module: nn.Module, args: tuple[Any, ...]) -> None:
            receive(point, _tensor(point, args[0] if args else None))

        return module.register_forward_pre_hook(read)

    def given(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        receive(point, _tensor(point, output))

    return module.register_forward_hook(given)


def _tensor(point: Point, value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise ValueError(
            f"the {point.side} of {point.module} is a {type(value).__name__}, not a tensor; "
            "measure a module inside it."
        )
    return value


def _unknown(name: str, modules: dict[str, nn.Module]) -> str:
    names = [other for other in modules if other]
    nearest = ", ".join(difflib.get_close_matches(name, names, n=3, cutoff=0.0))
    return f"the network has no module {name!r}. Nearest: {nearest or 'none, it has no parts'}."
