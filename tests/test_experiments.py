"""experiment.yaml, plans that share runs, and the way from runs to figure and verdicts."""

import json
import shutil
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from rich.console import Console
from support.command_line import everything_in, run_script, working_in
from support.studies import CLAIMS, with_arms, write_files

from normlab.analysis.registry import Look
from normlab.cli.experiment import Plan, Run
from normlab.config.compose import Composer
from normlab.config.errors import ConfigError
from normlab.launch.dispatch import launch
from normlab.plan.runs import PlannedRun
from normlab.plan.sharing import reuse, share
from normlab.studies.design import design_digest, is_of_an_earlier_design
from normlab.studies.drawing import draw_and_judge, drawing_of, redraw_all, verify_all
from normlab.studies.experiment import Experiment, experiment_names
from normlab.studies.project import Project
from normlab.studies.spelling import words_of

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def composer() -> Composer:
    return Composer(ROOT / "configs")


def test_every_experiment_composes_at_every_scale(composer: Composer) -> None:
    for name in experiment_names(ROOT / "experiments"):
        experiment = Experiment.load(ROOT / "experiments" / name)
        for scale, content in experiment.scales.items():
            assert content.cells or content.computed, (name, scale)
            if scale == "smoke":
                plan = experiment.whole_plan(composer, scale)
                num_runs = len(plan.runs) + plan.num_waiting
                assert num_runs == len(content.cells) * len(content.seeds)
                computed = experiment.computed(scale)
                assert len(computed) == len(content.computed) * len(content.seeds)


def test_arms_are_products_zips_and_exclusions(tmp_path: Path) -> None:
    experiment = write_files(
        tmp_path / "e",
        with_arms(
            "      - product: {norm: [none, batch], dropout: [0.0, 0.5]}\n"
            "        exclude: [{norm: batch, dropout: 0.5}]\n"
            "      - zip: {norm: [layer, group], optimizer.lr: [0.1, 0.2]}\n"
            "        set: {dropout: 0.1}\n"
            "      - name: odd\n"
            "        set: {norm: rms}\n"
        ),
    )
    cells = experiment.scales["smoke"].cells
    assert [cell.factors["arm"] for cell in cells] == [
        "norm=none dropout=0.0",
        "norm=none dropout=0.5",
        "norm=batch dropout=0.0",
        "norm=layer dropout=0.1 optimizer.lr=0.1",
        "norm=group dropout=0.1 optimizer.lr=0.2",
        "odd",
    ]
    assert "optimizer.lr=0.2" in cells[4].words


def test_words_are_those_of_the_command_line() -> None:
    settings = {"norm": "batch", "norm.affine": False, "epochs": None, "probe": ["ics"]}
    assert words_of(settings) == ["norm=batch", "norm.affine=false", "epochs=null", "probe=[ics]"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("titel: x", "titel: there is no such key. Did you mean 'title'?"),
        ("title: x\nscales: {smal: {}}", "scale smal. Did you mean 'small'?"),
        (
            "title: x\nscales: {smoke: {seeds: 0, arms: []}}",
            "seeds must be how many, or a list of them; got 0.",
        ),
        (
            with_arms("      - zip: {norm: [none, batch], optimizer.lr: [0.1]}\n"),
            "the lists under zip must be equally long; got {'norm': 2, 'optimizer.lr': 1}.",
        ),
    ],
)
def test_a_bad_experiment_file_is_refused(tmp_path: Path, content: str, text: str) -> None:
    with pytest.raises(ConfigError) as error:
        write_files(tmp_path / "e", content)
    assert text in str(error.value)
    assert "experiment.yaml" in str(error.value)


def test_an_unknown_experiment_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'santurkar_ics'"):
        Experiment.load(ROOT / "experiments" / "santurkar_isc")


def test_a_claim_that_cannot_be_judged_is_refused_before_anything_runs(
    tmp_path: Path, composer: Composer
) -> None:
    experiment = write_files(
        tmp_path / "e",
        with_arms("      - product: {norm: [none, batch]}\n"),
        CLAIMS.replace("comparison: greater", "comparison: graeter"),
    )
    with pytest.raises(ValueError, match="graeter"):
        experiment.plan(composer, "smoke")


def plan(tmp_path: Path, composer: Composer, name: str, probe: str) -> list[PlannedRun]:
    arms = f"      - set: {{probe: [{probe}]}}\n        product: {{norm: [none, batch]}}\n"
    experiment = write_files(tmp_path / name, with_arms(arms))
    words = [f"results_dir={tmp_path / 'results'}", "tracker=none"]
    return experiment.plan(composer, "smoke", extra_words=words)


def test_plans_share_the_training_of_equal_cells(tmp_path: Path, composer: Composer) -> None:
    plans = {name: plan(tmp_path, composer, name, p) for name, p in (("a", ""), ("b", "ics"))}
    assert {run.name for run in plans["a"]}.isdisjoint(run.name for run in plans["b"])
    shared = share(plans)
    assert [run.name for run in shared["a"]] == [run.name for run in plans["b"]]
    assert shared["a"][0].factors["arm"] == plans["a"][0].factors["arm"]
    assert set(shared["a"][0].experiments) == {"a", "b"}


def test_of_several_experiments_those_that_have_a_scale_are_planned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = with_arms("      - set: {norm: batch}\n        name: one\n")
    write_files(tmp_path / "experiments" / "first", content)
    both = f"{content}  small:\n    arms:\n      - set: {{norm: none}}\n        name: one\n"
    second = write_files(tmp_path / "experiments" / "second", both)
    (second.folder / "figure.py").write_text(FIGURE)

    def plan(names: tuple[str, ...], scale: str) -> int:
        asked = Plan(names=names, scale=scale, launcher="serial", tracker="none", here=tmp_path)
        return asked.carry_out()

    assert plan(("first", "second"), "small") == 0
    printed = capsys.readouterr().out
    assert "second at scale small" in printed
    assert "first" not in printed
    for names, scale in ((("first",), "small"), (("first", "second"), "paper")):
        with pytest.raises(ConfigError, match=f"first has no scale {scale}"):
            plan(names, scale)


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        (None, ": no such file; it defines draw(table) -> Sheet."),
        ("def drow(table): ...\n", ": no function draw; it defines draw(table) -> Sheet."),
        ("\ndef draw(table)\n", ":2: expected ':'"),
        ("from .other import draw\n", None),
    ],
)
def test_what_cannot_be_drawn_is_not_trained(
    tmp_path: Path, text: str | None, refusal: str | None
) -> None:
    content = with_arms("      - product: {norm: [none, batch]}\n")
    experiment = write_files(tmp_path / "experiments" / "mine", content)
    if text is not None:
        (experiment.folder / "figure.py").write_text(text)
    asked = {"names": ("mine",), "scale": "smoke", "launcher": "serial", "tracker": "none"}
    if refusal is None:
        assert Plan(**asked, here=tmp_path).carry_out() == 0  # type: ignore[arg-type]
        return
    for command in (Plan, Run):
        with pytest.raises(ConfigError) as error:
            command(**asked, here=tmp_path).carry_out()  # type: ignore[arg-type]
        assert str(error.value) == f"experiments/mine/figure.py{refusal}"
    assert not (tmp_path / "results").exists()


def test_a_claim_by_a_value_that_no_arm_has_is_refused(tmp_path: Path) -> None:
    content = with_arms("      - product: {norm: [none, batch], optimizer.lr: [0.1, 0.5]}\n")
    content += "  small:\n    arms:\n      - set: {norm: layer, optimizer.lr: 1}\n"
    start = "experiments/mine/claims.yaml: claim batch_helps: "
    for number, (old, new, refusal) in enumerate(
        [
            (
                "norm: batch",
                "norm: bach",
                "`treatment.norm`: no arm has bach. Did you mean 'batch'",
            ),
            ("norm: none", "norm: [none, nome]", "`baseline.norm`: no arm has nome. Did you mean"),
            (
                "norm: batch",
                "norm: batch, optimizer.lr: 0.3",
                "`treatment.optimizer.lr`: no arm has",
            ),
            ("norm: batch", "norm: layer, optimizer.lr: 1e-1", None),
            ("norm: batch", "norm: batch, model: vgg11", None),
        ]
    ):
        folder = tmp_path / str(number) / "experiments" / "mine"
        experiment = write_files(folder, content, CLAIMS.replace(old, new))
        if refusal is None:
            experiment.check_claims()
            continue
        (folder / "figure.py").write_text(FIGURE)
        asked = Plan(
            names=("mine",),
            scale="smoke",
            launcher="serial",
            tracker="none",
            here=folder.parents[1],
        )
        with pytest.raises(ConfigError) as error:
            asked.carry_out()
        assert str(error.value).startswith(start + refusal)


def test_no_committed_claim_is_by_a_value_that_no_arm_has() -> None:
    for name in experiment_names(ROOT / "experiments"):
        Experiment.load(ROOT / "experiments" / name).check_claims()


def test_ones_own_experiments_extend_those_that_came_with_normlab(tmp_path: Path) -> None:
    content = with_arms("      - set: {norm: batch}\n        name: one\n")
    write_files(tmp_path / "experiments" / "mine", content)
    packed = Project(ROOT).names
    assert "demo" in packed
    assert Project(tmp_path).names == sorted([*packed, "mine"])
    assert [one.name for one in Project(tmp_path).load(["all"])] == sorted([*packed, "mine"])
    with pytest.raises(
        ConfigError, match=r"mien: there is no such experiment. Did you mean 'mine'"
    ):
        Project(tmp_path).load(["mien"])


def test_two_experiments_of_one_name_are_refused(tmp_path: Path) -> None:
    content = with_arms("      - set: {norm: batch}\n        name: one\n")
    write_files(tmp_path / "experiments" / "demo", content)
    with pytest.raises(ConfigError, match=r"an experiment of that name already .* Rename"):
        _ = Project(tmp_path).names


def test_a_finished_run_that_measured_more_is_reused(tmp_path: Path, composer: Composer) -> None:
    measured = plan(tmp_path, composer, "b", "ics")
    launch(measured[:1], Console(quiet=True))
    asked = plan(tmp_path, composer, "a", "")
    reused = reuse(asked, tmp_path / "results" / "runs")
    assert reused[0].name == measured[0].name
    assert reused[0].folder.state() == "finished"
    assert [run.name for run in reused[1:]] == [run.name for run in asked[1:]]
    assert reuse(measured, tmp_path / "results" / "runs")[0].name == measured[0].name


FIGURE = """
from normlab.figures import Panel, draw_panels


def draw(table):
    return draw_panels(table, [[Panel(y="test/accuracy"), Panel(y="ics/cosine")]])
"""


def test_a_drawing_that_returns_no_sheet_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms = "      - product: {norm: [none, batch]}\n"
    experiment = write_files(tmp_path / "papers" / "bare", with_arms(arms))
    text = "from matplotlib.figure import Figure\n\n\ndef draw(table):\n    return Figure()\n"
    (experiment.folder / "figure.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ValueError, match=r"papers/bare/figure.py: draw returned a Figure, not a S"):
        drawing_of(experiment)(pd.DataFrame())


@pytest.mark.parametrize("words", ["verify", "verify demo", "redraw demo", "claims", "report"])
def test_what_is_made_of_results_is_refused_where_there_are_none(
    words: str, tmp_path: Path
) -> None:
    with working_in(tmp_path):
        ended = run_script("experiment.py", *words.split())
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.startswith(f"error: {tmp_path / 'results'} holds no ")
    assert "Change to the folder of the project" in ended.err
    assert "normlab experiment run NAME" in ended.err
    assert everything_in(tmp_path) == []


def test_verify_says_how_many_figures_it_compared(tmp_path: Path) -> None:
    out = StringIO()
    assert verify_all([], tmp_path, Console(file=out)) == 1
    assert out.getvalue() == "0 figures compared.\n"


def test_from_runs_to_figure_table_manifest_and_verdicts(
    tmp_path: Path, composer: Composer, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms = "      - product: {norm: [none, batch]}\n"
    experiment = write_files(tmp_path / "studies" / "tiny", with_arms(arms))
    (experiment.folder / "figure.py").write_text(FIGURE)
    monkeypatch.syspath_prepend(str(tmp_path))
    results = tmp_path / "results"
    words = [f"results_dir={results}", "tracker=none"]
    runs = experiment.plan(composer, "smoke", extra_words=words)
    assert draw_and_judge(experiment, "smoke", runs, results) is None
    assert not results.exists()
    assert launch(runs[:3], Console(quiet=True)).exit_code == 0

    drawn = draw_and_judge(experiment, "smoke", runs, results)
    assert drawn is not None
    assert drawn.completeness == "3 of 4 runs, 1 missing; data: digits"
    folder = results / "tiny" / "smoke"
    assert {path.name for path in folder.iterdir()} == {
        *("figure.png", "figure.svg", "figure.pdf"),
        *("table.parquet", "manifest.json", "verdicts.json"),
    }
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["runs"] == sorted(run.name for run in runs[:3])
    assert manifest["missing"] == ["3 of 4 runs, 1 missing; data: digits"]
    table = pd.read_parquet(folder / "table.parquet")
    assert set(table["norm"]) == {"none", "batch"}
    verdicts = json.loads((folder / "verdicts.json").read_text())
    assert verdicts["claims"][0]["verdict"] == "undecided"
    assert verdicts["claims"][0]["n"] == 1
    assert verdicts["claims"][0]["edited_after_run"] is False

    console = Console(record=True, quiet=True)
    assert verify_all([experiment], results, console) == 0
    Image.new("RGB", (9, 9)).save(folder / "figure.png")
    assert verify_all([experiment], results, console) == 1
    redraw_all([experiment], results, console)
    assert verify_all([experiment], results, console) == 0
    assert json.loads((folder / "manifest.json").read_text()) == manifest

    other = results / "tiny" / "small"  # two figures: each in a process of its own
    shutil.copytree(folder, other)
    (other / "figure.png").write_bytes(b"")
    redraw_all([experiment], results, console)
    assert (other / "figure.png").read_bytes() == (folder / "figure.png").read_bytes()
    Image.new("RGB", (9, 9)).save(other / "figure.png")
    out = StringIO()
    assert verify_all([experiment], results, Console(file=out, width=200)) == 1
    assert [line.split(":")[0] for line in out.getvalue().splitlines()] == [
        *("differs tiny/small", "same tiny/smoke", "2 figures compared."),
    ]
    shutil.rmtree(other)
    table.loc[0, "value"] = 0.123
    table.to_parquet(folder / "table.parquet", index=False)
    assert verify_all([experiment], results, console) == 1


def test_a_figure_of_an_earlier_design_is_not_compared(tmp_path: Path) -> None:
    """Its table is not one that the present drawing is made for."""
    arms = "      - product: {norm: [none, batch]}\n"
    experiment = write_files(tmp_path / "studies" / "tiny", with_arms(arms))
    (experiment.folder / "figure.py").write_text(
        "def draw(table):\n    raise KeyError('searched')\n"
    )
    folder = tmp_path / "results" / "tiny" / "smoke"
    folder.mkdir(parents=True)
    digest = "0123456789abcdef"
    (folder / "manifest.json").write_text(json.dumps({"table_sha256": digest + "00"}))

    def looked_at(design: str) -> None:
        look = Look(
            experiment="tiny",
            scale="smoke",
            claim="one",
            claim_sha256="a",
            cells_sha256="b",
            verdict="supported",
            commit="c",
            date="2026-11-28",
            looks=(3,),
            seeds=(0, 1, 2),
            n=3,
            as_trained=True,
            design_sha256=design,
            table_sha256=digest,
        )
        (folder / "registry.jsonl").write_text(look.to_line())

    out = StringIO()
    looked_at("of another time")
    assert verify_all([experiment], tmp_path / "results", Console(file=out, width=200)) == 1
    assert out.getvalue().splitlines() == [
        "earlier tiny/smoke: experiment.yaml has changed since; make tiny SCALE=smoke",
        "0 figures compared.",
    ]
    redraw_all([experiment], tmp_path / "results", Console(file=out, width=200))
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "registry.jsonl"]
    assert is_of_an_earlier_design(experiment, folder)
    for design in ("unknown", design_digest(experiment.scales["smoke"])):
        looked_at(design)
        assert not is_of_an_earlier_design(experiment, folder)
    (folder / "registry.jsonl").unlink()
    assert not is_of_an_earlier_design(experiment, folder)
