"""What flows through named places of a network during a forward pass."""

from __future__ import annotations

import dataclasses
import difflib
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from normlab.measures.arguments import at_least, one_of
from normlab.measures.batches import tensors_in
from normlab.measures.belongings import Watcher

Receiver = Callable[["Point", Tensor], None]

Side = Literal["input", "output"]


@dataclass(frozen=True)
class Point:
    """One side of a module, by the module's name: what it reads first, or what it gives.

    Raises:
        ValueError: no such side, or a negative `run`.
    """

    module: str
    side: Side = "output"
    part: int | str | None = None
    """Which of several: a place in a tuple (of arguments, for the input), a key of a dict, a field
    of a dataclass, a keyword of the call; None: the only tensor, the first argument."""
    run: int | None = None
    """Which of the module's runs in a forward, counted from 0; None: it runs once."""

    def __post_init__(self) -> None:
        one_of("the side of a point", self.side, Side)
        if self.run is not None:
            at_least("run, counted from 0,", self.run, 0)


@contextmanager
def watching(model: nn.Module, points: Iterable[Point], receive: Receiver) -> Iterator[None]:
    """Hand over what passes the points in every forward inside the `with` block.

    The network computes what it would have computed; afterwards the hooks are gone. `receive`
    gets the very tensor, which it must not write to. What a checkpointed block computes again in a
    backward pass is not a forward.

    Raises:
        ValueError: there is no such module, or it is a ScriptModule or part of one, which cannot
            be watched; or, in the forward, it passes something other than one tensor.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    points = tuple(dict.fromkeys(points))
    for point in points:
        if point.module not in modules:
            raise ValueError(_unknown(point.module, modules))
        _refuse_scripted(point.module, model)
    runs: Counter[Point] = Counter()
    with ExitStack() as stack:
        # First of the hooks, as the network itself may be a point.
        stack.callback(model.register_forward_pre_hook(Watcher(_start_of(runs))).remove)
        for point in points:
            stack.callback(_hook(modules[point.module], point, receive, runs).remove)
        yield


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
        # Tensors of inference mode have no version that would tell of a later write.
        kept = values.clone() if values.is_inference() else values.detach()
        self._kept[point] = (kept, _version(values))

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
        if _version(values) != version:
            raise ValueError(
                f"the {point.side} of {point.module} was overwritten by a module after it. Build "
                "that module with inplace=False."
            )
        return values


def eagerly() -> AbstractContextManager[Any]:
    """Run modules that were compiled as they were written, so that what passes in them is seen."""
    # Where nothing has imported the compiler nothing is compiled, and the import takes seconds.
    is_used = "torch._dynamo" in sys.modules
    return torch.compiler.set_stance("force_eager") if is_used else nullcontext()


def in_backward() -> bool:
    """Whether a backward pass is under way, as when a checkpointed block runs again."""
    return bool(torch._C._current_graph_task_id() != -1)


def more_than_once(point: Point) -> ValueError:
    """The refusal of a module whose runs a measure would mix."""
    return ValueError(
        f"{point.module} runs more than once in the forward, so it has no one {point.side} to "
        f"measure. Name modules that run once, or one of its runs: Point({point.module!r}, "
        f"{point.side!r}, run=0)."
    )


def not_run(point: Point, leave_out: str) -> ValueError:
    """The refusal of a module that a forward does not reach."""
    run = f" {point.run + 1} times" if point.run is not None else ""
    return ValueError(f"{point.module} does not run{run} in the forward; {leave_out}.")


def _start_of(runs: Counter[Point]) -> Callable[[nn.Module, Any], None]:
    def start(model: nn.Module, args: Any) -> None:
        if not in_backward():
            runs.clear()

    return start


def _hook(module: nn.Module, point: Point, receive: Receiver, runs: Counter[Point]) -> Any:
    def passed(value: Any) -> None:
        if in_backward():
            return
        runs[point] += 1
        if point.run is None or runs[point] == point.run + 1:
            receive(point, _tensor(point, value))

    if point.side == "input":

        def read(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            given: dict[int | str, Any] = dict(enumerate(args))
            given.update(kwargs)
            passed(given if point.part is not None else next(iter(given.values()), None))

        return module.register_forward_pre_hook(Watcher(read), with_kwargs=True)

    return module.register_forward_hook(Watcher(lambda module, args, output: passed(output)))


def _tensor(point: Point, value: Any) -> Tensor:
    place = f"the {point.side} of {point.module}"
    kind = type(value).__name__
    if point.part is not None:
        parts = _parts(value)
        if point.part not in parts:
            raise ValueError(
                f"{place} has no part {point.part!r}; it has "
                f"{', '.join(map(repr, parts)) or f'none, it is a {kind}'}."
            )
        value = parts[point.part]
        place, kind = f"part {point.part!r} of {place}", type(value).__name__
    tensors = tensors_in(value)
    if len(tensors) != 1:
        part = next((p for p, held in _parts(value).items() if isinstance(held, Tensor)), None)
        or_part = (
            f", or one of its tensors: Point({point.module!r}, {point.side!r}, part={part!r})"
            if part is not None and point.part is None
            else ""
        )
        raise ValueError(f"{place} is a {kind}, not a tensor; measure a module inside it{or_part}.")
    (tensor,) = tensors
    if tensor.is_nested or tensor.layout != torch.strided:
        raise ValueError(
            f"{place} is a {'nested' if tensor.is_nested else 'sparse'} tensor, which has no one "
            "dimension of units. Make it dense in a module of its own, and measure that."
        )
    return tensor


def _parts(value: Any) -> dict[Any, Any]:
    """What a structure holds, by place, key or field; a tensor holds nothing."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, list | tuple):
        return dict(enumerate(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return {}


def _refuse_scripted(name: str, model: nn.Module) -> None:
    module = model
    for part in ("", *name.split(".")):
        module = getattr(module, part) if part else module
        if isinstance(module, torch.jit.ScriptModule):
            raise ValueError(
                f"{name or 'the network'} is a ScriptModule or part of one, which cannot be "
                "watched. Measure the network as it was before it was scripted or traced."
            )


def _unknown(name: str, modules: dict[str, nn.Module]) -> str:
    names = [other for other in modules if other]
    nearest = ", ".join(difflib.get_close_matches(name, names, n=3, cutoff=0.0))
    return f"the network has no module {name!r}. Nearest: {nearest or 'none, it has no parts'}."


def _version(values: Tensor) -> int:
    return 0 if values.is_inference() else values._version
