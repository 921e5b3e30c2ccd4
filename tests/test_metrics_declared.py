"""An experiment's metrics.yaml: what it may say, what is refused, and who knows what."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from support.studies import CLAIMS, write_files

from normlab.analysis.claims import load_claims
from normlab.config.errors import ConfigError
from normlab.metrics import METRICS, Metric, axis_text, describe
from normlab.metrics.declared import load_metrics, read_metrics
from normlab.metrics.families import FAMILIES
from normlab.studies.design import is_of_an_earlier_design
from normlab.studies.experiment import Experiment, experiment_names

ROOT = Path(__file__).resolve().parent.parent
EXPERIMENTS = ROOT / "experiments"
OURS = {metric.name for family in FAMILIES for metric in family}

WHOLE = """
metrics:
  - name: mine/speed
    label: speed of mine
    unit: km/h
    direction: higher
    kind: cost
    per_layer: true
    bounds: [0, 250]
    doc: How fast
      it goes.
  - {name: mine/size, label: size, doc: How large it is.}
"""


def written(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.yaml").write_text(text)
    return folder


def declaration(**settings: Any) -> str:
    entry = {"name": "mine/speed", "label": "speed", "doc": "How fast it goes.", **settings}
    given = {key: value for key, value in entry.items() if value is not None}
    return yaml.safe_dump({"metrics": [given]})


def test_what_a_file_may_say(tmp_path: Path) -> None:
    speed, size = load_metrics(written(tmp_path / "e", WHOLE))
    assert speed == Metric(
        name="mine/speed",
        label="speed of mine",
        unit="km/h",
        direction="higher",
        kind="cost",
        per_layer=True,
        bounds=(0.0, 250.0),
        doc="How fast it goes.",
    )
    assert size == Metric(name="mine/size", label="size", doc="How large it is.")
    assert describe("mine/speed/conv1") == (speed, "conv1")
    assert axis_text("mine/speed/conv1") == "speed of mine (conv1) [km/h]"
    assert load_metrics(tmp_path / "without") == ()


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("a: [", "b/e/metrics.yaml: not valid YAML"),
        ("- a", "b/e/metrics.yaml: expected a list of metrics under the key metrics"),
        ("metrics: []\nother: 1", "expected a list of metrics under the key metrics and nothing"),
        ("metrics: [a]", "a metric is settings under keys; got 'a'"),
        (declaration(name=None), "name must be lower-case words joined by _ and /"),
        (declaration(name="Mine"), "such as mine/speed, .* got 'Mine'"),
        (declaration(name="mine/"), "got 'mine/'"),
        (declaration(name="step"), "not step, best/…, steps_to/… or probe/…; got 'step'"),
        (declaration(name="best/test/loss"), "got 'best/test/loss'"),
        (
            declaration(lable="x"),
            "mine/speed: lable: there is no such key. Did you mean 'label'\\? Keys: name, label,",
        ),
        (declaration(label=None), "mine/speed: label must be a text; got None"),
        (declaration(doc=" "), "mine/speed: doc must be a text; got ' '"),
        (declaration(unit=1), "mine/speed: unit must be a text; got 1"),
        (
            declaration(direction="hihger"),
            "direction: 'hihger' is none. Did you mean 'higher'\\? Choices: higher, lower.",
        ),
        (
            declaration(kind="cots"),
            "kind: 'cots' is none. Did you mean 'cost'\\? Choices: accuracy, loss, steps, cost, "
            "measurement.",
        ),
        (declaration(per_layer="yes"), "per_layer must be true or false; got 'yes'"),
        (declaration(bounds=[1, 0]), "bounds must be two numbers, the smaller one first"),
        (declaration(bounds=["a", "b"]), "bounds must be two numbers"),
        (WHOLE + "  - {name: mine/size, label: a, doc: A.}", "mine/size is declared 2 times"),
        (
            declaration(name="test/accuracy"),
            "b/e/metrics.yaml: test/accuracy: label: 'speed' here, 'test accuracy' in "
            "normlab.metrics. One name means one thing",
        ),
        (
            declaration(name="ics/l2/conv1"),
            "'ics/l2/conv1' reads as 'ics/l2' of the layer 'conv1'; choose another name",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, refusal: str) -> None:
    with pytest.raises(ConfigError, match=refusal):
        load_metrics(written(tmp_path / "b" / "e", text))
    assert not [name for name in METRICS if name.startswith("mine/")]


def test_two_experiments_may_share_a_quantity_but_not_a_name(tmp_path: Path) -> None:
    load_metrics(written(tmp_path / "first", declaration()))
    load_metrics(written(tmp_path / "second", declaration()))
    with pytest.raises(ConfigError, match=r"third/metrics.yaml: mine/speed: label: 'rate' here, "):
        load_metrics(written(tmp_path / "third", declaration(label="rate")))
    assert METRICS["mine/speed"].label == "speed"


def test_a_file_that_was_edited_is_read_anew(tmp_path: Path) -> None:
    load_metrics(written(tmp_path / "e", declaration()))
    load_metrics(written(tmp_path / "e", declaration(label="rate")))
    assert METRICS["mine/speed"].label == "rate"
    assert axis_text("mine/speed") == "rate"


def test_an_edit_that_is_refused_leaves_the_metric_as_it_was(tmp_path: Path) -> None:
    both = WHOLE.replace("per_layer: true", "per_layer: false").replace("mine/size", "mine/speed/a")
    load_metrics(written(tmp_path / "e", both))
    with pytest.raises(ConfigError, match=r"'mine/speed/a' reads as 'mine/speed' of the layer"):
        load_metrics(written(tmp_path / "e", both.replace("per_layer: false", "per_layer: true")))
    assert not describe("mine/speed")[0].per_layer
    assert describe("mine/speed/a")[1] is None


def test_claims_and_the_experiment_bring_what_stands_beside_them(tmp_path: Path) -> None:
    claims = CLAIMS.replace("metric: test/accuracy", "metric: mine/size")
    folder = written(tmp_path / "e", WHOLE)
    (folder / "claims.yaml").write_text(claims)
    (claim,) = load_claims(folder / "claims.yaml")
    assert claim.metric == "mine/size"
    written(tmp_path / "other", WHOLE.replace("mine/", "yours/"))
    (tmp_path / "other" / "metrics.yaml").rename(tmp_path / "kept.yaml")
    experiment = write_files(tmp_path / "fresh", "title: t\nscales: {}")
    (tmp_path / "kept.yaml").rename(experiment.folder / "metrics.yaml")
    Experiment.load(experiment.folder)
    assert "yours/size" in METRICS


def test_normlab_knows_no_experiment_s_metric() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    for name in experiment_names(EXPERIMENTS):
        path = EXPERIMENTS / name / "metrics.yaml"
        for metric in read_metrics(path) if path.exists() else ():
            assert metric.name not in OURS, path
            assert metric.name not in code, metric.name
            assert metric.doc.endswith("."), metric.name


def test_every_experiment_s_declarations_go_together() -> None:
    for name in experiment_names(EXPERIMENTS):
        load_metrics(EXPERIMENTS / name)
    assert {"theory/gain", "descent/weight", "one_weight/sum"} < METRICS.keys()


@pytest.mark.parametrize("name", experiment_names(EXPERIMENTS))
def test_every_committed_number_is_described_by_normlab_or_its_experiment(name: str) -> None:
    path = EXPERIMENTS / name / "metrics.yaml"
    own = {metric.name for metric in read_metrics(path)} if path.exists() else set()
    recorded = set()
    experiment = Experiment.load(EXPERIMENTS / name)  # which makes its metrics known
    folders = [one.parent for one in (ROOT / "results" / name).glob("*/table.parquet")]
    for folder in folders:
        table = pd.read_parquet(folder / "table.parquet", columns=["metric"])
        recorded |= set(table["metric"].unique())
    for metric in recorded:
        assert describe(metric)[0].name == metric
    drawn = (EXPERIMENTS / name / "figure.py").read_text()
    unused = {metric for metric in own - recorded if f'"{metric}"' not in drawn}
    if not folders or any(is_of_an_earlier_design(experiment, one) for one in folders):
        return  # the runs of its present design are still to come
    assert not unused, "declared, and neither in a table nor drawn"


def test_reading_the_registry_imports_no_torch() -> None:
    code = (
        "import sys, normlab.metrics, normlab.metrics.declared\n"
        "heavy = {'torch', 'pandas', 'pydantic', 'hydra', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
