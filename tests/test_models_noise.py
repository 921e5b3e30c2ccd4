"""Gaussian noise in activations and inputs: where it stands, what it is, and that it replays."""

from __future__ import annotations

import copy

import pytest
import torch
from support.parts import Parts, gradient_of
from support.runs import prepared, trained

from normlab.config import ModelConfig, NormConfig
from normlab.models.book_cnn import BookCNNConfig
from normlab.models.kit import Kit
from normlab.models.mlp import MLPConfig
from normlab.models.noise import GaussianNoise
from normlab.models.resnet import ResNet20Config
from normlab.models.vgg import VGG11Config
from normlab.norms.batch import BatchConfig
from normlab.norms.none import NoNormConfig
from normlab.randomness import Clock, Stream


def layer(std: float = 0.5, clock: Clock | None = None) -> GaussianNoise:
    return GaussianNoise(std, Stream(0, "noise/noise1", clock or Clock()))


def test_it_is_normal_with_the_deviation_asked_for() -> None:
    inputs = torch.linspace(-3, 3, 200_000, dtype=torch.float64)
    noise = layer(0.5)(inputs) - inputs
    assert noise.mean().item() == pytest.approx(0, abs=5 * 0.5 / 200_000**0.5)
    assert noise.std().item() == pytest.approx(0.5, rel=5 / 400_000**0.5)
    assert (noise.abs() < 0.5).double().mean().item() == pytest.approx(0.6827, abs=6e-3)
    assert torch.corrcoef(torch.stack([inputs, noise]))[0, 1].abs() < 5 / 200_000**0.5


def test_it_replays_within_a_step_alone_and_is_off_in_evaluation() -> None:
    clock = Clock()
    noisy = layer(clock=clock)
    inputs = torch.zeros(4, 3)
    first = noisy(inputs)
    assert torch.equal(noisy(inputs), first)
    assert torch.equal(copy.deepcopy(noisy)(inputs), first)
    clock.step = 1
    assert not torch.equal(noisy(inputs), first)
    assert torch.equal(noisy.eval()(inputs), inputs)


def test_the_gradient_passes_unchanged() -> None:
    inputs = torch.zeros(3, requires_grad=True)
    layer()(inputs).sum().backward()
    assert gradient_of(inputs).tolist() == [1, 1, 1]


def build(
    model: ModelConfig, norm: NormConfig | None = None, shape: tuple[int, ...] = (3, 32, 32)
) -> Parts:
    with torch.device("meta"):
        kit = Kit(norm=norm or BatchConfig(), noise=0.1, dropout=0.2)
        return model.build(kit, shape, 10)


def stages(model: torch.nn.Module) -> list[str]:
    return [name for name, _ in model.named_children()]


def test_it_follows_every_hidden_activation() -> None:
    mlp = MLPConfig(widths=(4,))
    assert stages(build(mlp, shape=(3,))) == [
        *("linear1", "norm1", "relu1", "noise1", "dropout1", "linear2")
    ]
    assert stages(build(mlp, BatchConfig(position="after"), (3,))) == [
        *("linear1", "relu1", "noise1", "norm1", "dropout1", "linear2")
    ]
    book = stages(build(BookCNNConfig(), shape=(1, 28, 28)))
    assert [name for name in book if name.startswith("noise")] == [f"noise{i}" for i in range(1, 5)]
    vgg = stages(build(VGG11Config(head="three_layer")))
    assert [name for name in vgg if name.startswith("noise")] == [f"noise{i}" for i in range(1, 11)]
    assert vgg[vgg.index("relu9") : vgg.index("linear10")] == ["relu9", "noise9", "dropout9"]


@pytest.mark.parametrize(
    ("config", "norm", "expected"),
    [
        (
            ResNet20Config(),
            BatchConfig(),
            ["conv1", "norm1", "relu1", "noise1", "conv2", "norm2", "relu2", "noise2"],
        ),
        (
            ResNet20Config(preactivation=True),
            BatchConfig(),
            ["norm1", "relu1", "noise1", "conv1", "norm2", "relu2", "noise2", "conv2"],
        ),
        (
            ResNet20Config(preactivation=True),
            BatchConfig(position="after"),
            ["relu1", "noise1", "norm1", "conv1", "relu2", "noise2", "norm2", "conv2"],
        ),
    ],
)
def test_in_residual_blocks(config: ModelConfig, norm: NormConfig, expected: list[str]) -> None:
    assert stages(build(config, norm).block1) == expected


def test_in_fixup_blocks() -> None:
    block = build(ResNet20Config(residual="fixup"), NoNormConfig()).block1
    names = stages(block)
    assert names[names.index("relu1") + 1] == "noise1"
    assert names[-2:] == ["relu2", "noise2"]


def test_streams_are_named_by_the_whole_path() -> None:
    model = build(ResNet20Config())
    assert model.block2.noise1.stream.name == "noise/block2.noise1"


def test_noise_in_the_inputs_is_drawn_anew_each_step_around_the_same_batch() -> None:
    _, _, plain = prepared("data.augment=true")
    _, _, noisy = prepared("data.augment=true", "noise.input=0.3")
    differences = []
    for step in (0, 1):
        clean, batch = plain.batches.at(step), noisy.batches.at(step)
        assert torch.equal(batch.targets, clean.targets)
        assert torch.equal(batch.inputs, noisy.batches.at(step).inputs)
        differences.append(batch.inputs - clean.inputs)
        assert differences[step].std().item() == pytest.approx(0.3, rel=5 / (2 * 2048) ** 0.5)
    assert not torch.equal(*differences)


def test_noise_changes_training_and_neither_start_nor_evaluation() -> None:
    plain = trained("steps=2", "eval.every=1")
    for word in ("noise.input=0.5", "noise.activation=0.5"):
        noisy = trained("steps=2", "eval.every=1", word)
        assert noisy.rows.of("test/loss")[0] == plain.rows.of("test/loss")[0]
        assert noisy.rows.of("train/loss")[0] != plain.rows.of("train/loss")[0]
        assert noisy.rows.of("test/loss")[1] != plain.rows.of("test/loss")[1]


def test_the_ics_probe_sees_the_noise_of_the_step() -> None:
    """Recomputed at unmoved weights, the gradient is the step's own: the control is nothing."""
    run = trained(
        *("noise.input=0.3", "noise.activation=0.3", "precision=float64", "steps=3"),
        *("probe=[ics]", "probe.ics.every=1", "probe.ics.control=every"),
    )
    for layer_name in ("linear2", "linear3"):
        norms = run.rows.of(f"ics/gradient_norm/{layer_name}")
        controls = run.rows.of(f"ics/control/{layer_name}")
        assert len(controls) == 3
        assert all(controls[step] < 1e-12 * norms[step] for step in controls)
