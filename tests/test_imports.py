"""What a training process does not pay for: packages that it has no use for."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from normlab.config import OptimizerConfig
from normlab.training.optimizers import AdamConfig, AdamWConfig, SGDConfig

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "train.py"

UNUSED = (
    "matplotlib",
    "pandas",
    "scipy",
    "seaborn",
    "sklearn",
    "sympy",
    "torch._dynamo",
    "torchvision",
    "wandb",
)

RUN = """
import json, runpy, sys
script, *words = sys.argv[1:]
sys.argv = [script, *words]
try:
    runpy.run_path(script, run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps(sorted(sys.modules)))
"""


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_a_run_imports_only_what_it_uses(optimizer: str, tmp_path: Path) -> None:
    """One whole run, to its table and summary; torch's compiler alone would take a second."""
    words = ["model=mlp", "norm=batch", "steps=2", f"optimizer={optimizer}", "tracker=none"]
    finished = subprocess.run(
        [sys.executable, "-c", RUN, str(SCRIPT), *words, f"results_dir={tmp_path}"],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert finished.returncode == 0, finished.stderr
    imported = set(json.loads(finished.stdout.splitlines()[-1]))
    assert not imported & set(UNUSED)


@pytest.mark.parametrize(
    ("config", "reference"),
    [
        (SGDConfig(lr=0.1), lambda p: torch.optim.SGD(p, lr=0.1)),
        (
            SGDConfig(lr=0.1, momentum=0.9, nesterov=True),
            lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
        ),
        (AdamConfig(lr=0.01), lambda p: torch.optim.Adam(p, lr=0.01)),
        (
            AdamWConfig(lr=0.01, weight_decay=0.1),
            lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
        ),
    ],
    ids=["sgd", "nesterov", "adam", "adamw"],
)
def test_optimizers_without_the_compiler_are_torchs_own_to_the_bit(
    config: OptimizerConfig, reference: Callable[..., Any]
) -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(5, 3, generator=generator)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    optimizer, twin = config.build([ours]), reference([theirs])
    for step in range(4):
        gradient = torch.randn(5, 3, generator=generator)
        for parameter, stepper in ((ours, optimizer), (theirs, twin)):
            stepper.zero_grad()
            parameter.grad = gradient.clone()
            stepper.step()
        assert torch.equal(ours, theirs)
        if step == 1:  # as a resumed run does
            resumed = config.build([ours])
            resumed.load_state_dict(optimizer.state_dict())
            optimizer = resumed
    assert not ours.grad_fn
    assert optimizer.state_dict()["param_groups"][0]["lr"] == config.lr
