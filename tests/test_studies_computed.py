"""Cells that a function of the experiment's folder computes, from arms to figure and verdicts."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from rich.console import Console
from support.runs import carried_out, composer
from support.studies import write_experiment

from normlab.config.errors import ConfigError
from normlab.dashboards.agents import write_sweeps
from normlab.launch.dispatch import launch
from normlab.studies.computed import Calculation
from normlab.studies.drawing import draw_and_judge, judge_all, verify_all
from normlab.studies.experiment import Experiment

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


def nothing(*, seed):
    pass


def empty(*, seed):
    return pd.DataFrame({"metric": [], "value": []})


def total(*, seed, widths):
    return pd.DataFrame({"metric": "train/loss", "value": [float(sum(widths))]})


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
        family: replication
        comparison: greater
        smallest_effect: 0.0
"""

FIGURE = """
from matplotlib.figure import Figure

from normlab.figures import Sheet
from normlab.figures.style import styled


def draw(table):
    wave = table[table["arm"] == "waves"]
    with styled():
        figure = Figure()
        figure.subplots().plot(wave["place"], wave["value"])
    return Sheet(figure)
"""


WAVE_CLAIM = """
    claims:
      - id: waves_are_positive
        statement: Waves lie above 0
        source: none
        metric: train/loss
        treatment: {height: 1}
        baseline: 0
        family: replication
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


def test_from_functions_to_figure_and_verdicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    assert drawn is not None
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


def made(task: Calculation) -> pd.DataFrame:
    table = task.table([])
    assert table is not None
    return table


def test_an_experiment_may_train_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arms = "      - {name: waves, compute: wave, set: {height: 1}}"
    experiment = study(tmp_path, monkeypatch, arms, WAVE_CLAIM)
    assert experiment.plan(composer(), "smoke") == []
    computed = experiment.computed("smoke", seeds=[5])
    threads = torch.get_num_threads()
    drawn = draw_and_judge(experiment, "smoke", [], tmp_path / "results", computed)
    assert torch.get_num_threads() == threads
    assert drawn is not None
    assert drawn.completeness == "1 of 1 tables computed"
    first, second = (made(task) for task in (*computed, *experiment.computed("smoke", seeds=[5])))
    pd.testing.assert_frame_equal(first, second)
    other = made(experiment.computed("smoke", seeds=[6])[0])
    assert first["cell"].iloc[0] == other["cell"].iloc[0]
    assert first["run"].iloc[0] != other["run"].iloc[0]
    assert (first["value"] != other["value"]).all()


def test_a_stored_table_is_judged_again_by_the_claims_of_today(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms = "      - {name: waves, compute: wave, set: {height: 1}}"
    experiment = study(tmp_path, monkeypatch, arms, WAVE_CLAIM)
    results = tmp_path / "results"
    assert draw_and_judge(experiment, "smoke", [], results, experiment.computed("smoke"))
    path = results / "tiny" / "smoke" / "verdicts.json"
    before = path.read_bytes()
    shown = Console(record=True, width=200)
    judge_all([experiment], results, shown)
    assert path.read_bytes() == before
    assert shown.export_text() == "0 verdicts changed.\n"

    other = textwrap.dedent(WAVE_CLAIM).replace("greater", "less").replace("height: 1", "depth: 1")
    third = other.replace("claims:", "").replace("waves_are_positive", "one_more")
    (experiment.folder / "claims.yaml").write_text(other + third)
    judge_all([experiment], results, shown)
    (claim,) = json.loads(path.read_text())["claims"]
    # a claim that these runs were never judged by waits for runs of its own
    assert claim["id"] == "waves_are_positive"
    assert claim["verdict"] == "undecided"
    assert claim["reason"].startswith("these runs lack what the claim asks for: a claim selects by")
    assert claim["as_trained"] is True


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
        ("{compute: nothing}", "nothing must return a table with rows; got None."),
        ("{compute: empty}", "empty must return a table with rows; got Empty DataFrame"),
        ("{compute: wave, set: {height: 1, step: 3}}", "the arm 'wave' sets step, which every"),
        ("{compute: wave, set: {height: 1, seed: 3}}", "Give the argument of wave another name."),
        (
            "{compute: weight_norms, set: {power: 1, start_from: 5}}",
            "start_from must be text, ARM@STEP; got 5.",
        ),
        ("{compute: unheard_of}", "no metric is called 'train/lossss'"),
        ("{compute: weight_norms, set: {power: 1}}", "missing a required argument: 'trained'"),
        (
            "{compute: weight_norms, set: {power: 1, start_from: nobody@end}}",
            "start_from=nobody@end must name an arm",
        ),
    ],
)
def test_what_cannot_be_computed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arm: str, text: str
) -> None:
    def compute() -> None:
        experiment = study(tmp_path, monkeypatch, f"      - {arm}\n")
        experiment.plan(composer(), "smoke")
        experiment.computed("smoke")[0].table([])

    with pytest.raises(ValueError, match=re.escape(text)):
        compute()


def test_settings_may_be_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arms = "      - {compute: total, product: {widths: [[50, 50], [10]]}}\n"
    experiment = study(tmp_path, monkeypatch, arms, WAVE_CLAIM)
    tables = [made(task) for task in experiment.computed("smoke", seeds=[0])]
    assert [list(table["widths"]) for table in tables] == [["50,50"], ["10"]]
    assert [list(table["value"]) for table in tables] == [[100.0], [10.0]]


def test_a_network_that_diverged_before_leaves_its_tables_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms = """
      - {name: wild, set: {norm: none, optimizer.lr: 1.0e+30, checkpoint.keep_final: true}}
      - {name: norms, compute: weight_norms, product: {start_from: [wild@0, wild@end]},
         set: {power: 1}}
"""
    experiment = study(tmp_path, monkeypatch, arms)
    results = tmp_path / "results"
    runs = experiment.plan(composer(), "smoke", extra_words=[f"results_dir={results}"], seeds=[0])
    assert carried_out(runs[0])[0].text.startswith("diverged")
    early, late = (task.table(runs) for task in experiment.computed("smoke", seeds=[0]))
    assert early is not None
    assert len(early) == 2
    assert late is None


def test_equal_arms_are_one_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arms = """
      - {name: one, set: {norm: none}}
      - {name: other, set: {norm: none, norm.eps: 0.5}}
      - {name: norms, compute: weight_norms, set: {power: 1, start_from: other@end}}
"""
    experiment = study(tmp_path, monkeypatch, arms)
    with pytest.raises(
        ConfigError, match=r"listed above it \(of equal ones, the first\)\. Did you mean .one"
    ):
        experiment.plan(composer(), "smoke")
    assert len(experiment.plan(composer(), "smoke", cell="norms")) == 2


def test_agents_keep_the_networks_that_tables_are_computed_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = study(tmp_path, monkeypatch)
    written = write_sweeps(experiment, composer(), "smoke", tmp_path)
    parameters = [yaml.safe_load(path.read_text())["parameters"] for path in written]
    kept = {p["norm"]["value"]: p.get("checkpoint.keep") for p in parameters}
    assert kept == {"none": {"value": "[0,6]"}, "batch": None}


def test_an_arm_needs_the_file_of_its_function(tmp_path: Path) -> None:
    arms = "      - {compute: wave, set: {height: 1}}\n"
    experiment = write_experiment(tmp_path / "studies" / "bare", arms)
    with pytest.raises(ConfigError, match=r"studies/bare/compute\.py is needed for the arm 'wave'"):
        experiment.plan(composer(), "smoke")
