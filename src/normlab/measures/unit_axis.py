"""Which dimension of a tensor counts a layer's units."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from normlab.measures.batches import pair, protected
from normlab.measures.belongings import Watcher
from normlab.measures.borrowed import borrowed
from normlab.measures.capture import Point, Receiver, eagerly, watching
from normlab.measures.following import FollowedUnits

UnitAxis = int | Mapping[str, int] | None
"""A dimension of all that is measured, or each module's by name; None: what the layers say."""

LAST = (nn.Linear, nn.Bilinear, nn.Embedding, nn.RNNBase, nn.MultiheadAttention)
ONE_DIMENSIONAL = (nn.LayerNorm, nn.RMSNorm)
SECOND = (nn.modules.batchnorm._NormBase, nn.GroupNorm)


class UnitAxes:
    """Finds the dimension of units where tensors pass named points of a network.

    In this order:

    1. what the user says, by `unit_axis` or by an attribute `unit_axis` of the module;
    2. what torch defines of its own layers (`own_axis`);
    3. dimension 1 of (samples, units);
    4. for all that has no units of its own, such as an activation or a block: where the units of
       the layers before it have come to lie, followed through every operation in between.

    Answers are remembered, so that later forwards need not be followed.
    """

    def __init__(self, unit_axis: UnitAxis = None) -> None:
        self._given = unit_axis
        self._known: dict[Point, tuple[int, int]] = {}

    @contextmanager
    def watching(
        self, model: nn.Module, points: Iterable[Point], receive: Receiver
    ) -> Iterator[None]:
        """`watching`, with the units as dimension 1: (samples, units, positions...).

        What is handed over may be a view of the very tensor.

        Raises:
            ValueError: as `watching`; `unit_axis` names a module that is not measured; or, in the
                forward, a dimension that does not exist or cannot be told.
        """
        points = tuple(dict.fromkeys(points))
        modules = dict(model.named_modules(remove_duplicate=False))
        self._check_names(points)
        followed = FollowedUnits(model.parameters())

        def hand_over(point: Point, values: Tensor) -> None:
            dim, axis = self._known.get(point, (None, 1))
            if dim != values.dim():
                axis = self._axis(point, modules[point.module], values, followed)
                self._known[point] = (values.dim(), axis)
            receive(point, values if axis == 1 else values.movedim(axis, 1))

        with ExitStack() as stack:
            stack.enter_context(watching(model, points, hand_over))
            if any(self._is_open(point, modules[point.module]) for point in points):
                stack.enter_context(_following(model, followed))
            yield

    def _check_names(self, points: Iterable[Point]) -> None:
        measured = {point.module for point in points}
        for name in self._given if isinstance(self._given, Mapping) else ():
            if name not in measured:
                raise ValueError(
                    f"unit_axis names {name!r}, which is not measured. Measured are "
                    f"{', '.join(sorted(measured))}."
                )

    def _said(self, point: Point) -> int | None:
        if isinstance(self._given, Mapping):
            return self._given.get(point.module)
        return self._given

    def _is_open(self, point: Point, module: nn.Module) -> bool:
        """Whether it takes following to tell."""
        return (
            point not in self._known
            and self._said(point) is None
            and _own_axis_at(point, module) is None
        )

    def _axis(
        self, point: Point, module: nn.Module, values: Tensor, followed: FollowedUnits
    ) -> int:
        axis = self._said(point)
        if axis is None:
            axis = _own_axis_at(point, module)
        if axis is None and values.dim() > 2:
            axis = followed.axis(values)
            if axis is None and isinstance(module, nn.modules.batchnorm._NormBase):
                # A subclass with a forward of its own, behind what cannot be followed.
                axis = 1 if values.shape[1] == module.num_features else None
            if axis is None:
                raise ValueError(
                    f"it cannot be told which dimension counts the units of the {point.side} of "
                    f"{point.module or 'the network itself'}, of shape {tuple(values.shape)}: the "
                    "module has no units of its own, and those of the layers before it cannot be "
                    f"followed there. Say so by unit_axis={{{point.module!r}: -1}}, if it is the "
                    "last one, or by an attribute `unit_axis` of the module."
                )
        if axis is None or values.dim() < 2:
            return 1
        if not -values.dim() <= axis < values.dim():
            raise ValueError(
                f"the units of the {point.side} of {point.module} are said to lie on dimension "
                f"{axis}; it has shape {tuple(values.shape)}. Name one of its dimensions."
            )
        return axis % values.dim()


def run_watched(
    model: nn.Module, inputs: Any, axes: UnitAxes, points: Iterable[Point], receive: Receiver
) -> None:
    """One forward of the model on loan, in the caller's own grad mode, on inputs of its own."""
    inputs, _ = pair((inputs, None))
    grad = torch.set_grad_enabled(torch.is_grad_enabled())
    with borrowed(model), eagerly(), grad, axes.watching(model, points, receive):
        model(protected(inputs))


def own_axis(module: nn.Module) -> int | None:
    """The dimension of units of what a module reads and gives; None where it has none of its own.

    The last one of linear layers, embeddings, recurrent layers, attention, and of normalizations
    over one dimension; that of channels, 1 in a batch, of convolutions and of batch, instance and
    group normalization. A subclass with a forward of its own must say it by an attribute
    `unit_axis`.
    """
    said = getattr(module, "unit_axis", None)
    if isinstance(said, int):
        return said
    scripted = isinstance(module, torch.jit.ScriptModule)
    if scripted or not type(module).forward.__module__.startswith("torch.nn."):
        return None
    if isinstance(module, nn.modules.conv._ConvNd):
        return -1 - len(module.kernel_size)
    if isinstance(module, SECOND):
        return 1
    if isinstance(module, ONE_DIMENSIONAL):
        return -1 if len(module.normalized_shape) == 1 else None
    return -1 if isinstance(module, LAST) else None


def _own_axis_at(point: Point, module: nn.Module) -> int | None:
    """That of a point; what else a module gives, such as attention's weights, has no units."""
    return own_axis(module) if point.part in (None, 0) else None


@contextmanager
def _following(model: nn.Module, followed: FollowedUnits) -> Iterator[None]:
    """Follow the units of all layers that have some, through the forwards of a network."""

    def mark(module: nn.Module, args: Any, output: Any) -> None:
        values = output[0] if isinstance(output, tuple) and output else output
        axis = own_axis(module)
        if isinstance(values, Tensor) and axis is not None and -values.dim() <= axis < values.dim():
            followed.mark(values, axis)

    def start(module: nn.Module, args: Any) -> None:
        forward.enter_context(followed)

    def stop(module: nn.Module, args: Any, output: Any) -> None:
        forward.close()

    with ExitStack() as hooks, ExitStack() as forward:
        for module in model.modules():
            if own_axis(module) is not None:
                hooks.callback(module.register_forward_hook(Watcher(mark)).remove)
        hooks.callback(model.register_forward_pre_hook(Watcher(start)).remove)
        hooks.callback(model.register_forward_hook(Watcher(stop), always_call=True).remove)
        yield
