"""What a forward pass does with a network's parameters, watched operation by operation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from normlab.measures.batches import tensors_in
from normlab.measures.capture import eagerly

PRODUCTS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("mm", "bmm", "mv", "dot", "vdot", "_sparse_mm", "_grouped_mm"), (0, 1)),
    **dict.fromkeys(("addmm", "addmv", "addbmm", "baddbmm", "_addmm_activation"), (1, 2)),
    **dict.fromkeys(("convolution", "linear", "mkldnn_linear", "_trilinear"), (1,)),
    **dict.fromkeys(("_conv_depthwise2d", "cudnn_convolution", "mkldnn_convolution"), (1,)),
}
"""Operations that multiply with a matrix or a kernel, and which arguments may be one."""

LOOKUPS = ("embedding", "_embedding_bag", "index", "index_select", "gather")
"""Operations that look up rows of their first argument; a weight where the data say which."""

ATTENTIONS = "scaled_dot_product"
RECURRENT = ("mkldnn_rnn_layer", "_cudnn_rnn", "_thnn_fused_lstm_cell", "_thnn_fused_gru_cell")

SHAPES_ALONE = ("empty_like", "zeros_like", "ones_like", "full_like", "rand_like", "randn_like",
                "new_empty", "new_zeros", "new_ones", "new_full", "new_empty_strided")  # fmt: skip


@dataclass(frozen=True)
class Use:
    """One parameter meeting what depends on the data, in an operation of a forward."""

    parameter: str
    is_weight: bool
    """Whether a product multiplies with it, or a lookup looks it up."""
    module: str
    """Name of the innermost module that was running."""
    call: int
    """Which of the forward's calls of modules that was."""


@dataclass(frozen=True)
class _Origin:
    """What a tensor was made from: the data, or parameters and constants alone."""

    is_data: bool = False
    entries: tuple[str, ...] = ()
    """Parameters whose entries are the tensor's, or were mapped to them one by one."""
    others: tuple[str, ...] = ()
    """Parameters that took part otherwise, as a gain or a norm does."""

    @property
    def parameters(self) -> tuple[str, ...]:
        return (*self.entries, *self.others)


CONSTANT = _Origin()
DATA = _Origin(is_data=True)


def uses_of(
    network: nn.Module, constants: Sequence[Tensor], forward: Callable[[], object]
) -> list[Use]:
    """The uses of a network's parameters in a forward, in order.

    Args:
        constants: tensors that a forward reads beside parameters and data, as buffers are.
    """
    watch = _Watch(network, constants)
    with _calls(network, watch), eagerly(), watch:
        outputs = forward()
    watch.end(outputs)
    return watch.uses


class _Watch(TorchDispatchMode):
    """Follows parameters through views, casts and elementwise maps to where they meet the data.

    Tensors are known by the memory they lie in, since a view is another object at each level.
    """

    def __init__(self, network: nn.Module, constants: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.uses: list[Use] = []
        self.running: list[tuple[str, int]] = [("", 0)]
        self._origins = {_memory(tensor): CONSTANT for tensor in constants}
        self._unknown = DATA
        self._parameters: dict[int, list[tuple[int, int, str]]] = {}
        for name, parameter in network.named_parameters():
            start = _offset(parameter)
            self._parameters.setdefault(_memory(parameter), []).append(
                (start, start + max(parameter.numel(), 1), name)
            )

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # otherwise the first use imports torch's compiler, which takes seconds

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.name().removeprefix("aten::").partition(".")[0]
        inputs = [*_tensors(args), *_tensors(list(kwargs.values()))]
        origins = [self._origin(tensor) for tensor in inputs]
        result = func(*args, **kwargs)
        if name in SHAPES_ALONE or name == "lift_fresh":  # the last: a number from Python
            made = CONSTANT
        else:
            made = self._made(name, args, inputs, origins, list(_tensors(result)))
        known = {_memory(tensor) for tensor in inputs}
        for tensor in _tensors(result):
            memory = _memory(tensor)
            if memory in self._parameters:
                continue
            is_view = memory in known and name != "lift_fresh" and not func._schema.is_mutable
            if is_view:
                continue  # its memory keeps its origin
            self._origins[memory] = made
        return result

    def begin(self, inputs: object) -> None:
        """The network is called: what it is given is the data, and what it finds is not."""
        for tensor in tensors_in(inputs):
            self._origins[_memory(tensor)] = DATA
            self._unknown = CONSTANT

    def end(self, outputs: object) -> None:
        """Parameters that an output is made of, though the data never met them, are used too."""
        for tensor in tensors_in(outputs):
            origin = self._origin(tensor)
            if not origin.is_data:
                self._use((), origin.parameters)

    def _origin(self, tensor: Tensor) -> _Origin:
        memory = _memory(tensor)
        if memory in self._parameters:
            offset = _offset(tensor)
            for start, stop, name in self._parameters[memory]:
                if start <= offset < stop:
                    return _Origin(entries=(name,))
        return self._origins.get(memory, self._unknown)

    def _made(
        self,
        name: str,
        args: Sequence[Any],
        inputs: Sequence[Tensor],
        origins: Sequence[_Origin],
        results: Sequence[Tensor],
    ) -> _Origin:
        """What comes out of an operation; uses in it are noted."""
        meets_data = any(origin.is_data for origin in origins)
        operands = self._operands(name, args, inputs)
        if meets_data:
            multiplied = [
                origin
                for tensor, origin in zip(inputs, origins, strict=True)
                if not origin.is_data and id(tensor) in operands
            ]
            weights = [parameter for origin in multiplied for parameter in origin.entries]
            together = [p for origin in (*multiplied, *origins) for p in origin.parameters]
            if name in RECURRENT:  # given as weights, then biases: each bias after its weight
                biases = [p for p in dict.fromkeys(together) if p not in weights]
                together = [p for pair in zip(weights, biases, strict=False) for p in pair]
                self._use(weights, [*together, *weights, *biases], weights_first=False)
            else:
                self._use(weights, together)
            return DATA
        size = max((tensor.numel() for tensor in results), default=0)
        joins = name in ("cat", "stack")
        if name in PRODUCTS:  # of parameters alone: x @ W, whose entries are W's
            holder = next((o for o in reversed(origins) if o.entries), CONSTANT)
            entries = holder.entries
        else:
            entries = tuple(
                parameter
                for tensor, origin in zip(inputs, origins, strict=True)
                if joins or tensor.numel() >= size
                for parameter in origin.entries
            )
        everything = [parameter for origin in origins for parameter in origin.parameters]
        return _Origin(
            entries=tuple(dict.fromkeys(entries)),
            others=tuple(p for p in dict.fromkeys(everything) if p not in entries),
        )

    def _operands(self, name: str, args: Sequence[Any], inputs: Sequence[Tensor]) -> set[int]:
        """The inputs that an operation multiplies with or looks up, by their ids."""
        if name in PRODUCTS:
            return {id(args[place]) for place in PRODUCTS[name] if place < len(args)}
        if name in LOOKUPS:
            where = list(_tensors(args[1:]))
            by_data = any(self._origin(tensor).is_data for tensor in where)
            return {id(args[0])} if by_data else set()
        if ATTENTIONS in name:
            return {id(tensor) for tensor in inputs[:3]}
        if name in RECURRENT:
            return {id(tensor) for tensor in inputs[1:] if tensor.dim() >= 2}
        return set()

    def _use(
        self, weights: Sequence[str], parameters: Sequence[str], *, weights_first: bool = True
    ) -> None:
        module, call = self.running[-1]
        for parameter in dict.fromkeys((*weights, *parameters) if weights_first else parameters):
            self.uses.append(Use(parameter, parameter in weights, module, call))


@contextmanager
def _calls(network: nn.Module, watch: _Watch) -> Iterator[None]:
    """Keep `watch.running` to the modules that run, with the number of their call."""
    count = Counter({"calls": 0})

    def begin(name: str) -> Callable[..., None]:
        def enter(module: nn.Module, args: object, keywords: object) -> None:
            if module is network:
                watch.begin((args, keywords))
            count["calls"] += 1
            watch.running.append((name, count["calls"]))

        return enter

    def end(module: nn.Module, args: object, output: object) -> None:
        watch.running.pop()

    with ExitStack() as stack:
        for name, module in network.named_modules():
            if isinstance(module, torch.jit.ScriptModule):
                continue  # takes no hooks
            handles = (
                module.register_forward_pre_hook(begin(name), prepend=True, with_kwargs=True),
                module.register_forward_hook(end, always_call=True),
            )
            for handle in handles:
                stack.callback(handle.remove)
        yield


def _tensors(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)


def _memory(tensor: Tensor) -> int:
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):  # a layout without one block of memory
        return id(tensor)


def _offset(tensor: Tensor) -> int:
    try:
        return int(tensor.storage_offset())
    except (NotImplementedError, RuntimeError):
        return 0
