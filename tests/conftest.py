"""What every test may rely on: all components known, and no trace of the tests before it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import normlab.components  # noqa: F401

os.environ.pop("WANDB_API_KEY", None)  # no test speaks for the user


@pytest.fixture(autouse=True)
def _as_found() -> Iterator[None]:
    """Runs set threads and kernels for their process; the next test starts from the same."""
    threads = torch.get_num_threads()
    matmul = torch.get_float32_matmul_precision()
    folder = Path.cwd()
    yield
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(matmul)
    assert torch.get_default_dtype() == torch.float32, "a test changed torch's default dtype"
    assert Path.cwd() == folder, "a test changed the working directory"


@pytest.fixture
def results_dir(tmp_path: Path) -> Path:
    return tmp_path / "results"
