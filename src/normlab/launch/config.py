"""How the runs of a sweep are carried out: settings only; `normlab.launch.dispatch` does it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from normlab.config import LauncherConfig, register, setting


@register("serial")
@dataclass(frozen=True, kw_only=True)
class SerialConfig(LauncherConfig):
    """One run after the other, in this process."""


@register("pool")
@dataclass(frozen=True, kw_only=True)
class PoolConfig(LauncherConfig):
    """Several runs at once, each in a process of its own."""

    num_workers: int | None = setting(
        None, "None: one a CUDA device where there are any, else one a core.", at_least=1
    )

    def num_at_once(self) -> int:
        return self.num_workers or len(cuda_devices()) or os.cpu_count() or 1


@register("slurm")
@dataclass(frozen=True, kw_only=True)
class SlurmConfig(LauncherConfig):
    """Reserved for job arrays; refused until it is built."""

    def __post_init__(self) -> None:
        raise ValueError(
            "launcher=slurm is not built yet. Use launcher=pool inside one allocation "
            "(srun --cpus-per-task=N python scripts/train.py -m launcher=pool ...); several such "
            "jobs may work on the same sweep at once and share its runs."
        )


def cuda_devices() -> list[str]:
    """The CUDA devices of this machine, as torch names them."""
    import torch

    return [f"cuda:{index}" for index in range(torch.cuda.device_count())]
