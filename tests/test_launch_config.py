"""What a launcher's settings say about it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from support.runs import planned

from normlab.config import LauncherConfig
from normlab.launch.config import PoolConfig, SerialConfig
from normlab.launch.dispatch import launch
from normlab.launch.execute import Result
from normlab.plan.runs import PlannedRun


def test_how_many_runs_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SerialConfig().num_at_once() == 1
    assert PoolConfig(num_workers=3).num_at_once() == 3
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert PoolConfig().num_at_once() == (os.cpu_count() or 1)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 5)
    assert PoolConfig().num_at_once() == 5


@dataclass(frozen=True, kw_only=True)
class ToldConfig(LauncherConfig):
    """Of one's own: says of every run that it has been handed on."""

    def carry_out(self, runs: Sequence[PlannedRun], *_: Any, alone: bool) -> list[Result]:
        assert not alone
        return [Result(run.name, "finished", text="handed on") for run in runs]


def test_a_launcher_of_ones_own_is_not_taken_for_a_serial_one(results_dir: Path) -> None:
    runs = [planned(f"seed={seed}", results_dir=results_dir) for seed in (0, 1)]
    runs = [run.with_config(dataclasses.replace(run.config, launcher=ToldConfig())) for run in runs]
    outcome = launch(runs, Console(file=StringIO()))
    assert [result.text for result in outcome.results] == ["handed on", "handed on"]
    assert not any(run.folder.path.exists() for run in runs)
