"""Losses of short runs stay as they are, to the bit where the platform is the one they are from.

Elsewhere the last digits differ, and `RELATIVE` bounds how far: sums are taken in another order,
and initial weights, which are drawn in float32 for every precision, through another logarithm. The
names of the tests say which of the two was compared; `support/golden.py`, when a loss may change.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support import golden

RECORDED = golden.read(golden.LOSSES)
RUNS: dict[str, dict[str, Any]] = RECORDED["runs"]
IS_SAME_PLATFORM = RECORDED["platform"] == golden.this_platform()

RELATIVE = {"float64": 1e-5, "float32": 1e-4}
HOW = {p: "to the bit" if IS_SAME_PLATFORM else f"within {r:g}" for p, r in RELATIVE.items()}
CASES = [
    pytest.param(name, precision, id=f"{name}, {precision} {HOW[precision]}")
    for name in RUNS
    for precision in RELATIVE
]

LOW_PRICED = (
    "probe=[activations,gradients,ics,landscape,moment_drift,residual,statistics_gap,weights] "
    "probe.statistics_gap.population_samples=32 probe.statistics_gap.held_out_samples=32 "
    + " ".join(f"probe.{name}.every=2" for name in ("activations", "gradients", "ics", "landscape"))
)


@pytest.mark.parametrize(("name", "precision"), CASES)
def test_losses_are_those_recorded(name: str, precision: str, results_dir: Path) -> None:
    run = RUNS[name]
    found = golden.losses(run["words"], precision, results_dir, after=run.get("after"))
    recorded: golden.Series = run[precision]
    if IS_SAME_PLATFORM:
        assert found == recorded
        return
    assert found.keys() == recorded.keys()
    for metric, values in found.items():
        ours, theirs = (
            [float.fromhex(value) for value in series] for series in (values, recorded[metric])
        )
        assert ours == pytest.approx(theirs, rel=RELATIVE[precision], abs=0.0), metric


@pytest.mark.parametrize("name", ["mlp batch", "resnet20 group preactivation"])
def test_probes_move_no_loss(name: str, results_dir: Path) -> None:
    words = RUNS[name]["words"]
    without = golden.losses(words, "float64", results_dir)
    probed = golden.losses(words, "float64", results_dir, extra=LOW_PRICED)
    assert probed == without


def test_every_model_family_has_golden_losses() -> None:
    words = {word for run in RUNS.values() for word in run["words"].split()}
    for model in ("mlp", "deep_linear", "book_cnn", "vgg11", "resnet20", "resnet18", "resnet50"):
        assert f"model={model}" in words
