"""Cells that a function of the experiment's folder computes, from arms to figure and verdicts."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path

import pandas as pd
import pytest
import torch
from rich.console import Console
from support.runs import composer
from support.studies import write_experiment

from normlab.config.errors import ConfigError
from normlab.sweeps.drawing import draw_and_judge, verify_all
from normlab.sweeps.experiment import Experiment
from normlab.sweeps.launch import launch

ARMS = """
      - name: trained
        product: {norm: [none, batch]}
      - name: norms
        compute: weight_norms
        product: {start_from: ["trained norm=none@0", "trained norm=none@end"], power: [1, 2]}
      - name: waves
        compute: wave
        set: {height: 2.0}
"""

COMPUTE = """
import pandas as pd
import torch

from normlab.randomness import generator


def weight_norms(*, seed, power, trained):
    layers = [name for name, _ in trained.model.named_parameters() if name.endswith("weight")]
    norms = [dict(trained.model.named_parameters())[name].norm().item() ** power for name in layers]
    assert not trained.model.training
    return pd.DataFrame({"metric": "weights/norm", "layer": layers, "value": norms})


def wave(*, seed, height, length=3):
    draws = torch.rand(length, generator=generator(seed, "wave"), dtype=torch.float64)
    return pd.DataFrame(
        {"metric": "train/loss", "value": height * draws.numpy(), "place": range(length)}
    )


def half(*, seed):
    return pd.DataFrame({"metric": ["train/loss"]})


def unheard_of(*, seed):
    return pd.DataFrame({"metric": ["train/lossss"], "value": [1.0]})
"""

CLAIMS = """
    claims:
      - id: training_lengthens_weights
        statement: Weights are longer after training
        source: none
        metric: weights/norm
        where: {power: 1}
        treatment: {start_from: trained norm=none@end}
        baseline: {start_from: trained norm=none@0}
        comparison: greater
        smallest_effect: 0.0
"""

FIGURE = """
from matplotlib.figure import Figure

from normlab.figures.style import styled


def draw(table):
    wave = table[table["arm"] == "waves"]
    with styled():
        figure = Figure()
        figure.subplots().plot(wave["place"], wave["value"])
    return figure
"""


WAVE_CLAIM = """
    claims:
      - id: waves_are_positive
        statement: Waves lie above 0
        source: none
        metric: train/loss
        treatment: {height: 1}
        baseline: 0
        comparison: greater
        smallest_effect: 0.0
"""


def study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arms: str = ARMS, claims: str = CLAIMS
) -> Experiment:
    """Under a package name of its own: modules are imported once a process."""
    package = f"studies_{re.sub(r'[^a-z0-9]', '_', tmp_path.name.lower())}"
    experiment = write_experiment(tmp_path / package / "tiny", arms, claims)
    (experiment.folder / "compute.py").write_text(textwrap.dedent(COMPUTE))
    (experiment.folder / "figure.py").write_text(FIGURE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return experiment


def test_from_functions_to_figure_and_verdicts(tmp_path, monkeypatch):
    experiment = study(tmp_path, monkeypatch)
    results = tmp_path / "results"
    words = [f"results_dir={results}", "tracker=none"]
    runs = experiment.plan(composer(), "smoke", extra_words=words)
    assert [run.config.checkpoint.keep for run in runs] == [(0, 6)] * 2 + [()] * 2
    computed = experiment.computed("smoke")
    assert len(computed) == 2 * (4 + 1)

    drawn = draw_and_judge(experiment, "smoke", runs, results, computed)
    assert drawn is not None
    assert drawn.completeness == "0 of 4 runs, 4 missing; 2 of 10 tables computed; data: digits"
    assert launch(runs, Console(quiet=True)).exit_code == 0
    drawn = draw_and_judge(experiment, "smoke", runs, results, computed)
    assert drawn.completeness == "4 of 4 runs; 10 of 10 tables computed; data: digits"

    folder = results / "tiny" / "smoke"
    table = pd.read_parquet(folder / "table.parquet")
    wave = table[(table["arm"] == "waves") & (table["seed"] == 1)]
    assert list(wave["place"]) == [0, 1, 2]
    assert set(wave["state"]) == {"finished"}
    assert set(wave["outcome"]) == {"computed"}
    assert len(set(wave["run"])) == 1
    assert set(wave["height"]) == {2.0}
    norms = table[(table["metric"] == "weights/norm") & (table["seed"] == 0)]
    assert set(norms["start_from"]) == {"trained norm=none@0", "trained norm=none@end"}
    assert set(norms["layer"]) == {"linear1.weight", "linear2.weight"}
    (claim,) = json.loads((folder / "verdicts.json").read_text())["claims"]
    lengths = table[(table["metric"] == "weights/norm") & (table["power"] == 1)]
    mean = lengths.groupby("start_from", observed=True)["value"].mean()
    change = mean["trained norm=none@end"] - mean["trained norm=none@0"]
    assert claim["n"] == 2
    assert claim["estimate"] == pytest.approx(change)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert set(wave["run"]) < set(manifest["runs"])
    assert verify_all([experiment], results, Console(quiet=True)) == 0


def test_an_experiment_may_train_nothing(tmp_path, monkeypatch):
    arms = "      - {name: waves, compute: wave, set: {height: 1}}"
    experiment = study(tmp_path, monkeypatch, arms, WAVE_CLAIM)
    assert experiment.plan(composer(), "smoke") == []
    computed = experiment.computed("smoke", seeds=[5])
    threads = torch.get_num_threads()
    drawn = draw_and_judge(experiment, "smoke", [], tmp_path / "results", computed)
    assert torch.get_num_threads() == threads
    assert drawn is not None
    assert drawn.completeness == "1 of 1 tables computed"
    first, second = (
        task.table([]) for task in (*computed, *experiment.computed("smoke", seeds=[5]))
    )
    pd.testing.assert_frame_equal(first, second)
    other = experiment.computed("smoke", seeds=[6])[0].table([])
    assert first["cell"].iloc[0] == other["cell"].iloc[0]
    assert first["run"].iloc[0] != other["run"].iloc[0]
    assert (first["value"] != other["value"]).all()


@pytest.mark.parametrize(
    ("arm", "text"),
    [
        (
            "{compute: wawe, set: {height: 1}}",
            "wawe: there is no such function. Did you mean 'wave'?",
        ),
        ("{compute: wave}", "missing a required argument: 'height'"),
        ("{compute: wave, set: {height: 1, depth: 2}}", "unexpected keyword argument 'depth'"),
        ("{compute: half}", "it lacks value."),
        ("{compute: unheard_of}", "no metric is called 'train/lossss'"),
        ("{compute: weight_norms, set: {power: 1}}", "missing a required argument: 'trained'"),
        (
            "{compute: weight_norms, set: {power: 1, start_from: nobody@end}}",
            "start_from=nobody@end must name an arm",
        ),
    ],
)
def test_what_cannot_be_computed_is_refused(tmp_path, monkeypatch, arm, text):
    experiment = study(tmp_path, monkeypatch, f"      - {arm}\n")

    def compute() -> None:
        experiment.plan(composer(), "smoke")
        experiment.computed("smoke")[0].table([])

    with pytest.raises(ValueError, match=re.escape(text)):
        compute()


def test_an_arm_needs_the_file_of_its_function(tmp_path):
    arms = "      - {compute: wave, set: {height: 1}}\n"
    experiment = write_experiment(tmp_path / "studies" / "bare", arms)
    with pytest.raises(ConfigError, match=r"studies/bare/compute\.py is needed for the arm 'wave'"):
        experiment.plan(composer(), "smoke")
