"""Where in a network a layer's values stand before and after its norm and its activation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from torch import nn

from normlab.measures.capture import Point
from normlab.measures.layers import NORMALIZATIONS
from normlab.models.chain import NamedModule, WeightModule, weight_layers
from normlab.models.layers import ACTIVATIONS
from normlab.models.residual import ResidualBlock
from normlab.norms.base import Normalization, StepDependent

Place = Literal["before_norm", "after_norm", "after_activation"]
PLACES: tuple[Place, ...] = ("before_norm", "after_norm", "after_activation")

ACTIVATION_TYPES = tuple(build for build in ACTIVATIONS.values() if isinstance(build, type))


@dataclass
class Unit:
    """A weight layer with the norm and the activation that follow it, each by its whole name."""

    layer: str
    norm: str | None = None
    activation: str | None = None
    is_in_sequence: bool = True
    """Whether it can be told what follows the layer."""

    def point(self, place: Place) -> Point | None:
        """Where a place is; None where there is none.

        `before_norm` is what the norm reads, and `after_norm` what it gives, whichever side of the
        activation it stands on. A layer without a norm has the weight's output at both: what
        would be normalized passes as it is.
        """
        if place == "after_activation":
            return Point(self.activation) if self.activation else None
        if self.norm:
            return Point(self.norm, "input" if place == "before_norm" else "output")
        if place == "after_norm" and not self.is_in_sequence:
            return None
        return Point(self.layer)


def units(model: nn.Module) -> dict[str, Unit]:
    """Every weight layer's unit, in order of registration.

    A norm and an activation belong to the weight layer they come after in a sequence: the children
    of an `nn.Sequential`; the branch and then the tail of a residual block; its shortcut. So the
    activation after a block's sum belongs to the last layer of the branch. In a pre-activation
    block those in front of the first layer belong to none: they read the sum.
    """
    found: dict[str, Unit] = {}
    for sequence in _sequences(model):
        current: Unit | None = None
        for name, module in sequence:
            if isinstance(module, WeightModule):
                current = found[name] = Unit(name)
            elif is_norm(module):
                if current is not None and current.norm is None:
                    current.norm = name
            elif isinstance(module, ACTIVATION_TYPES):
                if current is not None and current.activation is None:
                    current.activation = name
            elif any(True for _ in module.children()):
                current = None
    return {
        name: found.get(name, Unit(name, is_in_sequence=False)) for name, _ in weight_layers(model)
    }


def is_norm(module: nn.Module) -> bool:
    """Whether a stage is a normalization, or several parts of one."""
    kinds = (Normalization, StepDependent, *NORMALIZATIONS)
    parts = list(module.modules())
    return any(isinstance(part, kinds) for part in parts) and not any(
        isinstance(part, (WeightModule, ResidualBlock)) for part in parts
    )


def residual_blocks(model: nn.Module) -> dict[str, tuple[Point, Point]]:
    """Every residual block's branch and skip, where they reach the sum, in order."""
    return {
        name: (Point(f"{name}.{block.branch_names[-1]}"), _skip(name, block))
        for name, block in model.named_modules()
        if isinstance(block, ResidualBlock)
    }


def _skip(name: str, block: ResidualBlock) -> Point:
    if block.shortcut_names:
        return Point(f"{name}.{block.shortcut_names[-1]}")
    return Point(f"{name}.{block.branch_names[0]}", "input")


def _sequences(model: nn.Module) -> Iterator[list[NamedModule]]:
    for name, module in model.named_modules():
        prefix = f"{name}." if name else ""
        if isinstance(module, nn.Sequential):
            yield [(f"{prefix}{child}", stage) for child, stage in module.named_children()]
        elif isinstance(module, ResidualBlock):
            stages = dict(module.named_children())
            for names in (
                module.head_names,
                (*module.branch_names, *module.tail_names),
                module.shortcut_names,
            ):
                yield [(f"{prefix}{child}", stages[child]) for child in names]
