"""What is refused before anything starts; and what is not, since it can be carried out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.runs import CONFIG_DIR, composer, tiny

from normlab.config.convert import run_config
from normlab.config.errors import ConfigError
from normlab.plan import capacity
from normlab.plan.preflight import check_run
from normlab.plan.runs import plan_run

MODELS = sorted(path.stem for path in (CONFIG_DIR / "model").glob("*.yaml"))
NORMS = sorted(path.stem for path in (CONFIG_DIR / "norm").glob("*.yaml"))


def check(*words: str) -> None:
    check_run(run_config(composer().compose([*words, "tracker=none"])))


@pytest.mark.parametrize("model", MODELS)
def test_every_model_passes_on_data_it_takes(model: str) -> None:
    data = "gaussian" if model == "deep_linear" else "digits"
    resize = ["data.resize=32"] if data == "digits" else []
    if model == "book_cnn":
        resize = ["data.resize=28"]
    check(f"model={model}", f"data={data}", *resize)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("model", ["mlp", "vgg11", "resnet20"])
def test_every_norm_passes_on_every_kind_of_model(model: str, norm: str) -> None:
    words = (f"model={model}", f"norm={norm}", "batch_size=64")
    if (model, norm) == ("mlp", "instance"):
        with pytest.raises(ConfigError, match="norm=instance takes a variance over the positions"):
            check(*words)
    else:
        check(*words)


def test_no_memory_is_taken_and_no_random_number_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network of 40 GB is checked in a moment; a mistake in it is found all the same."""
    monkeypatch.setattr(capacity, "_machine_memory", lambda: (10**12, "this machine has"))
    before = torch.get_rng_state()
    check("model=mlp", "model.widths=[100000,100000]")
    with pytest.raises(ConfigError, match=r"norm.groups must divide the channels of every layer"):
        check("model=mlp", "model.widths=[100000,100000]", "norm=group", "norm.groups=7")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("batch_size=1",), "which needs at least 2 values"),
        (("norm=group",), "Set norm.groups to a smaller divisor of 16."),  # 16 groups of one value
        (("device=cuda:99",), "Use device=auto or device=cpu."),
        (("device=tpu",), "device must be auto, cpu, cuda or cuda:N; got 'tpu'."),
        (("data.root=/nonexistent", "data=cifar10"), "normlab data cifar10"),
    ],
)
def test_what_could_not_be_carried_out(words: tuple[str, ...], text: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        check_run(tiny(*words))
    assert text in str(refusal.value)


def test_label_smoothing_needs_classes() -> None:
    words = ("model=deep_linear", "data=gaussian")
    check(*words)
    with pytest.raises(ConfigError, match=r"regularizer.label_smoothing needs classes"):
        check(*words, "regularizer.label_smoothing=0.1")
    check("regularizer.label_smoothing=0.1")


WEIGHTS = 64 * 8 + 8 + 8 * 10 + 10
KEPT = 4 * (64 + 8 + 8)
"""Of a batch of 4: what goes into linear1, norm1 and linear2."""


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        ((), 4 * (2 * (WEIGHTS + 8) + KEPT + 40 * 64)),  # beta for linear1's bias, and gamma
        (("norm=none",), 4 * (2 * WEIGHTS + KEPT - 4 * 8 + 40 * 64)),
        (("optimizer.momentum=0.9",), 4 * (3 * (WEIGHTS + 8) + KEPT + 40 * 64)),
        (("optimizer=adam",), 4 * (4 * (WEIGHTS + 8) + KEPT + 40 * 64)),
        (("precision=float64",), 8 * (2 * (WEIGHTS + 8) + KEPT + 40 * 64)),
        (("precision=bfloat16",), 4 * (2 * (WEIGHTS + 8) + 40 * 64) + 2 * KEPT),
    ],
)
def test_a_run_is_refused_by_the_least_memory_it_takes(
    words: tuple[str, ...], needed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = ("model.widths=[8]", "data.limit=40", "data.resize=null", "batch_size=4", "device=cpu")
    monkeypatch.setattr(capacity, "_machine_memory", lambda: (needed, "this machine has"))
    check(*size, *words)
    monkeypatch.setattr(capacity, "_machine_memory", lambda: (needed - 1, "this machine has"))
    with pytest.raises(ConfigError, match=r"this run needs at least .* of memory"):
        check(*size, *words)


def test_the_memory_is_what_the_control_group_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    capacity._machine_memory.cache_clear()
    installed, words = capacity._machine_memory()
    assert 2**28 < installed < 2**50
    assert words in ("this machine has", "this process may use")
    monkeypatch.setattr(capacity, "_cgroup_limits", lambda: [2**62, 2**20])
    capacity._machine_memory.cache_clear()
    assert capacity._machine_memory() == (2**20, "this process may use")
    capacity._machine_memory.cache_clear()


def test_limits_of_control_groups_of_both_versions(tmp_path: Path) -> None:
    files = {
        "job/step/memory.max": "max",
        "job/memory.max": "1000",
        "memory/job/memory.limit_in_bytes": "2000",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    assert capacity._cgroup_limits("0::/job/step", tmp_path) == [1000]
    assert capacity._cgroup_limits("4:cpu:/job\n5:memory:/job/step", tmp_path) == [2000]


@pytest.mark.parametrize(
    ("words", "remark"),
    [
        (("norm=group", "model.widths=[64]"), "32 groups of 2 values, which become -1 and +1"),
        (("norm=group", "model.widths=[64]"), "Give norm.groups=8, or norm=layer."),
        (("norm=batch_channel", "model.widths=[64]"), "norm=batch_channel splits 64 features"),
        (("schedule.warmup_steps=30", "steps=20"), "never climbs beyond 0.667 of optimizer.lr."),
        (
            ("schedule=multistep", "schedule.milestones=[0.75,0.5]"),
            "schedule.milestones=[0.75, 0.5] is taken in order of time, [0.5, 0.75].",
        ),
    ],
)
def test_what_can_be_carried_out_and_would_not_be_expected(
    words: tuple[str, ...], remark: str
) -> None:
    assert remark in " ".join(plan_run(run_config(composer().compose(words)), {}).remarks)


@pytest.mark.parametrize(
    "words",
    [
        ("norm=group",),  # 25 groups of 4
        ("norm=group", "model.widths=[64]", "norm.groups=8"),
        ("norm=group", "model=vgg11"),  # its groups have positions too
        ("schedule.warmup_steps=20", "steps=20"),
        ("schedule=multistep",),
    ],
)
def test_what_is_as_expected_has_no_remark(words: tuple[str, ...]) -> None:
    assert plan_run(run_config(composer().compose(words)), {}).remarks == ()
