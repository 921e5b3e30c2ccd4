"""What is refused before anything starts; and what is not, since it can be carried out."""

from __future__ import annotations

import pytest
import torch
from support.runs import CONFIG_DIR, composer, tiny

from normlab.config.convert import run_config
from normlab.config.errors import ConfigError
from normlab.plan.preflight import check_run

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


def test_no_memory_is_taken_and_no_random_number_drawn() -> None:
    """A network of 40 GB is checked in a moment; a mistake in it is found all the same."""
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
