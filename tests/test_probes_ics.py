"""The ICS probe in a training loop: right on every model, and unseen by the training."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from support.ics_twin import naive_ics
from support.parts import gradient_of
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from normlab.config import ModelConfig, NormConfig, choices
from normlab.measures import measure_ics
from normlab.measures.replay import Replay
from normlab.metrics.layered import named
from normlab.models.chain import Chain, weight_layers
from normlab.models.deep_linear import DeepLinearConfig
from normlab.models.kit import Kit
from normlab.models.mlp import MLPConfig
from normlab.models.resnet import ResNet20Config
from normlab.models.vgg import VGG11Config
from normlab.probes.base import Probe, StepView
from normlab.probes.ics import IcsConfig
from normlab.randomness import Clock

FEW_FEATURES: dict[str, dict[str, Any]] = {
    "group": {"groups": 2},
    "batch_channel": {"groups": 2},
    "batch_ghost": {"ghost_size": 3},
}
NORMS: dict[str, NormConfig] = {
    name: config(**FEW_FEATURES.get(name, {})) for name, config in choices("norm").items()
}
"""Every normalization there is, at settings that fit few features and small batches."""
NUM_CLASSES = 3


def squared_distance(outputs: Tensor, targets: Tensor) -> Tensor:
    return ((outputs - targets) ** 2).sum()


@dataclass(frozen=True)
class Case:
    model: ModelConfig
    sample_shape: tuple[int, ...]
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy
    dropout: float = 0.3
    batch_size: int = 4
    lr: float = 0.05


CASES = {
    "mlp": Case(MLPConfig(widths=(8, 6, 4), activation="sigmoid"), (2, 3), batch_size=6),
    "vgg11": Case(VGG11Config(width=1 / 16), (3, 32, 32), batch_size=6),
    "resnet20": Case(ResNet20Config(), (3, 8, 8), batch_size=3, lr=1e-3),
    "deep_linear": Case(
        DeepLinearConfig(depth=6), (6,), loss=squared_distance, dropout=0.0, batch_size=9, lr=1e-4
    ),
}


def build(case: Case, norm: str, dtype: torch.dtype = torch.float64) -> tuple[Chain, Clock]:
    clock = Clock()
    kit = Kit(norm=NORMS[norm], dropout=case.dropout, clock=clock)
    num_outputs = case.sample_shape[0] if case.loss is squared_distance else NUM_CLASSES
    model = case.model.build(kit, case.sample_shape, num_outputs).to(dtype)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            if parameter.ndim >= 2:
                parameter.copy_(noise * math.sqrt(1.5 / parameter[0].numel()))
            else:
                parameter.copy_(0.1 * noise + (name.endswith("weight")))
    return model, clock


def batch_at(case: Case, step: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(100 + step)
    shape = (case.batch_size, *case.sample_shape)
    inputs = torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
    if case.loss is squared_distance:
        return inputs, torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
    return inputs, torch.randint(NUM_CLASSES, (case.batch_size,), generator=generator)


@dataclass
class Named:
    """A measurement by the names that a table has."""

    values: dict[str, float]


@dataclass
class Run:
    """A training of a few steps, with all that a later step could depend on."""

    model: Chain
    optimizer: torch.optim.Optimizer
    losses: list[float]
    gradients: list[dict[str, Tensor]]
    measurements: dict[int, Named]
    random: Tensor


def train(
    case: Case,
    norm: str,
    probe: Callable[[Chain], Probe] | None,
    *,
    optimizer: Callable[[Any], torch.optim.Optimizer] | None = None,
    num_steps: int = 4,
    dtype: torch.dtype = torch.float64,
    before_step: Callable[[int, Chain], None] = lambda step, model: None,
    arithmetic: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Run:
    torch.manual_seed(6)
    model, clock = build(case, norm, dtype)
    if optimizer:
        stepper = optimizer(model.parameters())
    else:
        stepper = torch.optim.SGD(model.parameters(), lr=case.lr, momentum=0.9)
    observer = probe(model) if probe else None
    losses, gradients, measurements = [], [], {}
    for step in range(num_steps):
        clock.step = step
        inputs, targets = batch_at(case, step, dtype)
        before_step(step, model)
        measurement = None
        if observer and observer.due(step):
            view = StepView(
                step=step,
                num_steps=num_steps,
                model=model,
                inputs=inputs,
                targets=targets,
                loss=case.loss,
                optimizer=stepper,
                learning_rate=case.lr,
            )
            measurement = observer.measure(view)
            with arithmetic():
                next(measurement)
        stepper.zero_grad()
        with arithmetic():
            loss = case.loss(model(inputs), targets)
        loss.backward()
        gradients.append({name: gradient_of(p).clone() for name, p in model.named_parameters()})
        if measurement:
            next(measurement)
        stepper.step()
        if measurement:
            with arithmetic(), pytest.raises(StopIteration) as end:
                next(measurement)
            measurements[step] = Named(dict(named(end.value.value.values)))
        losses.append(loss.item())
    return Run(model, stepper, losses, gradients, measurements, torch.get_rng_state())


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", CASES)
def test_equals_the_naive_twin_on_every_model(name: str, norm: str) -> None:
    case = CASES[name]
    if norm == "instance" and len(case.sample_shape) < 3:
        pytest.skip("instance normalization is refused on vectors")
    states: list[Chain] = []

    def keep(step: int, model: Chain) -> None:
        states.append(copy.deepcopy(model))

    run = train(
        case,
        norm,
        lambda model: IcsConfig(steps=(2,), control="every").build(model, 3),
        num_steps=3,
        before_step=keep,
    )
    start = states[2]
    before = {key: value.detach() for key, value in start.named_parameters()}
    after = {key: value.detach() for key, value in run.model.named_parameters()}
    weights = [f"{layer}.weight" for layer, _ in weight_layers(start)][1:]
    twin = naive_ics(start, case.loss, batch_at(case, 2), before, after, weights, list(before))
    values = dict(run.measurements[2].values)
    for weight in weights:
        layer, expected = weight.removesuffix(".weight"), twin[weight]

        def close(value: float) -> Any:
            return pytest.approx(value, rel=1e-10)

        assert values.pop(f"ics/l2/{layer}") == close(expected.l2)
        assert values.pop(f"ics/relative_l2/{layer}") == close(expected.l2 / expected.gradient_norm)
        assert values.pop(f"ics/cosine/{layer}") == close(expected.cosine)
        assert values.pop(f"ics/gradient_norm/{layer}") == close(expected.gradient_norm)
        assert values.pop(f"ics/moved_gradient_norm/{layer}") == close(expected.moved_gradient_norm)
        assert values.pop(f"ics/update_norm/{layer}") == close(expected.update_norm)
        assert values.pop(f"ics/control/{layer}") <= 1e-13 * expected.gradient_norm
        assert expected.l2 > 1e-6 * expected.gradient_norm
    assert values == {}


@pytest.mark.parametrize("name", CASES)
def test_order_of_running_is_order_of_registration(name: str) -> None:
    case = CASES[name]
    model, _ = build(case, "batch")
    replay = Replay(model)
    replay.capture(model)
    order = replay.order(batch_at(case, 0)[0])
    assert [layer.name for layer in order] == [layer for layer, _ in weight_layers(model)]
    parameters = [parameter for layer in order for parameter in layer.parameters]
    assert parameters == [parameter for parameter, _ in model.named_parameters()]


@pytest.mark.parametrize("name", CASES)
def test_measure_ics_foresees_what_the_probe_sees(name: str) -> None:
    """The hypothetical step of the function is the step that training then takes."""
    case = CASES[name]
    model, _ = build(case, "batch")
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    foreseen = measure_ics(model, case.loss, batch_at(case, 0), optimizer)
    run = train(
        case,
        "batch",
        lambda model: IcsConfig(control="every").build(model, 1),
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=0.01),
        num_steps=1,
    )
    values = run.measurements[0].values
    for row in foreseen.rows:
        assert values[f"ics/l2/{row.layer}"] == pytest.approx(row.l2, rel=1e-10)
        assert values[f"ics/cosine/{row.layer}"] == pytest.approx(row.cosine, rel=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("name", "norm", "optimizer"),
    [
        ("mlp", "none", torch.optim.SGD),
        ("vgg11", "batch", torch.optim.Adam),
        ("resnet20", "batch", torch.optim.SGD),
        ("deep_linear", "batch", torch.optim.Adam),
    ],
)
def test_training_is_the_same_bits_with_and_without(
    name: str, norm: str, optimizer: Callable[..., torch.optim.Optimizer], dtype: torch.dtype
) -> None:
    def run(probe: Callable[[Chain], Probe] | None) -> Run:
        return train(
            CASES[name],
            norm,
            probe,
            optimizer=lambda parameters: optimizer(parameters, lr=0.01),
            dtype=dtype,
        )

    plain = run(None)
    probed = run(lambda model: IcsConfig(every=1, control="every").build(model, 4))

    assert sorted(probed.measurements) == [0, 1, 2, 3]
    assert probed.losses == plain.losses
    assert torch.equal(probed.random, plain.random)
    for mine, theirs in zip(probed.gradients, plain.gradients, strict=True):
        assert all(torch.equal(mine[key], theirs[key]) for key in theirs)
    state, expected = probed.model.state_dict(), plain.model.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], expected[key]) for key in expected)
    for one, other in zip(probed.model.modules(), plain.model.modules(), strict=True):
        assert one.training == other.training
        assert not one._forward_pre_hooks
        assert not one._forward_hooks
    parameters = (probed.model.parameters(), plain.model.parameters())
    for parameter, twin in zip(*parameters, strict=True):
        assert parameter.requires_grad
        assert torch.equal(gradient_of(parameter), gradient_of(twin))
    moments, expected_moments = probed.optimizer.state_dict(), plain.optimizer.state_dict()
    assert moments["param_groups"] == expected_moments["param_groups"]
    for index, entry in expected_moments["state"].items():
        for key, value in entry.items():
            assert torch.equal(
                torch.as_tensor(moments["state"][index][key]), torch.as_tensor(value)
            )


def test_the_control_is_taken_at_the_first_measurement() -> None:
    config = IcsConfig(steps=(1, 3))
    run = train(CASES["mlp"], "none", lambda model: config.build(model, 4))
    controls = {
        step: [name for name in measurement.values if name.startswith("ics/control/")]
        for step, measurement in run.measurements.items()
    }
    assert controls == {
        1: ["ics/control/linear2", "ics/control/linear3", "ics/control/linear4"],
        3: [],
    }
    never = dataclasses.replace(config, control="never")
    run = train(CASES["mlp"], "none", lambda model: never.build(model, 4))
    assert not [name for m in run.measurements.values() for name in m.values if "control" in name]


def test_float32_stays_near_its_noise_floor() -> None:
    """The probe's own kernels may round differently; the control says by how much."""
    run = train(
        CASES["vgg11"],
        "batch",
        lambda model: IcsConfig(control="every").build(model, 1),
        num_steps=1,
        dtype=torch.float32,
    )
    values = run.measurements[0].values
    exact = train(
        CASES["vgg11"], "batch", lambda model: IcsConfig().build(model, 1), num_steps=1
    ).measurements[0]
    for layer in ("conv2", "conv8", "linear"):
        norm = values[f"ics/gradient_norm/{layer}"]
        assert values[f"ics/control/{layer}"] < 1e-4 * norm
        assert values[f"ics/l2/{layer}"] == pytest.approx(
            exact.values[f"ics/l2/{layer}"], abs=1e-3 * norm
        )


def test_mixed_precision_measures_in_the_training_arithmetic() -> None:
    run = train(
        CASES["vgg11"],
        "batch",
        lambda model: IcsConfig(control="every").build(model, 2),
        num_steps=2,
        dtype=torch.float32,
        arithmetic=lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    )
    for step in (0, 1):
        values = run.measurements[step].values
        for layer, _ in weight_layers(run.model)[1:]:
            norm = values[f"ics/gradient_norm/{layer}"]
            assert 0 <= values[f"ics/control/{layer}"] < 0.1 * norm


def test_a_setting_changed_during_training_is_followed() -> None:
    """A layer put into evaluation mode after the probe was built is measured in that mode."""
    case = CASES["mlp"]

    def freeze(step: int, model: Chain) -> None:
        for module in model.modules():
            if step == 1 and not list(module.children()):
                module.eval()

    run = train(
        case,
        "batch",
        lambda model: IcsConfig(every=1, control="every").build(model, 2),
        num_steps=2,
        before_step=freeze,
    )
    for name, value in run.measurements[1].values.items():
        if name.startswith("ics/control/"):
            layer = name.removeprefix("ics/control/")
            assert value <= 1e-13 * run.measurements[1].values[f"ics/gradient_norm/{layer}"]


def test_a_changed_model_is_refused() -> None:
    model, _ = build(CASES["mlp"], "none")
    replay = Replay(model)
    model.add_module("more", nn.Linear(3, 3).double())
    with pytest.raises(ValueError, match="not those it had when it was copied"):
        replay.capture(model)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (IcsConfig(layers="conv12"), r"probe\.ics\.layers: no layer .* 'conv12'\. Nearest: conv2"),
        (IcsConfig(layers=(2, 12)), r"probe\.ics\.layers: there is no layer 12; .* layers 1 to 9"),
        (IcsConfig(layers="conv1"), r"asks for conv1, the first layer.*Choose from conv2, conv3"),
        (IcsConfig(layers=(1, 5)), r"asks for conv1, the first layer"),
    ],
)
def test_layers_are_checked_before_anything_starts(config: IcsConfig, text: str) -> None:
    with torch.device("meta"):
        model = VGG11Config(width=1 / 16).build(Kit(norm=NORMS["none"]), (3, 32, 32), 3)
    with pytest.raises(ValueError, match=text):
        config.check(model)


def test_layers_that_exist_pass_the_check() -> None:
    with torch.device("meta"):
        model = VGG11Config(width=1 / 16).build(Kit(norm=NORMS["none"]), (3, 32, 32), 3)
    for layers in ("all", "conv*", ("conv2", 9), 5):
        IcsConfig(layers=layers).check(model)


def test_a_network_of_one_layer_is_refused() -> None:
    with pytest.raises(ValueError, match=r"this model has 1 weight layer\. Choose a deeper model"):
        IcsConfig().check(Chain([("linear", nn.Linear(3, 3))]))


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"probe\.ics\.every must be 1 or greater; got -1"):
        IcsConfig(every=-1)
    with pytest.raises(ValueError, match=r"probe\.ics\.every and probe\.ics\.steps exclude"):
        IcsConfig(every=2, steps=(1,))
