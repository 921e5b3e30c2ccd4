"""Norms of one's own, outside `src/`: a Python file and a YAML each, and every command knows them.

`squash` is the example of docs/adding.md, as it stands there. `clipped` has running statistics and
is batch normalization in evaluation, so that every fact about a norm is asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command_line import ROOT, Ended, run_script, working_in
from support.studies import write_experiment

import experiments
from normlab.figures.style import SPARE_LOOKS, norm_color

ADDING = (ROOT / "docs" / "adding.md").read_text(encoding="utf-8")

CLIPPED = '''\
"""Batch normalization with its outputs clipped while it trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from normlab.config import register, setting
from normlab.norms.base import per_feature
from normlab.norms.population import PopulationConfig, PopulationNorm


@register("clipped")
@dataclass(frozen=True, kw_only=True)
class ClippedConfig(PopulationConfig):
    EVALUATES_AS: ClassVar[str] = "batch"

    limit: float = setting(3.0, "Of a normalized value, in training.", above=0, free_at_start=True)

    def build(self, num_features: int) -> nn.Module:
        return ClippedNorm(num_features, self)


class ClippedNorm(PopulationNorm):
    UNDONE_BY_GAMMA_AND_BETA: ClassVar[bool] = True

    def __init__(self, num_features: int, config: ClippedConfig) -> None:
        super().__init__(num_features, config)
        self.limit = config.limit

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.uses_batch:
            return self.by_population(inputs)
        self.check(inputs.shape)
        mean = self.running_mean if self.training else None
        var = self.running_var if self.training else None
        outputs = torch.batch_norm(
            inputs, None, None, mean, var, True, self.momentum, self.eps, False
        )
        outputs = outputs.clamp(-self.limit, self.limit)
        if self.weight is None or self.bias is None:
            return outputs
        outputs = outputs * per_feature(self.weight, inputs) + per_feature(self.bias, inputs)
        return outputs.to(inputs.dtype)
'''

CLIPPED_YAML = """\
# Batch normalization, clipped in training.
name: clipped
"""

FIGURE = """
import pandas as pd

from normlab.figures import Panel, Sheet, draw_panels


def draw(table: pd.DataFrame) -> Sheet:
    return draw_panels(table, [[Panel(y="test/accuracy")]])
"""

ARMS = """
      - name: trunk
        set: {norm: none}
      - product: {norm: [batch, squash, clipped]}
      - name: continued
        set: {norm: clipped, start_from: trunk@end}
      - name: into batch
        set: {norm: batch, start_from: continued@end}
"""

TINY = (
    *("model=mlp", "model.widths=[16]", "data.limit=200", "batch_size=32", "steps=6"),
    *("tracker=none", "device=cpu"),
)


def example(start: str) -> str:
    """The block of code behind some words of docs/adding.md."""
    found = re.search(re.escape(start) + r"\n\n```\w+\n(.*?)```", ADDING, re.DOTALL)
    assert found is not None, start
    return found[1]


class OwnFolder:
    """A folder of one's own that somebody stands in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "configs" / "norm").mkdir(parents=True)
        for name, code, settings in (
            (
                "squash",
                example("`src/normlab/norms/squash.py`:"),
                example("`configs/norm/squash.yaml`:"),
            ),
            ("clipped", CLIPPED, CLIPPED_YAML),
        ):
            module = path / "components" / f"{name}.py"
            module.parent.mkdir(exist_ok=True)
            module.write_text(code)
            (path / "configs" / "norm" / f"{name}.yaml").write_text(settings)
        study = write_experiment(path / "experiments" / "own_norms", ARMS)
        (study.folder / "figure.py").write_text(FIGURE)

    @property
    def runs(self) -> list[str]:
        return sorted(folder.name for folder in (self.path / "results" / "runs").iterdir())

    def does(self, script: str, *words: str) -> Ended:
        """`python scripts/SCRIPT WORDS` in the folder."""
        with working_in(self.path):
            return run_script(script, *words)

    def did(self, script: str, *words: str) -> str:
        """What a command says that carries out what it is asked for."""
        ended = self.does(script, *words)
        assert ended.code == 0, ended.err + ended.out
        return " ".join(ended.out.split())

    def trained(self, *words: str) -> str:
        """The name of the run that these words make."""
        before = set(self.runs) if (self.path / "results" / "runs").exists() else set()
        self.did("train.py", *TINY, *words)
        (name,) = set(self.runs) - before
        return name

    def loss(self, run: str) -> float:
        """Of a run's network on the test set, at its end."""
        status = json.loads((self.path / "results" / "runs" / run / "status.json").read_text())
        return float(status["summary"]["test/loss"])

    def refused(self, *words: str) -> str:
        """What is said against a run that cannot be made."""
        before = self.runs
        ended = self.does("train.py", *TINY, *words)
        assert ended.code == 2
        assert self.runs == before
        return ended.err


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnFolder]:
    folder = OwnFolder(tmp_path_factory.mktemp("own"))
    packages = list(experiments.__path__)
    experiments.__path__.append(str(folder.path / "experiments"))
    yield folder
    experiments.__path__[:] = packages


def test_help_and_the_zoo_list_them(own: OwnFolder) -> None:
    told = own.did("train.py", "--help")
    assert "squash tanh(slope x) in the place of a normalization" in told
    assert "clipped Batch normalization, clipped in training." in told
    zoo = own.did("zoo.py")
    assert "| `norm=squash` | " in zoo
    assert "Of a normalized value, in training." in zoo


def test_they_are_trained_and_swept(own: OwnFolder) -> None:
    words = ("norm=squash", "norm.slope=2", "checkpoint.keep_final=true")
    run = own.trained(*words)
    assert "Finished before" in own.did("train.py", *TINY, *words, "norm.eps=1e-3")
    refusal = own.refused("norm=squash", "norm.slope=-1")
    assert "norm.slope must be greater than 0; got -1.0." in refusal
    in_a_process = ("launcher=pool", "launcher.num_workers=1")
    norms = "norm=none,batch,squash,clipped"
    swept = own.did("train.py", "-m", *TINY, norms, "seed=0,1", *in_a_process)
    assert "8 runs of 4 cells" in swept
    (page,) = own.path.glob("results/sweeps/*/index.html")
    assert "clipped" in page.read_text()
    assert run in own.did("runs.py", "ls", "norm=squash")
    assert "norm.slope" in own.did("runs.py", "show", run)
    assert "has finished" in own.did("runs.py", "why", run)
    own.did("runs.py", "plot", "--hue", "norm", "--output", "all.svg")
    drawn = (own.path / "all.svg").read_text()
    assert all(norm_color(norm) in drawn for norm in ("none", "batch"))
    assert sum(look.color in drawn for look in SPARE_LOOKS) == 2
    own.did("runs.py", "measure", run, "probe=[gradients]")
    own.did("runs.py", "rerun", run)


def test_runs_start_from_them_and_with_them(own: OwnFolder) -> None:
    keep = "checkpoint.keep=[6]"
    plain = own.trained("norm=none", keep)
    start = f"start_from={plain}@end"
    refusal = own.refused("norm=squash", start)
    assert "norm=batch, batch_ghost, batch_noisy, batch_renorm and clipped have" in refusal
    assert "norm1 is a Squash. Choose one of these, or inserted_norms=reset." in refusal
    squashed = own.trained("norm=squash", start, "inserted_norms=reset", keep)
    clipped = own.trained("norm=clipped", start, "steps=0", "checkpoint.keep=[0]")
    assert own.loss(clipped) == pytest.approx(own.loss(plain), rel=1e-5)

    start = f"start_from={squashed}@end"
    own.trained("norm=squash", start)
    refusal = own.refused("norm=squash", "norm.slope=2", start)
    assert "norm.slope=2, and the parent has 1" in refusal
    refusal = own.refused("norm=batch", start)
    assert "norm=batch cannot start from one with norm=squash" in refusal

    start = f"start_from={clipped}@end"
    own.trained("norm=clipped", "norm.limit=1", start)
    own.trained("norm=clipped", "norm.freeze_after=0", start)
    own.trained("norm=batch", start)
    refusal = own.refused("norm=batch", "norm.eps=1e-3", start)
    assert "norm.eps=0.001, and the parent has 1e-05" in refusal
    assert "it needs start_from=RUN@STEP" in own.refused("norm=clipped", "norm.freeze_after=0")


def test_statistics_of_the_batch_are_measured(own: OwnFolder) -> None:
    run = own.trained("norm=clipped", "norm.population=precise", "probe=[statistics_gap]")
    assert "statistics_gap" in own.did("runs.py", "show", run)


def test_an_experiment_of_them_is_planned_run_and_shown(own: OwnFolder) -> None:
    words = ("own_norms", "--tracker", "none")
    assert "12 runs" in own.did("experiment.py", "plan", *words)
    own.did("experiment.py", "run", *words, "--launcher", "serial")
    assert (own.path / "results" / "own_norms" / "smoke" / "figure.png").exists()
    own.did("experiment.py", "redraw", "own_norms")
    own.did("experiment.py", "claims", "--quiet")
    own.did("experiment.py", "report")
    report = (own.path / "results" / "report" / "index.html").read_text()
    layout = own.did("dashboard.py", *words[:1], "--dry", "--full", "--results-dir", "results")
    with working_in(own.path):
        colors = {norm: norm_color(norm) for norm in ("none", "batch", "squash", "clipped")}
    assert colors["none"] == "#4d4d4d"
    assert {colors["squash"], colors["clipped"]} <= {look.color for look in SPARE_LOOKS}
    assert all(color in report and color in layout for color in colors.values())
