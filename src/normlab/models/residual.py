"""Residual blocks: basic and bottleneck, post- and pre-activation, SkipInit and Fixup."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from normlab.models.chain import NamedModule
from normlab.models.kit import Kit
from normlab.models.layers import Conv2d, Multiplier, PaddedIdentity, Shift
from normlab.norms.base import Normalization

FIXUP_RATE_FACTOR = 0.1
"""Of the learning rate, for Fixup's numbers (Zhang et al. 2019)."""

Part = tuple[Callable[[Any], Any], nn.Module | None]


class ResidualBlock(nn.Module):
    """y = tail(branch(h) + shortcut(h)) with h = head(x), each a list of named stages.

    An empty list is the identity. Stages are registered in the order in which they run: head,
    branch, shortcut, tail.
    """

    def __init__(
        self,
        *,
        branch: list[NamedModule],
        shortcut: list[NamedModule],
        head: list[NamedModule] | None = None,
        tail: list[NamedModule] | None = None,
    ) -> None:
        super().__init__()
        head, tail = head or [], tail or []
        for name, module in (*head, *branch, *shortcut, *tail):
            assert name not in self._modules, f"{name} is used twice"
            self.add_module(name, module)
        self.head_names = tuple(name for name, _ in head)
        self.branch_names = tuple(name for name, _ in branch)
        self.shortcut_names = tuple(name for name, _ in shortcut)
        self.tail_names = tuple(name for name, _ in tail)

    def forward(self, inputs: Tensor) -> Tensor:
        inputs = self._through(self.head_names, inputs)
        outputs = self._through(self.branch_names, inputs)
        outputs = outputs + self._through(self.shortcut_names, inputs)
        return self._through(self.tail_names, outputs)

    def parts(self) -> list[Part]:
        """The same in parts, each a step and the module it runs, so that a measurement can resume
        inside the block. Between the fork and the sum, (branch, skip) flows."""
        head, branch, shortcut, tail = (
            [self.get_submodule(name) for name in names]
            for names in (
                self.head_names,
                self.branch_names,
                self.shortcut_names,
                self.tail_names,
            )
        )
        return [
            *((module, module) for module in head),
            (lambda inputs: (inputs, inputs), None),
            *((partial(_on_branch, module), module) for module in branch),
            *((partial(_on_skip, module), module) for module in shortcut),
            (lambda flow: flow[0] + flow[1], None),
            *((module, module) for module in tail),
        ]

    def _through(self, names: tuple[str, ...], values: Tensor) -> Tensor:
        for name in names:
            values = self._modules[name](values)  # type: ignore[misc]
        return values


def _on_branch(module: nn.Module, flow: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return module(flow[0]), flow[1]


def _on_skip(module: nn.Module, flow: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return flow[0], module(flow[1])


@dataclass(frozen=True, kw_only=True)
class BlockPlan:
    """The shape of one block, and the network it stands in."""

    in_channels: int
    out_channels: int
    stride: int
    num_blocks: int
    """Residual blocks in the whole network."""

    @property
    def changes_shape(self) -> bool:
        return self.stride != 1 or self.in_channels != self.out_channels

    def projection(self, kit: Kit) -> Conv2d:
        """The 1 x 1 convolution of option B, where the shape changes."""
        return kit.conv(self.in_channels, self.out_channels, 1, stride=self.stride)


Convolutions = Callable[[Kit, BlockPlan], list[Conv2d]]


def basic(kit: Kit, plan: BlockPlan) -> list[Conv2d]:
    """Two 3 x 3 convolutions; the first has the stride."""
    return [
        kit.conv(plan.in_channels, plan.out_channels, 3, stride=plan.stride),
        kit.conv(plan.out_channels, plan.out_channels, 3),
    ]


def bottleneck(kit: Kit, plan: BlockPlan) -> list[Conv2d]:
    """1 x 1, 3 x 3 and 1 x 1 convolutions, the inner two a quarter as wide; the middle one has the
    stride (as in torchvision)."""
    inner = plan.out_channels // 4
    return [
        kit.conv(plan.in_channels, inner, 1),
        kit.conv(inner, inner, 3, stride=plan.stride),
        kit.conv(inner, plan.out_channels, 1),
    ]


def post_activation(
    kit: Kit, plan: BlockPlan, convolutions: Convolutions, *, skipinit: bool, zero_last: bool
) -> ResidualBlock:
    """He et al. (2016a): the activation follows the sum. For two convolutions:

    | norm.position | branch | after the sum |
    | --- | --- | --- |
    | before | conv1 norm1 relu1 conv2 norm2 | relu2 |
    | after | conv1 relu1 norm1 conv2 | relu2 norm2 |

    A projection is normalized with `before` and bare with `after`, like the branch's last layer.
    """
    *inner, last = convolutions(kit, plan)
    index = len(inner) + 1
    ending = kit.weighted(index, last)
    if zero_last:
        start_at_zero(ending)
    branch = [stage for i, conv in enumerate(inner, start=1) for stage in kit.unit(i, conv)]
    return ResidualBlock(
        branch=[*branch, *ending, *skip_scale(skipinit)],
        shortcut=kit.shortcut(plan.projection(kit)) if plan.changes_shape else [],
        tail=kit.activated(index, plan.out_channels),
    )


def pre_activation(
    kit: Kit, plan: BlockPlan, convolutions: Convolutions, *, skipinit: bool
) -> ResidualBlock:
    """He et al. (2016b): norm and activation stand before each convolution, nothing after the sum.

    For two convolutions the branch is norm1 relu1 conv1 norm2 relu2 conv2, with
    `norm.position=after` relu1 norm1 conv1 relu2 norm2 conv2. A projection, bare, reads what the
    first convolution reads.
    """
    channels = plan.in_channels
    branch: list[NamedModule] = []
    for index, conv in enumerate(convolutions(kit, plan), start=1):
        branch += kit.preactivated(index, channels)
        branch.append(kit.read_through_norm(f"conv{index}", conv))
        channels = conv.out_channels
    branch += skip_scale(skipinit)
    if not plan.changes_shape:
        return ResidualBlock(branch=branch, shortcut=[])
    first = [name for name, _ in branch].index("conv1")
    shortcut = kit.read_through_norm("shortcut", plan.projection(kit))
    return ResidualBlock(head=branch[:first], branch=branch[first:], shortcut=[shortcut])


def fixup(kit: Kit, plan: BlockPlan, convolutions: Convolutions) -> ResidualBlock:
    """Zhang et al. (2019): no normalization; for two convolutions the branch is

        bias1a conv1 bias1b relu1 bias2a conv2 scale bias2b

    with one number a bias and scale, which train at a tenth of the learning rate, and relu2 after
    the sum. With m convolutions a branch and L branches, the draws of all but the last convolution
    are multiplied by L^(-1 / (2m - 2)) and the last starts at 0. Where the shape changes, the
    shortcut is x + bias1a at every stride-th position, with channels of zeros behind it.
    """
    convs = convolutions(kit, plan)
    branch: list[NamedModule] = []
    for index, conv in enumerate(convs, start=1):
        conv.bias = None
        is_last = index == len(convs)
        gain = plan.num_blocks ** (-1 / (2 * len(convs) - 2))
        conv.initial_gain = 0.0 if is_last else gain
        branch += [fixup_bias(f"bias{index}a"), (f"conv{index}", conv)]
        if is_last:
            branch += [("scale", Multiplier(1.0, rate_factor=FIXUP_RATE_FACTOR))]
            branch += [fixup_bias(f"bias{index}b")]
        else:
            branch.append(fixup_bias(f"bias{index}b"))
            branch += kit.activated(index, conv.out_channels)
    tail = kit.activated(len(convs), plan.out_channels)
    if not plan.changes_shape:
        return ResidualBlock(branch=branch, shortcut=[], tail=tail)
    padded = PaddedIdentity(plan.in_channels, plan.out_channels, stride=plan.stride)
    return ResidualBlock(
        head=branch[:1], branch=branch[1:], shortcut=[("shortcut", padded)], tail=tail
    )


def fixup_bias(name: str) -> NamedModule:
    return (name, Shift(rate_factor=FIXUP_RATE_FACTOR))


def skip_scale(skipinit: bool) -> list[NamedModule]:
    """The learned factor at the end of a SkipInit branch, 0 at first (De & Smith 2020)."""
    return [("skip_scale", Multiplier(0.0))] if skipinit else []


def start_at_zero(stages: list[NamedModule]) -> None:
    """Let the last gamma of a branch start at 0, so that the block starts as the identity.

    Raises:
        ValueError: there is no gamma at the end of the branch.
    """
    gammas = [
        module
        for _, stage in stages
        for module in stage.modules()
        if isinstance(module, Normalization) and module.weight is not None
    ]
    if not gammas:
        raise ValueError(
            "model.zero_init_last starts the last gamma of each branch at 0; this normalization "
            "puts none there. Choose a norm with norm.affine=true and norm.position=before, or set "
            "model.zero_init_last=false."
        )
    gammas[-1].initial_weight = 0.0
