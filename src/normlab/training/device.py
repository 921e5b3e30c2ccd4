"""Where a run computes, and with which arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from normlab.config.run import Precision


def resolve_device(name: str) -> torch.device:
    """The device a configuration names; `auto` is the first CUDA device, else the CPU.

    Raises:
        ValueError: for a device this machine does not have.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"device must be auto, cpu, cuda or cuda:N; got {name!r}.") from None
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device must be auto, cpu, cuda or cuda:N; got {name!r}.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device={name}: this machine has {torch.cuda.device_count()} CUDA devices. "
            "Use device=auto or device=cpu."
        )
    return device


def set_exact_arithmetic() -> None:
    """IEEE float32 and repeatable kernels.

    TensorFloat-32 rounds inputs to 10 bits, an error of about 1e-3 in a gradient: more than many
    of the differences measured here.
    """
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


@contextmanager
def process_restored() -> Iterator[None]:
    """Give the process back as it was found: CPU threads, and what `set_exact_arithmetic` sets."""
    cudnn = torch.backends.cudnn
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    flags = cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)
        cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic = flags


def parameter_dtype(precision: Precision) -> torch.dtype:
    """bfloat16 is mixed precision: parameters and statistics stay in float32."""
    return torch.float64 if precision == "float64" else torch.float32


def memory_format(device: torch.device) -> torch.memory_format:
    """How kernels lie in memory, which images then follow.

    Channels-last takes a convolutional network on the CPU less time than the
    contiguous order. On CUDA it pays in half precision only.
    """
    return torch.channels_last if device.type == "cpu" else torch.preserve_format


def arithmetic(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """The context a forward pass runs in."""
    if precision == "bfloat16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()
