"""Dashboards: what they say of an experiment's figure, and that W&B is written to once each."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from support.command_line import ROOT, run_script
from support.runs import carried_out, composer, planned
from support.wandb_stub import WandbStub

from normlab.config.convert import plain
from normlab.dashboards.figures_layout import experiment_dashboard, sweep_dashboard
from normlab.dashboards.layout import (
    Cell,
    Chart,
    Dashboard,
    Section,
    sections_by_family,
    sections_of,
)
from normlab.figures.style import norm_color
from normlab.studies.drawing import draw_and_judge
from normlab.studies.experiment import Experiment
from normlab.studies.sweep import sweep_folder, write_sweep
from normlab.tracking.run_mirror import flat_factors

EXPERIMENT = """
title: Two norms on digits
paper: A paper
figure: figure 1
expect: nothing in particular
set: {model: mlp, model.widths: [8], data: digits, data.limit: 100, batch_size: 20, steps: 4}
scales:
  smoke:
    seeds: 2
    arms:
      - product: {norm: [none, batch], optimizer.lr: [0.1, 0.2]}
"""
CLAIMS = """
claims:
  - id: batch_helps
    statement: Accuracy is higher | with <batch> normalization
    source: none
    metric: test/accuracy
    treatment: {norm: batch}
    baseline: {norm: none}
    family: replication
    comparison: greater
    smallest_effect: 0.0
"""
FIGURE = """
from normlab.figures import Panel, draw_panels

def draw(table):
    rows = [
        [Panel(y=y, where={"optimizer.lr": rate}, title=f"rate {rate}") for rate in (0.1, 0.2)]
        for y in ("train/loss", "test/accuracy")
    ]
    return draw_panels(table, rows)
"""


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Experiment]:
    folder = tmp_path / "parts" / "two_norms"
    folder.mkdir(parents=True)
    for name, text in (("experiment.yaml", EXPERIMENT), ("claims.yaml", CLAIMS)):
        (folder / name).write_text(text)
    (folder / "figure.py").write_text(FIGURE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield Experiment.load(folder)
    for name in [name for name in sys.modules if name.split(".")[0] == "parts"]:
        del sys.modules[name]


def charts(section: Section) -> list[str]:
    return [chart.y for chart in section.charts]


def test_a_view_follows_the_figure_before_and_after_there_are_runs(
    experiment: Experiment, results_dir: Path
) -> None:
    before = experiment_dashboard(experiment, results_dir, composer())
    assert before.text[-1] == "Nothing has been drawn yet."
    assert before.figure_run is None
    runs = experiment.plan(composer(), "smoke", extra_words=[f"results_dir={results_dir}"])
    for run in runs:
        carried_out(run)
    draw_and_judge(experiment, "smoke", runs, results_dir)
    after = experiment_dashboard(experiment, results_dir, composer())
    for made in (before, after):
        assert [charts(section) for section in made.sections] == [["train/loss"], ["test/accuracy"]]
        assert [[panel.title for panel in row] for row in made.rows] == [
            ["rate 0.1", "rate 0.2"]
        ] * 2
        assert {cell.name for cell in made.cells} == {run.identity.cell_name for run in runs}
        colors = {cell.settings["norm"]: cell.color for cell in made.cells}
        assert colors == {norm: norm_color(norm) for norm in ("none", "batch")}
        assert {len(cell.runs) for cell in made.cells} == {2}
        cells = made.cells_where(made.rows[0][0].where)
        assert {cell.settings["optimizer.lr"] for cell in cells} == {0.1}
    assert after.figure_run == "figure-two_norms-smoke"
    assert after.claims[0][0] == (
        "Accuracy is higher | with <batch> normalization (asked: greater)"
    )
    accuracy = after.plain()["sections"][1]["panels"][0]
    assert accuracy["axis"] == "test accuracy [fraction]"
    assert accuracy["range"] == [0.0, 1.0]


def test_an_experiment_that_trains_nothing_has_a_view_before_it_is_computed(
    results_dir: Path,
) -> None:
    """Its plan has no runs, and its table no row."""
    computed = Experiment.load(Path(__file__).parents[1] / "experiments" / "saito_activations")
    made = experiment_dashboard(computed, results_dir, composer())
    assert made.cells == ()
    assert ["activations/saturated"] in map(charts, made.sections)


def test_a_sweep_gets_a_view_of_what_it_recorded(results_dir: Path) -> None:
    runs = [
        planned(f"norm={norm}", "steps=3", results_dir=results_dir) for norm in ("none", "batch")
    ]
    for run in runs:
        carried_out(run)
    write_sweep(runs, ["norm=none,batch", "model=mlp"])
    made = sweep_dashboard(sweep_folder(runs))
    assert made.name == f"sweep {sweep_folder(runs).name}"
    assert made.text == ("normlab train -m norm=none,batch model=mlp",)
    assert made.sections[0].name == "accuracy and loss"
    assert charts(made.sections[0])[:2] == ["test/loss", "test/accuracy"]


def test_metrics_of_layers_share_a_panel_and_unknown_ones_have_none() -> None:
    sections = sections_by_family(["train/loss", "ics/l2/conv1", "ics/l2/conv2", "later/than/us"])
    assert [section.name for section in sections] == [
        "accuracy and loss",
        "internal covariate shift",
    ]
    (chart,) = sections[1].charts
    assert (chart.keys, chart.pattern) == ((), "^(ics/l2)/.+$")
    same = [[Chart(y="train/loss", where={"a": 1}), Chart(y="train/loss", where={"a": 2})]]
    assert [len(section.charts) for section in sections_of(same)] == [1]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbStub]:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with WandbStub() as stub:
        for name, value in stub.environment.items():
            monkeypatch.setenv(name, value)
        yield stub
    if "wandb" in sys.modules:
        sys.modules["wandb"].teardown()


def test_a_second_call_updates_and_never_duplicates(server: WandbStub) -> None:
    from normlab.dashboards.workspaces import Dashboards

    cell = Cell(name="c-1", color="#0072b2", runs=("r-1",), settings={"norm": "batch"})
    rows = ((Chart(y="train/loss", log_y=True), Chart(y="ics/l2", where={"norm": "batch"})),)
    made = Dashboard(
        name="figure_1",
        title="Figure 1",
        text=("about <b> | *it*",),
        cells=(cell,),
        sections=sections_of(rows),
        claims=(("a | claim", "", "1", "supported", "supported"),),
        figure_run="figure-x-smoke",
        rows=rows,
    )
    first = Dashboards("normlab", None).write(made)
    again = Dashboards("normlab", None).write(made)
    assert (first.is_new, again.is_new) == (True, False)
    assert (first.view, first.report) == (again.view, again.report)
    view, report = server.views.values()
    assert (view.type, view.display_name, view.num_writes) == ("project-view", "figure_1", 2)
    assert (report.type, report.display_name, report.num_writes) == ("runs", "figure_1", 2)
    section = view.spec["section"]
    (runs,) = section["runSets"]
    assert runs["filters"]["filters"][0]["value"] == ["c-1"]
    assert runs["grouping"] == [{"section": "run", "name": "group"}]
    assert set(section["customRunColors"].values()) == {"#0072b2"}
    configs = [
        panel["config"] for own in section["panelBankConfig"]["sections"] for panel in own["panels"]
    ]
    assert [config["yAxisTitle"] for config in configs] == ["training loss", "ICS, L2"]
    assert (configs[0]["yLogScale"], configs[1]["metricRegex"]) == (True, "^(ics/l2)/.+$")
    text = json.dumps(report.spec)
    assert "about &lt;b> \\\\| \\\\*it\\\\*" in text
    assert "| a \\\\| claim |" in text
    assert '"value": "figure-x-smoke"' in text
    assert '"mediaKeys": ["figure"]' in text
    assert not server.unanswered


def test_a_last_value_stands_over_the_setting_that_runs_are_sent_with(
    server: WandbStub, tmp_path: Path
) -> None:
    from normlab.dashboards.workspaces import Dashboards

    for name in ("ioffe_dropout", "wu_he_batch_size"):
        experiment = Experiment.load(ROOT / "experiments" / name)
        made = experiment_dashboard(experiment, ROOT / "none", composer())
        Dashboards("normlab", None).write(made)
        view = list(server.views.values())[-2]
        found = {
            panel["config"]["xAxis"].removeprefix("config:")
            for section in view.spec["section"]["panelBankConfig"]["sections"]
            for panel in section["panels"]
            if "xAxis" in panel["config"] and panel["viewType"] == "Scatter Plot"
        }
        settings = {chart.x for row in made.rows for chart in row} - {"step"}
        config = planned("norm=group", "norm.groups=4", results_dir=tmp_path).config
        sent = flat_factors(plain(config), tuple(settings))
        assert found
        assert found <= {f"{key}.value" for key in sent}


def test_a_dry_run_prints_what_would_be_written_and_asks_no_one(
    results_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    results_dir.mkdir(exist_ok=True)
    words = ("--dry", "--results-dir", str(results_dir))
    asked = ("saito_batch_norm", "--scale", "smoke", *words)
    ended = run_script("dashboard.py", *asked)
    assert (ended.code, ended.err) == (0, "")
    assert len(ended.out.splitlines()) < 10
    assert "8 cells" in ended.out
    assert "training accuracy: train/accuracy" in ended.out
    ended = run_script("dashboard.py", *asked, "--full")
    told = yaml.safe_load(ended.out)
    assert told["name"] == "saito_batch_norm"
    assert [panel["y"] for panel in told["report"][0]] == ["train/accuracy"] * 4
    assert len(told["cells"]) == 8
    ended = run_script("dashboard.py", "saito_batch_nrom", *words)
    assert ended.code == 2
    assert "saito_batch_norm" in ended.err
