"""Following the units of layers through whatever a network does to tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from normlab.measures.capture import in_backward

# Names of operations of torch's core, which every function of torch comes down to.

LAST = ("embedding", "_native_multi_head_attention", "_transformer_encoder_layer_fwd")
"""Their output has its units last."""

SECOND = (
    "convolution", "native_group_norm", "native_batch_norm", "cudnn_batch_norm",
    "_native_batch_norm_legit", "_native_batch_norm_legit_no_training", "_batch_norm_with_update",
    "_batch_norm_no_update", "miopen_batch_norm",
)  # fmt: skip
"""Their output has them as dimension 1."""

JOINING = ("cat", "copy_", "rsub", "masked_fill")
"""Their output has them where all that they read has them, as operations value by value do."""

KEEPING = (
    "_softmax", "_log_softmax", "native_layer_norm", "_fused_rms_norm", "native_dropout", "glu",
    "_to_copy", "roll", "flip", "constant_pad_nd", "index_select", "_prelu_kernel", "hardswish",
    "hardswish_", "gelu_", "mish_", "threshold_", "log_sigmoid_forward", "rrelu_with_noise",
    "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "native_channel_shuffle",
)  # fmt: skip
KEEPING_PREFIXES = (
    "avg_pool", "max_pool", "_adaptive_avg_pool", "adaptive_max_pool", "mkldnn_max_pool",
    "upsample_", "_upsample_", "reflection_pad", "replication_pad",
)  # fmt: skip
"""Their output has them where the first input has them, whatever number of them."""

REDUCING = ("mean", "sum", "amax", "amin", "var", "std")
"""Their output, if it keeps the dimensions, has them there too, unless they are what is reduced."""

PRODUCTS = {"mm": 0, "bmm": 0, "addmm": 1, "baddbmm": 1}
"""Matrix products, with the place of the first factor among the arguments."""

Place = tuple[int, tuple[int, ...], tuple[int, ...]]


class FollowedUnits(TorchDispatchMode):
    """Knows on which dimension of a tensor the units of the last layer before it lie.

    For each tensor there is a stand-in of the same shape, one number a unit, which every other
    dimension repeats (stride 0). It passes through the views that the tensor passes through, so
    that units split over two dimensions, such as attention heads, are found again where these are
    merged. Tensors are told apart by the memory they lie in.

    Args:
        parameters: of the network; one that is a factor of a matrix product makes new units.
    """

    def __init__(self, parameters: Iterable[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._stand_ins: dict[Place, Tensor] = {}
        self._parameters = {parameter.data_ptr() for parameter in parameters}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # otherwise the first use imports torch's compiler, which takes seconds

    def axis(self, values: Tensor) -> int | None:
        """The dimension of the units; None where they are unknown or lie on several."""
        stand_in = self._stand_ins.get(_place(values))
        axes = () if stand_in is None else _axes(stand_in)
        return axes[0] if len(axes) == 1 else None

    def mark(self, values: Tensor, axis: int) -> None:
        """Take a dimension for that of units."""
        self._stand_ins[_place(values)] = _stand_in(values, axis)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # Pooling to one position lays its result out anew, in place.
        is_laid_out = func is torch.ops.aten.as_strided_.default
        before = self._stand_ins.get(_place(args[0])) if is_laid_out else None
        result = func(*args, **(kwargs or {}))
        if not in_backward():
            results = list(_tensors(result))
            found = self._found(func, args, results) if results and not is_laid_out else [before]
            for index, tensor in enumerate(results):
                stand_in = found[index] if index < len(found) else None
                if stand_in is None or stand_in.shape != tensor.shape:
                    self._stand_ins.pop(_place(tensor), None)
                else:
                    self._stand_ins[_place(tensor)] = stand_in
        return result

    def _found(self, func: Any, args: Any, results: Sequence[Tensor]) -> Sequence[Tensor | None]:
        """Stand-ins of what an operation gives; nothing where it is not known what it does."""
        name = func._schema.name.removeprefix("aten::")
        output = results[0]
        if func.is_view or name == "_unsafe_view":
            return self._viewed(func if func.is_view else torch.ops.aten.view.default, args)
        if torch.Tag.pointwise in func.tags or name in JOINING:
            return [self._agreed(_tensors(args), output)]
        if name in SECOND and output.dim() > 1:
            return [_stand_in(output, 1)]
        if name in LAST or (name == "native_layer_norm" and len(args[1]) == 1):
            return [_stand_in(output, -1)]
        if name in KEEPING or name.startswith(KEEPING_PREFIXES):
            return [self._agreed(_tensors(args[:1]), output)]
        if name.startswith("_scaled_dot_product_"):
            return [self._agreed(_tensors(args[2:3]), output)]
        if name in REDUCING and args[0].dim() == output.dim():
            kept = self._agreed(_tensors(args[:1]), output)
            same = kept is not None and all(
                output.shape[axis] == args[0].shape[axis] for axis in _axes(kept)
            )
            return [kept if same else None]
        if name in PRODUCTS:
            first, second = args[PRODUCTS[name] :][:2]
            return [self._multiplied(first, second, output)]
        return []

    def _viewed(self, func: Any, args: Any) -> Sequence[Tensor | None]:
        stand_in = self._stand_ins.get(_place(args[0]))
        if stand_in is not None:
            with suppress(RuntimeError):  # units merged with something else are units no more
                return list(_tensors(func(stand_in, *args[1:])))
        return []

    def _agreed(self, tensors: Iterator[Tensor], output: Tensor) -> Tensor | None:
        """Of what is made of tensors value by value, where the units of all lie alike."""
        known = [self._stand_ins.get(_place(tensor)) for tensor in tensors]
        axes = {
            tuple(axis - stand_in.dim() for axis in _axes(stand_in))
            for stand_in in known
            if stand_in is not None
        }
        return _stand_in(output, *axes.pop()) if len(axes) == 1 else None

    def _multiplied(self, first: Tensor, second: Tensor, output: Tensor) -> Tensor | None:
        """Of a product (..., i, k) (..., k, j).

        A parameter makes new units of those along k, and so does a factor of unknown meaning. With
        units along j alone, as the values of an attention, the product has the same.
        """
        row, column = output.dim() - 2, output.dim() - 1
        if second.data_ptr() in self._parameters:
            return _stand_in(output, column)
        if first.data_ptr() in self._parameters:
            return _stand_in(output, row)
        of_first, of_second = self.axis(first), self.axis(second)
        if of_first != row and (of_second == column or (of_second is None and of_first == column)):
            return _stand_in(output, column)
        if of_second == row and of_first != column:
            return _stand_in(output, row)
        return None


def _place(values: Tensor) -> Place:
    return values.data_ptr(), tuple(values.shape), values.stride()


def _axes(stand_in: Tensor) -> tuple[int, ...]:
    return tuple(axis for axis, stride in enumerate(stand_in.stride()) if stride)


def _stand_in(values: Tensor, *axes: int) -> Tensor:
    """Units counted along some dimensions, the last of them fastest."""
    strides = [0] * values.dim()
    num_units = 1
    for axis in sorted((axis % values.dim() for axis in axes), reverse=True):
        strides[axis] = num_units
        num_units *= values.shape[axis]
    return torch.empty(max(num_units, 1), device="cpu").as_strided(values.shape, strides)


def _tensors(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, tuple | list):
        for value in values:
            yield from _tensors(value)
