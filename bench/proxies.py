"""What circulates as "loss landscape" and "ICS", beside the definitions, on the same networks.

    python -m bench.proxies

Prints the table of docs/measurements.md: medians over the steps of a training with and without
batch normalization (about a minute on one CPU core). The proxies are those of the public
re-implementations of Santurkar et al. (2018): bands over separate runs at several learning rates,
and differences of one layer's gradient between successive batches.
"""

from __future__ import annotations

import math
import statistics
from pathlib import Path
from typing import Any

import torch

from normlab.config.compose import Composer
from normlab.config.convert import run_config
from normlab.config.resolve import resolve
from normlab.data import load
from normlab.metrics.layered import Layered, named
from normlab.training.device import parameter_dtype, set_exact_arithmetic
from normlab.training.loop import Loop, NullObserver
from normlab.training.setup import build

CONFIG_DIR = Path(__file__).resolve().parent.parent / "configs"
LEARNING_RATE = 0.05
MULTIPLES = (0.5, 1.0, 2.0, 4.0)
LAYER = "conv5"
NUM_STEPS = 80
RUN = (
    "model=vgg11",
    "model.width=0.125",
    "init=he",
    "data=digits",
    "batch_size=64",
    f"steps={NUM_STEPS}",
    "eval.every=1000",
    "eval.record_every=1",
    "tracker=none",
    "device=cpu",
)
PROBES = (
    "probe=[landscape,gradients,ics]",
    "probe.landscape.every=4",
    "probe.landscape.range=[0.5,4]",
    "probe.landscape.num_points=4",
    "probe.ics.every=4",
    "probe.gradients.every=1",
    "probe.gradients.replicates=1",
    *(f"probe.{name}.layers=[{LAYER}]" for name in ("gradients", "ics")),
)


class MemoryRecorder:
    """A recorder in memory."""

    def __init__(self) -> None:
        self.by_step: dict[int, dict[str, float]] = {}

    def record(self, step: int, values: Layered[float]) -> None:
        found = {name: float(value) for name, value in named(values).items()}
        self.by_step.setdefault(step, {}).update(found)

    def record_array(self, step: int, name: str, array: Any) -> None:
        pass

    def of(self, metric: str) -> dict[int, float]:
        return {step: row[metric] for step, row in self.by_step.items() if metric in row}


def train(composer: Composer, *words: str) -> MemoryRecorder:
    asked = run_config(composer.compose([*RUN, *words]))
    config = resolve(asked, asked.data.num_train_samples)
    device = torch.device("cpu")
    dtype = parameter_dtype(config.precision)
    dataset = load(
        config.data.of_run(config.seed), size=config.image_size(), dtype=dtype, device=device
    )
    rows = MemoryRecorder()
    Loop(config, dataset, build(config, dataset, device), rows, NullObserver()).run()
    return rows


def compare(norm: str) -> dict[str, tuple[float, float]]:
    """(definition, proxy) by quantity, medians over steps."""
    composer = Composer(CONFIG_DIR)
    runs = {
        multiple: train(
            composer,
            f"norm={norm}",
            f"optimizer.lr={multiple * LEARNING_RATE}",
            *PROBES,
        )
        for multiple in MULTIPLES
    }
    own = runs[1.0]
    steps = sorted(own.of("landscape/beta"))[1:]
    losses = {multiple: rows.of("train/loss") for multiple, rows in runs.items()}
    changes = {multiple: successive_changes(rows) for multiple, rows in runs.items()}
    band = []
    for step in steps:
        there = [loss.get(step, math.inf) for loss in losses.values()]
        band.append(max(there) - min(there))
    betas = [
        max(
            changes[multiple].get(step, math.inf)
            / (multiple * LEARNING_RATE * runs[multiple].of(NORM).get(step - 1, math.nan))
            for multiple in MULTIPLES
        )
        for step in steps
    ]
    ranges = [
        own.of("landscape/loss_max")[step] - own.of("landscape/loss_min")[step] for step in steps
    ]

    def median(metric: str) -> float:
        return statistics.median(own.of(metric)[step] for step in steps)

    return {
        "loss range": (statistics.median(ranges), statistics.median(band)),
        "gradient predictiveness": (
            median("landscape/gradient_change_max"),
            statistics.median(changes[1.0][step] for step in steps),
        ),
        "effective beta-smoothness": (median("landscape/beta"), statistics.median(betas)),
        "ICS, L2": (
            median(f"ics/l2/{LAYER}"),
            statistics.median(changes[1.0][step] for step in steps),
        ),
        "ICS, cosine": (median(f"ics/cosine/{LAYER}"), median(f"gradients/cosine/{LAYER}")),
    }


NORM = f"gradients/norm/{LAYER}"


def successive_changes(rows: MemoryRecorder) -> dict[int, float]:
    """||g_t - g_{t-1}|| of the layer, each on its own batch, from norms and cosines."""
    norms, cosines = rows.of(NORM), rows.of(f"gradients/cosine/{LAYER}")
    return {
        step: math.sqrt(
            max(
                0.0,
                norms[step] ** 2
                + norms[step - 1] ** 2
                - 2 * norms[step] * norms[step - 1] * cosine,
            )
        )
        for step, cosine in cosines.items()
    }


def main() -> None:
    torch.set_num_threads(1)
    set_exact_arithmetic()
    found = {norm: compare(norm) for norm in ("none", "batch")}
    print("| quantity | definition: none | BN | none / BN | proxy: none | BN | none / BN |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for quantity in found["none"]:
        cells = []
        for kind in (0, 1):
            none, batch = (found[norm][quantity][kind] for norm in ("none", "batch"))
            times = "" if "cosine" in quantity else f"{float(f'{none / batch:.2g}'):g}"
            cells += [f"{none:.3g}", f"{batch:.3g}", times]
        print(f"| {quantity} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
