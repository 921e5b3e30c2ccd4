"""How the runs of a sweep are carried out: settings, and which module does it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from normlab.config import LauncherConfig, register, setting

if TYPE_CHECKING:
    from normlab.launch.display import Display
    from normlab.launch.execute import Result
    from normlab.launch.stopping import Stop
    from normlab.plan.runs import PlannedRun
    from normlab.tracking import Mirror


@register("serial")
@dataclass(frozen=True, kw_only=True)
class SerialConfig(LauncherConfig):
    """One run after the other, in this process."""

    def carry_out(
        self,
        runs: Sequence[PlannedRun],
        stop: Stop,
        display: Display,
        mirror: Mirror,
        *,
        alone: bool,
    ) -> list[Result]:
        from normlab.launch.serial import run_serially

        return run_serially(runs, stop, display, mirror, alone=alone)


@register("pool")
@dataclass(frozen=True, kw_only=True)
class PoolConfig(LauncherConfig):
    """Several runs at once, each in a process of its own."""

    num_workers: int | None = setting(
        None, "None: one a CUDA device where there are any, else one a core.", at_least=1
    )

    def num_at_once(self) -> int:
        return self.num_workers or len(cuda_devices()) or os.cpu_count() or 1

    def carry_out(
        self,
        runs: Sequence[PlannedRun],
        stop: Stop,
        display: Display,
        mirror: Mirror,
        *,
        alone: bool,
    ) -> list[Result]:
        from normlab.launch.pool import run_in_pool

        return run_in_pool(runs, self, stop, display, mirror)


@register("slurm")
@dataclass(frozen=True, kw_only=True)
class SlurmConfig(LauncherConfig):
    """Reserved for job arrays; refused until it is built."""

    def __post_init__(self) -> None:
        raise ValueError(
            "launcher=slurm is not built yet. Use launcher=pool inside one allocation "
            "(srun --cpus-per-task=N normlab train -m launcher=pool ...); several such "
            "jobs may work on the same sweep at once and share its runs."
        )

    def carry_out(
        self,
        runs: Sequence[PlannedRun],
        stop: Stop,
        display: Display,
        mirror: Mirror,
        *,
        alone: bool,
    ) -> list[Result]:
        raise AssertionError("there is none of these")


def cuda_devices() -> list[str]:
    """The CUDA devices of this machine, as torch names them."""
    import torch

    return [f"cuda:{index}" for index in range(torch.cuda.device_count())]
