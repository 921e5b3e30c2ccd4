"""A forward pass that can be run again: in parts, and with other weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from normlab.measures.batches import Batch, detached, pair, protected, tensors_in
from normlab.measures.belongings import Belongings, RandomState, Watcher
from normlab.measures.borrowed import borrowed, copy_values, lent, point, private_copies
from normlab.measures.layers import WeightLayer, total_order, weights_in
from normlab.measures.vectors import dense

Loss = Callable[[Any, Any], Tensor]

READ_ONLY = (
    nn.Linear.forward,
    nn.Conv1d.forward,
    nn.Conv2d.forward,
    nn.Conv3d.forward,
)
"""Forwards known to leave their input as it is; others may begin with an in-place activation."""

Part = tuple[Callable[[Any], Any], nn.Module | None]
"""A piece of a forward: what it makes of what flows, and the module it runs (None: it only
rearranges what flows)."""


@runtime_checkable
class Parted(Protocol):
    """A module whose forward is its parts, one after the other."""

    def parts(self) -> list[Part]: ...


@dataclass(frozen=True)
class Position:
    """A point between two stages of a forward: what flows there, and the generators' states."""

    stage: int
    flow: Any
    random: RandomState


class Replay:
    """A network's forward at one step, run again on the live network while it is on loan.

    The forward is cut into stages where it may be: an `nn.Sequential` (a `Chain` is one) at each
    child, nested ones too; a module with a method `parts()`, such as our residual block, at each
    part; any other module is a single stage. Every stage that runs starts from the values,
    attributes, modes and random generators as they stood at `capture`, so that running
    statistics, dropout masks and noise are those of the step's own forward. (Randomness of other
    origin must replay by itself, as `normlab.randomness.Stream` does.) Gradients are recorded in
    every stage and for every parameter, as the step's forward records them: a layer may ask.

    Only private copies of tensors are written to; the live ones are pointed at these while a
    method runs, or a block of `lent`, and are given back as they were
    (`normlab.measures.borrowed`).

    Args:
        model: the live network.
        memory_format: of the private copies of kernels; preserved, passes repeat the network's own
            rounding.
        weights: names of the parameters that count as weights; None: those that `total_order`
            finds.
    """

    def __init__(
        self,
        model: nn.Module,
        memory_format: torch.memory_format = torch.preserve_format,
        weights: Sequence[str] | None = None,
    ) -> None:
        _refuse_distributed(model)
        self.network = model
        self.weights = weights
        self._memory_format = memory_format
        self._stages = _stages(model)
        self._order: tuple[WeightLayer, ...] | None = None
        self._is_whole = False
        self._is_lent = False
        self._captured = Belongings(model, watched=False)
        self._shapes = _shapes(model)
        self._make_room()

    def capture(self, model: nn.Module) -> None:
        """Take over the network as it stands, and the random state: call it before the forward.

        Raises:
            ValueError: the model is no longer the one it was.
        """
        if model is not self.network or _shapes(model) != self._shapes:
            raise ValueError(
                "the model's parameters are not those it had when it was copied for measurement; "
                "build a new Replay after changing a model."
            )
        self._captured = Belongings(model, watched=False)
        if not self._is_whole:
            self._stages = _stages(model)
        if _are(self._captured.tensors, self._tensors):
            copy_values(self._private, [tensor.detach() for tensor in self._tensors])
            copy_values(self._buffer_values, self._buffers)
            self._random = self._captured.random_state()
        else:  # a forward has put other tensors in the place of buffers
            self._make_room()

    def _make_room(self) -> None:
        """Private tensors for those that were captured, with their values."""
        self._tensors = self._captured.tensors
        self._private = [
            _in_format(private, self._memory_format) for private in private_copies(self._tensors)
        ]
        places = {
            id(tensor): place for tensor, place in zip(self._tensors, self._private, strict=True)
        }
        self.live = dict(self.network.named_parameters())
        self._parameters = {name: places[id(parameter)] for name, parameter in self.live.items()}
        moving = {id(place) for place in self._parameters.values()}
        self._buffers = [place for place in self._private if id(place) not in moving]
        self._buffer_values = private_copies(self._buffers)
        self._random = self._captured.random_state()

    @contextmanager
    def lent(self, *others: object) -> Iterator[None]:
        """Borrow the network once for all that is run inside the block.

        Args:
            others: a loss, which may keep or change something too.
        """
        if self._is_lent:
            yield
            return
        self._is_lent = True
        try:
            with (
                lent(Belongings(self.network), self._captured, self._private),
                borrowed(*others, beside=self._captured) as self._others,
            ):
                yield
        finally:
            self._is_lent = False

    def load(self, parameters: Mapping[str, Tensor], names: Iterable[str] | None = None) -> None:
        """Give the private parameters other values, all or the named ones."""
        chosen = list(parameters if names is None else names)
        copy_values(
            [self._parameters[name] for name in chosen],
            [parameters[name].detach() for name in chosen],
        )

    def order(self, inputs: Any) -> tuple[WeightLayer, ...]:
        """The network's weight layers; watched in a forward the first time, then remembered."""
        if self._order is None:
            with self.lent():
                self._order = total_order(
                    self.network, partial(self._watched_outputs, inputs), self.weights
                )
                if self._captured.restore(hooks=False):
                    # Modules may talk to each other beside what flows: only the whole is right.
                    self._is_whole = True
                    self._stages = [(self.network, self.network)]
        return self._order

    def weights_in(self, inputs: Any) -> list[str]:
        """Names of the weights, whether or not they have a place in an order."""
        with self.lent():
            return weights_in(self.network, partial(self._watched_outputs, inputs))

    def gradients(self, loss: Loss, batch: Batch) -> dict[str, Tensor]:
        """The loss's gradients on a batch with the present private parameters, by name; without
        those that the loss ignores.

        Raises:
            ValueError: the loss is not a single number.
        """
        inputs, targets = pair(batch)
        free = [(name, p) for name, p in self.live.items() if p.requires_grad]
        with self.lent(loss), torch.enable_grad():
            value = scalar(loss(self.outputs(inputs), protected(targets)))
            if not value.requires_grad:
                return {}
            found = derivatives(value, [p for _, p in free])
        return {
            name: dense(gradient)
            for (name, _), gradient in zip(free, found, strict=True)
            if gradient is not None
        }

    def _watched_outputs(self, inputs: Any) -> Any:
        """The network as it is called: the place to see what it is given."""
        with torch.enable_grad():
            self._restart(self._random)
            outputs = self.network(protected(inputs))
        refuse_reentrant(outputs)
        return outputs

    def parameter(self, name: str) -> Tensor:
        """A parameter's present private value."""
        return self._parameters[name]

    def random_state(self) -> RandomState:
        """The random generators as they stand now."""
        return self._captured.random_state()

    def stage_of(self, parameter: str) -> int:
        """Index of the stage that holds a parameter."""
        wanted = self.live[parameter]
        return next(
            index
            for index, (_, module) in enumerate(self._stages)
            if module is not None and any(wanted is own for own in module.parameters())
        )

    def start(self, inputs: Any) -> Position:
        """The position before the first stage."""
        with torch.inference_mode(False):
            return Position(0, protected(inputs), self._random)

    def advance(self, position: Position, stage: int) -> Position:
        """Run the stages before `stage` with the present private parameters."""
        if position.stage == stage:
            return position
        with self.lent():
            flow = self._run(position, stage, detach=True)
            return Position(stage, flow, self.random_state())

    def outputs(self, inputs: Any) -> Any:
        """The whole forward with the present private parameters."""
        return self._run(self.start(inputs), len(self._stages))

    def gradient(self, position: Position, weight: str, loss: Loss, targets: Any) -> Tensor:
        """The loss's gradient with respect to one weight alone, from a position before its stage.

        Raises:
            ValueError: the loss is not a single number or does not depend on the weight.
        """
        parameter = self.live[weight]
        with self.lent(loss):
            outputs = self._run(position, len(self._stages))
            with torch.enable_grad():
                value = scalar(loss(outputs, protected(targets)))
            (gradient,) = derivatives(value, [parameter]) if value.requires_grad else (None,)
        if gradient is None:
            raise ValueError(f"the loss does not depend on {weight}: it has no gradient.")
        return gradient

    def _run(self, position: Position, stop: int, *, detach: bool = False) -> Any:
        with self.lent(), torch.enable_grad():
            self._restart(position.random)
            stages = self._stages[position.stage : stop]
            flow = position.flow
            if stages and not _leaves_its_input(stages[0][1]):
                flow = protected(flow)
            for run, _ in stages:
                flow = run(flow)
                if detach:
                    flow = detached(flow)
        return flow

    def _restart(self, random: RandomState) -> None:
        self._others.restart()
        self._captured.restore(hooks=False)
        point(self._tensors, self._private)
        copy_values(self._buffers, self._buffer_values)
        random.restore()


def derivatives(
    value: Tensor,
    parameters: Sequence[Tensor],
    *,
    create_graph: bool = False,
) -> tuple[Tensor | None, ...]:
    """`torch.autograd.grad`; of a parameter that the value ignores None.

    Raises:
        ValueError: the forward is checkpointed in the way that forbids it.
    """
    try:
        return torch.autograd.grad(value, parameters, create_graph=create_graph, allow_unused=True)
    except RuntimeError as error:
        if "use_reentrant" in str(error):
            raise _reentrant() from error
        raise


def refuse_reentrant(outputs: Any) -> None:
    """
    Raises:
        ValueError: part of what made the outputs is checkpointed with use_reentrant=True, which
            cuts the graph where the inputs have no gradient.
    """
    waiting: list[Any] = [tensor.grad_fn for tensor in tensors_in(outputs)]
    seen = set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name() == "CheckpointFunctionBackward":
            raise _reentrant()
        waiting += [following for following, _ in node.next_functions]


def _reentrant() -> ValueError:
    return ValueError(
        "the model checkpoints activations with use_reentrant=True, which allows no gradient of "
        "single parameters. Call torch.utils.checkpoint.checkpoint with use_reentrant=False, or "
        "turn checkpointing off while measuring: it changes no number."
    )


def scalar(loss: Any) -> Tensor:
    """The loss itself.

    Raises:
        ValueError: it is not one real number that can be differentiated.
    """
    if not isinstance(loss, Tensor):
        way_out = (
            "return the loss alone, without what comes beside it"
            if isinstance(loss, tuple | list | dict)
            else "return the loss itself, without item() or float()"
        )
        raise ValueError(f"the loss must be a tensor; got a {type(loss).__name__}: {way_out}.")
    if loss.numel() != 1:
        raise ValueError(
            f"the loss must be a single number; it has shape {tuple(loss.shape)}. "
            "Reduce it over the batch, by its mean or its sum."
        )
    if loss.is_complex():
        raise ValueError("the loss must be a real number; it is complex. Return its abs() or real.")
    return loss


def _refuse_distributed(model: nn.Module) -> None:
    """
    Raises:
        ValueError: the model's step is one of several processes together.
    """
    is_shared = (
        isinstance(model, nn.parallel.DistributedDataParallel) and model.process_group.size() > 1
    )
    if is_shared or any(type(p.data).__name__ == "DTensor" for p in model.parameters()):
        raise ValueError(
            "the model is spread over several processes, whose step follows the mean of their "
            "gradients, while a measure sees those of one. Measure the module inside "
            "(model.module), whole and on a batch of one process."
        )


def _stages(module: nn.Module) -> list[Part]:
    """The parts that run one after the other and make up a network's forward."""
    stages = _parts(module)
    uses = Counter(
        id(inner)
        for _, part in stages
        if part is not None
        for inner in part.modules()
        if any(True for _ in inner.parameters()) or any(True for _ in inner.buffers())
    )
    is_shared = any(count > 1 for count in uses.values())
    return [(module, module)] if is_shared or _hooks_on_every_module() else stages


def _parts(module: nn.Module) -> list[Part]:
    if _is_watched(module) or "forward" in vars(module):
        return [(module, module)]
    if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
        return [stage for child in module for stage in _parts(child)]
    if isinstance(module, Parted):
        return module.parts()
    return [(module, module)]


def _is_watched(module: nn.Module) -> bool:
    """Whether calling the module does more than its forward."""
    hooks = (
        *module._forward_hooks.values(),
        *module._forward_pre_hooks.values(),
        *module._backward_hooks.values(),
        *module._backward_pre_hooks.values(),
    )
    return any(not isinstance(hook, Watcher) for hook in hooks)


def _hooks_on_every_module() -> bool:
    every = torch.nn.modules.module
    return bool(every._has_any_global_hook())


def _leaves_its_input(module: nn.Module | None) -> bool:
    """Whether what flows into a stage need not be copied for it."""
    return (
        module is not None
        and getattr(type(module), "forward", None) in READ_ONLY
        and not _is_watched(module)
        and "forward" not in vars(module)
    )


def _in_format(tensor: Tensor, memory_format: torch.memory_format) -> Tensor:
    """As `nn.Module.to` converts: kernels of images and volumes alone."""
    if memory_format == torch.preserve_format or tensor.dim() not in (4, 5):
        return tensor
    return tensor.contiguous(memory_format=memory_format)


def _shapes(model: nn.Module) -> dict[str, torch.Size]:
    return {name: parameter.shape for name, parameter in model.named_parameters()}


def _are(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))
