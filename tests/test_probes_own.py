"""A probe of one's own with a metric of its own: what docs/adding.md says is all there is to do."""

import re
import shutil
import sys
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.runs import carried_out, tiny
from torch import nn

from normlab.config import ProbeConfig, RunConfig, choices, register, registry
from normlab.config.component import Component
from normlab.config.compose import Composer
from normlab.config.convert import run_config
from normlab.config.errors import ConfigError
from normlab.launch.measure import measure
from normlab.metrics import METRICS, Metric, describe
from normlab.metrics import register as register_metric
from normlab.metrics.families import FAMILIES, cost, scores
from normlab.plan.runs import PlannedRun, plan_run
from normlab.probes.base import Measurement, Probe, StepView
from normlab.probes.schedule import EverySteps, Schedule, ScheduledConfig
from normlab.records import metrics_frame

ROOT = Path(__file__).resolve().parent.parent
TINY = ("model=mlp", "model.widths=[8]", "data.limit=60", "batch_size=10", "steps=2", "norm=batch")


@pytest.fixture(autouse=True)
def own_choices() -> Iterator[None]:
    ours: dict[str, type[Component]] = {**choices("probe")}
    yield
    registry._CHOICES["probe"] = ours


@pytest.fixture
def own_configs(tmp_path: Path) -> Path:
    """configs/ with what one adds to it."""
    return Path(shutil.copytree(ROOT / "configs", tmp_path / "configs"))


def planned(configs: Path, results: Path, *words: str) -> PlannedRun:
    composed = Composer(configs).compose([*TINY, *words, f"results_dir={results}"])
    return plan_run(run_config(composed), factors={})


def blocks_of_the_guide() -> tuple[str, str]:
    """The probe's module and its YAML, as docs/adding.md has them."""
    text = (ROOT / "docs" / "adding.md").read_text()
    section = text[text.index("## A probe") : text.index("## An experiment")]
    blocks = dict(re.findall(r"```(python|yaml)\n(.*?)```", section, flags=re.DOTALL))
    return blocks["python"], blocks["yaml"]


def test_the_guide_s_probe_measures_with_nothing_added_to_normlab(
    tmp_path: Path, own_configs: Path
) -> None:
    code, settings = blocks_of_the_guide()
    module = ModuleType("somebody_s.update_size")
    sys.modules[module.__name__] = module
    try:
        exec(compile(code, "update_size.py", "exec"), module.__dict__)
        (own_configs / "probe" / "update_size.yaml").write_text(settings)
        run = planned(own_configs, tmp_path, "probe=[ics,update_size]")
        carried_out(run)
    finally:
        del sys.modules[module.__name__]
    table = metrics_frame([run.folder], metrics=["update/relative_size"])
    assert set(table["layer"]) == {"linear1", "linear2"}
    assert set(table["step"]) == {0, 1}
    assert table["value"].between(0, 10).all()
    assert describe("update/relative_size/linear1")[0].label == "update relative to the weight"


@dataclass(frozen=True, kw_only=True)
class OddConfig(ScheduledConfig):
    """Measures `mine/declared`, and says what it is told to say."""

    names: tuple[str, ...] = ("mine/declared",)

    @property
    def metrics(self) -> tuple[str, ...]:
        return self.names

    def check(self, model: nn.Module) -> None:
        pass

    def build(self, model: nn.Module, num_steps: int) -> "OddProbe":
        return OddProbe(self.schedule(num_steps))


class OddProbe(Probe):
    name = "odd"

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule

    def measure(self, view: StepView) -> Generator[None, None, Measurement]:
        yield
        yield
        return Measurement(values={"mine/declared": {"linear1": 1.0}})


def with_probe(config: RunConfig, probe: ProbeConfig) -> RunConfig:
    return replace(config, probe=(probe,))


def test_a_metric_that_nobody_registered_is_refused_before_anything_starts(tmp_path: Path) -> None:
    register("odd")(OddConfig)
    config = tiny(*TINY, f"results_dir={tmp_path}")
    refusal = (
        r"probe=odd records 'mine/declared', and no metric is called that; register it beside the "
        rf"probe, in {re.escape(__name__)}: metrics\.register\(metrics\.Metric\("
        r"name='mine/declared', label=…, doc=…\)\), with per_layer=True"
    )
    with pytest.raises(ConfigError, match=refusal):
        plan_run(with_probe(config, OddConfig()), factors={})
    with pytest.raises(ConfigError, match=r"records 'ics/l3'.* Did you mean 'ics/l2'\?"):
        plan_run(with_probe(config, OddConfig(names=("ics/l2", "ics/l3"))), factors={})
    assert not (tmp_path / "runs").exists()
    register_metric(Metric(name="mine/declared", label="l", doc="D.", per_layer=True))
    plan_run(with_probe(config, OddConfig()), factors={})


def test_a_probe_without_a_schedule_measures_no_checkpoint(
    tmp_path: Path, own_configs: Path
) -> None:
    @register("bare")
    @dataclass(frozen=True, kw_only=True)
    class BareConfig(ProbeConfig):
        """Measures when it likes."""

        metrics = ("ics/l2",)

        def check(self, model: nn.Module) -> None:
            pass

        def build(self, model: nn.Module, num_steps: int) -> OddProbe:
            return OddProbe(EverySteps(1))

    (own_configs / "probe" / "bare.yaml").write_text("# @package probe.bare\n# Bare.\n")
    run = planned(own_configs, tmp_path, "checkpoint.keep_final=true")
    carried_out(run)
    refusal = (
        "probe.bare cannot be told at which steps to measure; let BareConfig build on "
        "normlab.probes.schedule.ScheduledConfig"
    )
    with pytest.raises(ConfigError, match=refusal):
        measure(run.folder, ["probe=[bare]"], Composer(own_configs))


def test_a_measurement_that_was_not_declared_is_refused_at_once(tmp_path: Path) -> None:
    register("odd")(OddConfig)
    register_metric(Metric(name="mine/declared", label="l", doc="D.", per_layer=True))
    config = tiny(*TINY, f"results_dir={tmp_path}")
    run = plan_run(with_probe(config, OddConfig(names=("ics/l2",))), factors={})
    result, _ = carried_out(run)
    assert result.end == "failed"
    assert (
        "ValueError: probe=odd measured 'mine/declared', which it does not declare; add the name "
        "to OddConfig.metrics. It declares ics/l2."
    ) in (run.folder.traceback() or "")
    assert set(metrics_frame([run.folder])["step"]) == {0}


@pytest.mark.parametrize("name", sorted(choices("probe")))
def test_what_our_probes_declare_is_registered(name: str) -> None:
    config = choices("probe")[name]()
    assert len(set(config.metrics)) == len(config.metrics) > 0
    for metric in config.metrics:
        assert describe(metric) == (METRICS[metric], None)


def test_everything_registered_is_of_the_loop_or_of_a_probe() -> None:
    """What only an experiment computes stands in its metrics.yaml."""
    of_probes = {
        metric
        for name, config in choices("probe").items()
        for metric in config(**({"replicates": 2} if hasattr(config, "replicates") else {})).metrics
    }
    places = ("before_norm", "after_norm", "after_activation")
    settings: dict[str, Any] = {"places": places}
    of_probes |= set(choices("probe")["moment_drift"](**settings).metrics)
    curve: dict[str, Any] = {"curve": (0.001, 4.0)}
    of_probes |= set(choices("probe")["landscape"](**curve).metrics)
    of_loop = {metric.name for metric in (*scores.SCORES, *cost.COST)} | {
        "weights/sparsity",
        "weights/zeros",
    }
    assert of_probes | of_loop == {metric.name for family in FAMILIES for metric in family}
