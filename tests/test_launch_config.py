"""What a launcher's settings say about it."""

from __future__ import annotations

import os

import pytest
import torch

from normlab.launch.config import PoolConfig, SerialConfig


def test_how_many_runs_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SerialConfig().num_at_once() == 1
    assert PoolConfig(num_workers=3).num_at_once() == 3
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert PoolConfig().num_at_once() == (os.cpu_count() or 1)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 5)
    assert PoolConfig().num_at_once() == 5
