"""What every test may rely on: no trace of the tests before it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from support.wandb_stub import Behaviour, WandbStub

from normlab.config.registry import choices
from normlab.metrics import METRICS
from normlab.metrics.registry import find

choices("probe")  # and with them all metrics
os.environ.pop("WANDB_API_KEY", None)  # no test speaks for the user


@pytest.fixture(autouse=True)
def _as_found() -> Iterator[None]:
    """Runs set threads and kernels for their process, and experiments bring metrics of their own;
    the next test starts from the same."""
    threads = torch.get_num_threads()
    matmul = torch.get_float32_matmul_precision()
    folder = Path.cwd()
    known = dict(METRICS)
    yield
    if known != METRICS:
        METRICS.clear()
        METRICS.update(known)
        find.cache_clear()
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(matmul)
    assert torch.get_default_dtype() == torch.float32, "a test changed torch's default dtype"
    assert Path.cwd() == folder, "a test changed the working directory"


@pytest.fixture
def results_dir(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def no_account(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """A user without a W&B account, on a machine without a network."""
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    yield
    if "wandb" in sys.modules:
        sys.modules["wandb"].teardown()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Callable[..., WandbStub]:
    """Starts a stand-in for W&B's server, and gives the user an account there."""

    def start(behaviour: Behaviour = Behaviour.SERVE) -> WandbStub:
        stub = WandbStub(behaviour)
        for name, value in stub.environment.items():
            monkeypatch.setenv(name, value)
        return stub

    return start
