"""The live network on loan: measured as it is, and given back untouched.

A deep copy of a network is another network: closures and hooks still speak of the first one, and
what cannot be copied (a kept feature, a scripted module, an optimizer with arguments of its own)
cannot be measured. So nothing is copied but tensors. For the time of a loan the live parameters,
buffers and optimizer states point at private memory; their own is neither written nor read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.autograd.grad_mode import _unsafe_preserve_version_counter

from normlab.measures.belongings import Belongings


class Loan:
    """Modules and optimizers whose tensors are private for a while."""

    def __init__(
        self, belongings: Belongings, private: Sequence[Tensor], values: Sequence[Tensor]
    ) -> None:
        self._belongings = belongings
        self._private = private
        self._values = values
        self._random = belongings.random_state()

    def restart(self) -> None:
        """Go back to where the loan began: values, attributes, modes, random generators.

        `.grad` is None again. Hooks that were registered since then stay.
        """
        self._belongings.restore(hooks=False)
        point(self._belongings.tensors, self._private)
        copy_values(self._private, self._values)
        for tensor in self._belongings.tensors:
            tensor.grad = None
        self._random.restore()


@contextmanager
def borrowed(*lenders: object, beside: Belongings | None = None) -> Iterator[Loan]:
    """Modules and optimizers to run, step and write to, afterwards as they were.

        with borrowed(model, optimizer):
            loss(model(inputs), targets).backward()
            optimizer.step()

    Values, gradients, attributes, what their containers hold, modes and requires_grad come back,
    at an exception too, and with them torch's, Python's and NumPy's global generators. The
    parameters stay the objects that closures, hooks and optimizers know; only while the block
    runs do they point elsewhere, so that no other thread should use them then. `.grad` is None at
    first.

    Args:
        lenders: modules, optimizers, and functions that refer to some.
        beside: belongings that are on loan already.

    Raises:
        ValueError: lazy modules that have not run, tensors made in inference mode.
    """
    meant = Belongings(*lenders, watched=False, beside=beside)
    private = private_copies(meant.tensors)
    with lent(Belongings(*lenders, beside=beside), meant, private) as values:
        yield Loan(meant, private, values)


@contextmanager
def lent(
    lender: Belongings, meant: Belongings, private: Sequence[Tensor]
) -> Iterator[list[Tensor]]:
    """Let tensors point at private memory; gives what they pointed at.

    Args:
        lender: the belongings as they stand; they come back at the end.
        meant: the belongings as they are to be in the block, now or before.
        private: a tensor for each of `meant.tensors`.
    """
    tensors = meant.tensors
    random = lender.random_state()
    own = [tensor.data for tensor in tensors]
    gradients = [tensor.grad if tensor.is_leaf else None for tensor in tensors]
    with torch.inference_mode(False), _unsafe_preserve_version_counter(tuple(tensors)):
        try:
            for tensor in tensors:
                tensor.grad = None
            point(tensors, private)
            meant.restore()
            yield own
        finally:
            point(tensors, own)
            for tensor, gradient in zip(tensors, gradients, strict=True):
                tensor.grad = gradient
            lender.restore()
            random.restore()


def point(tensors: Sequence[Tensor], memory: Sequence[Tensor]) -> None:
    """Let each tensor read and write another's memory; identity and version stay."""
    for tensor, place in zip(tensors, memory, strict=True):
        tensor.data = place
    # Mixed precision keeps casts of leaves, which now have other values.
    torch.clear_autocast_cache()


def private_copies(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Copies in the same layout; tensors that share memory share it in the copies too."""
    storages: dict[int, torch.UntypedStorage] = {}
    with torch.inference_mode(False):
        return [_private_copy(tensor.detach(), storages) for tensor in tensors]


def copy_values(to: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Write values into private memory."""
    if not to:
        return
    with torch.inference_mode(False), torch.no_grad():
        try:
            torch._foreach_copy_(list(to), list(values))
        except RuntimeError:  # memory that several of its entries share, as an expanded tensor's
            for place, value in zip(to, values, strict=True):
                _overwrite(place, value)


def _overwrite(place: Tensor, value: Tensor) -> None:
    if place.layout == torch.strided and place.stride() == value.stride():
        place.untyped_storage().copy_(value.untyped_storage())
    else:
        place.copy_(value)


def _private_copy(tensor: Tensor, storages: dict[int, torch.UntypedStorage]) -> Tensor:
    if tensor.layout != torch.strided or type(tensor) is not Tensor:
        return tensor.clone()
    storage = tensor.untyped_storage()
    own = storages.get(storage._cdata)
    if own is None:
        own = storages[storage._cdata] = storage.clone()
    return tensor.new_empty(0).set_(own, tensor.storage_offset(), tensor.size(), tensor.stride())
