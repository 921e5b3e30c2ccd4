"""Every measure again, naively: whole passes of networks made anew, and NumPy.

Nothing here is shared with the code under test. A network is never copied but made a second time;
every pass gives it all its numbers again; weights are put in their order by watching torch's
kernels from below; all that flows is kept whole and summed at the end.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from support.surface_twin import naive_lanczos
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from foreign.network import Batch, Foreign

Array = NDArray[np.float64]
Values = Mapping[str, Tensor]
Product = Callable[[Array], Array]


@dataclass(frozen=True)
class Shift:
    l2: float
    cosine: float
    gradient_norm: float
    moved_gradient_norm: float
    update_norm: float


@dataclass(frozen=True)
class Ahead:
    """Gradient and losses along it."""

    gradient_norm: float
    losses: list[float]
    gradient_changes: list[float]


@dataclass(frozen=True)
class Bend:
    eigenvalues: Array
    trace: float
    along_gradient: float


class Oracle:
    """A network made like the measured one, and set to the same numbers before each pass."""

    def __init__(self, foreign: Foreign, seed: int) -> None:
        """
        Args:
            seed: that torch's generator was given just before the measure.
        """
        self.foreign = foreign
        self.network, _ = foreign.make()
        torch.manual_seed(seed)
        self._random = torch.get_rng_state()
        self._numbers = {k: v.detach().clone() for k, v in _tensors(self.network).items()}
        self._modes = [module.training for module in self.network.modules()]
        self._generators = [(g, g.get_state()) for g in _generators(self.network)]

    @property
    def now(self) -> dict[str, Tensor]:
        """The parameters as they are."""
        return {name: self._numbers[name] for name, _ in self.network.named_parameters()}

    def set(self, parameters: Values | None = None) -> nn.Module:
        """The network at its numbers, some parameters elsewhere, without gradients."""
        with torch.no_grad():
            for name, tensor in _tensors(self.network).items():
                tensor.copy_((parameters or {}).get(name, self._numbers[name]))
        for module, mode in zip(self.network.modules(), self._modes, strict=True):
            if module.training != mode:
                module.training = mode
        for generator, state in self._generators:
            generator.set_state(state)
        self.network.zero_grad(set_to_none=True)
        torch.set_rng_state(self._random)
        return self.network

    def loss(self, batch: Batch, parameters: Values | None = None) -> Tensor:
        network = self.set(parameters)
        inputs, targets = _own(batch)
        return self.foreign.loss(network(inputs), targets)

    def gradients(
        self, batch: Batch, parameters: Values | None = None
    ) -> tuple[float, dict[str, Array]]:
        """The loss, and its gradient with respect to every parameter, by a plain backward."""
        value = self.loss(batch, parameters)
        value.backward()
        return value.item(), {
            name: _array(p.grad if p.grad is not None else torch.zeros_like(p))
            for name, p in self.network.named_parameters()
            if p.requires_grad
        }

    def stepped(self, batch: Batch) -> dict[str, Tensor]:
        """Every parameter after a plain step of the optimizer, on yet another network."""
        network, optimizer = self.foreign.make()
        optimizer.zero_grad()
        torch.set_rng_state(self._random)
        inputs, targets = _own(batch)
        self.foreign.loss(network(inputs), targets).backward()
        optimizer.step()
        return {name: p.detach().clone() for name, p in network.named_parameters()}

    def order(self, batch: Batch) -> list[str]:
        """Every parameter, by where it first meets the data.

        Followed through torch's kernels: what one gives is data where it reads some, and made of
        the parameters that it reads otherwise.
        """
        network, inputs = self.set(), _own(batch[0])
        with _Kernels() as watch:
            network(inputs)
        data = {_storage(leaf) for leaf in tree_leaves(inputs) if _is_dense(leaf)}
        dimensions = {name: p.ndim for name, p in network.named_parameters()}
        made_of = {_storage(p): [name] for name, p in network.named_parameters()}
        order: dict[str, None] = {}
        for read, given in watch.calls:
            names = [name for tensor in read for name in made_of.get(tensor, [])]
            names = sorted(dict.fromkeys(names), key=lambda name: dimensions[name] < 2)
            if data.intersection(read):
                order.update(dict.fromkeys(names))
                data.update(given)
                names = []
            made_of.update(dict.fromkeys(given, names))
        return list(order)

    def shifts(
        self, batch: Batch, order: Sequence[str], weights: Sequence[str]
    ) -> dict[str, Shift]:
        """Definition 2.1 as it reads, for some weights."""
        after = self.stepped(batch)
        _, gradients = self.gradients(batch)
        rows = {}
        for weight in weights:
            earlier = {name: after[name] for name in order[: order.index(weight)]}
            _, moved = self.gradients(batch, earlier)
            one, other = gradients[weight], moved[weight]
            norms = np.linalg.norm(one) * np.linalg.norm(other)
            rows[weight] = Shift(
                l2=float(np.linalg.norm(one - other)),
                cosine=float(one @ other / norms) if norms else math.nan,
                gradient_norm=float(np.linalg.norm(one)),
                moved_gradient_norm=float(np.linalg.norm(other)),
                update_norm=float(np.linalg.norm(_array(after[weight] - self.now[weight]))),
            )
        return rows

    def ahead(self, batch: Batch, step_sizes: Sequence[float]) -> Ahead:
        """The loss and the change of its gradient at theta - a g."""
        _, gradients = self.gradients(batch)
        flat = _flat(gradients)
        losses, changes = [], []
        for size in step_sizes:
            there = {n: self.now[n] - size * _shaped(g, self.now[n]) for n, g in gradients.items()}
            value, found = self.gradients(batch, there)
            losses.append(value)
            changes.append(float(np.linalg.norm(_flat(found) - flat)))
        return Ahead(float(np.linalg.norm(flat)), losses, changes)

    def bend(self, batch: Batch, *, num_iterations: int, num_signs: int, seed: int) -> Bend:
        """Ritz values, Hutchinson's trace and g.Hg / g.g, from H v = grad of (g.v)."""
        g, product = self._curved(batch) if self.foreign.second_derivatives else self._bent(batch)
        size = len(g)
        generator = torch.Generator().manual_seed(seed)
        start = torch.randn(size, generator=generator, dtype=torch.float64).numpy()
        samples = []
        for _ in range(num_signs):
            signs = 2.0 * torch.randint(0, 2, (size,), generator=generator).numpy() - 1.0
            samples.append(signs @ product(signs))
        return Bend(
            eigenvalues=naive_lanczos(product, start, num_iterations),
            trace=float(np.mean(samples)),
            along_gradient=float(g @ product(g) / (g @ g)),
        )

    def _curved(self, batch: Batch) -> tuple[Array, Product]:
        """The gradient, and H v as the gradient of g.v."""
        moving = [p for p in self.network.parameters() if p.requires_grad]
        with sdpa_kernel(SDPBackend.MATH), _without_hooks(moving):
            first = torch.autograd.grad(
                self.loss(batch), moving, create_graph=True, materialize_grads=True
            )
        flat = torch.cat([_reals(g) for g in first])

        def product(vector: Array) -> Array:
            with _without_hooks(moving):
                found = torch.autograd.grad(
                    flat @ torch.from_numpy(vector),
                    moving,
                    retain_graph=True,
                    materialize_grads=True,
                )
            return np.concatenate([_array(piece) for piece in found])

        return flat.detach().numpy(), product

    def _bent(self, batch: Batch) -> tuple[Array, Product]:
        """The gradient, and H v from gradients a little further and a little back along v."""

        def gradient(vector: Array, step: float) -> Array:
            there, start = {}, 0
            for name, value in self.now.items():
                piece = vector[start : start + value.numel()]
                there[name] = value + step * _shaped(piece, value)
                start += value.numel()
            return _flat(self.gradients(batch, there)[1])

        def product(vector: Array) -> Array:
            step = 1e-5 / float(np.linalg.norm(vector))
            return (gradient(vector, step) - gradient(vector, -step)) / (2 * step)

        return _flat(self.gradients(batch)[1]), product

    def outputs(self, inputs: Any, modules: Iterable[str]) -> dict[str, Tensor]:
        """What modules give in one forward."""
        network = self.set()
        with _kept(network, modules, "output") as kept:
            network(_own(inputs))
        return {name: tensors[0] for name, tensors in kept.items()}

    def inputs(self, inputs: Any, modules: Iterable[str]) -> dict[str, Tensor]:
        """What modules read first in one forward."""
        network = self.set()
        with _kept(network, modules, "input") as kept:
            network(_own(inputs))
        return {name: tensors[0] for name, tensors in kept.items()}

    def population(
        self, batches: Sequence[Any], layers: Sequence[str]
    ) -> dict[str, tuple[Array, Array]]:
        """Mean and biased variance of each channel over everything a layer reads in training."""
        network = self.set().train()
        with _kept(network, layers, "input") as kept, torch.no_grad():
            for inputs in batches:
                network(_own(inputs))
        return {name: moments(torch.cat(tensors), 1) for name, tensors in kept.items()}

    def error(
        self,
        batch: Batch,
        wrong: Callable[[Any, Tensor], Tensor],
        *,
        statistics: Mapping[str, tuple[Array, Array]] | None = None,
        by_batch: Sequence[str] = (),
    ) -> float:
        """Mean error in evaluation mode, by other statistics or by the batch's own."""
        network = self.set().eval()
        for name, (mean, variance) in (statistics or {}).items():
            network.get_submodule(name).get_buffer("running_mean").copy_(torch.from_numpy(mean))
            network.get_submodule(name).get_buffer("running_var").copy_(torch.from_numpy(variance))
        for name in by_batch:
            network.get_submodule(name).train()
        inputs, targets = _own(batch)
        with torch.no_grad():
            return wrong(network(inputs), targets).mean().item()


NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
NO_WEIGHT = re.compile(
    r"(^|\.)("
    r"token|cls_token|class_token|token_type_embeddings|position|position_embeddings|pos_embedding|"
    r"pos_embed(?!.*_rel$)|wpe|relative_attention_bias|relative_position_bias_table|attention_biases|"
    r"cpb_mlp|rel_pos|gamma|beta|gain|layer_scale|logit_scale|temperature|weight_g|original0"
    r")(\.|$)"
)
"""Names, in these networks, of matrices that do not multiply the data, nor are looked up by them:
tokens and positions (and the networks that give these), gains, scales, temperatures."""


def weights(network: nn.Module) -> list[str]:
    """The parameters that multiply the data, or are looked up by them; told by their names."""
    owners = dict(network.named_modules())
    return [
        name
        for name, p in network.named_parameters()
        if p.ndim >= 2
        and not isinstance(owners[name.rpartition(".")[0]], NORMS)
        and not NO_WEIGHT.search(name)
    ]


def moments(values: Tensor, axis: int) -> tuple[Array, Array]:
    """Mean and biased variance of each unit over everything else."""
    array = np.moveaxis(values.double().numpy(), axis, 0)
    array = array.reshape(len(array), -1)
    return array.mean(1), array.var(1)


class _Kernels(TorchDispatchMode):
    """Notes whose memory every kernel reads, and whose it gives."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[tuple[list[int], list[int]]] = []
        self._alive: list[Any] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self._alive.append(result)  # so that no memory is given out twice
        read = [_storage(leaf) for leaf in tree_leaves((args, kwargs or {})) if _is_dense(leaf)]
        self.calls.append(
            (read, [_storage(leaf) for leaf in tree_leaves(result) if _is_dense(leaf)])
        )
        return result


@contextmanager
def _kept(
    network: nn.Module, modules: Iterable[str], side: str
) -> Iterator[dict[str, list[Tensor]]]:
    """Copies of what modules read or give, a list a module."""
    kept: dict[str, list[Tensor]] = {name: [] for name in modules}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], *given: Any) -> None:
            kept[name].append((given[0] if side == "output" else args[0]).detach().clone())

        return hook

    handles: list[Any] = []
    for name in kept:
        module = network.get_submodule(name)
        if side == "output":
            handles.append(module.register_forward_hook(keep(name)))
        else:
            handles.append(module.register_forward_pre_hook(keep(name)))
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}


def _generators(network: nn.Module) -> list[torch.Generator]:
    return [
        value
        for module in network.modules()
        for value in vars(module).values()
        if isinstance(value, torch.Generator)
    ]


def _own(value: Any) -> Any:
    """A copy that a forward may write to."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: _own(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_own(item) for item in value)
    return value


def _is_dense(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.layout == torch.strided


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _reals(tensor: Tensor) -> Tensor:
    """Flat and dense; a complex number is two real ones."""
    dense = tensor.to_dense() if tensor.is_sparse else tensor
    return (torch.view_as_real(dense) if dense.is_complex() else dense).reshape(-1)


def _array(tensor: Tensor) -> Array:
    return _reals(tensor.detach()).double().numpy().copy()


def _shaped(array: Array, like: Tensor) -> Tensor:
    """The tensor that `_array` was given."""
    numbers = torch.from_numpy(array)
    if like.is_complex():
        numbers = torch.view_as_complex(numbers.reshape(*like.shape, 2))
    return numbers.reshape(like.shape)


@contextmanager
def _without_hooks(parameters: Sequence[Tensor]) -> Iterator[None]:
    """The derivatives of the loss itself, not what hooks make of them."""
    hooks = [p._backward_hooks for p in parameters]
    for p in parameters:
        p._backward_hooks = None
    try:
        yield
    finally:
        for p, hook in zip(parameters, hooks, strict=True):
            p._backward_hooks = hook


def _flat(arrays: Mapping[str, Array]) -> Array:
    return np.concatenate(list(arrays.values()))
