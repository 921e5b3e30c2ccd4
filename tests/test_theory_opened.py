"""The theorems on networks that were trained, and the network afterwards."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from support.parts import Parts
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from normlab.init.gaussian import HeConfig
from normlab.models.kit import Kit
from normlab.models.mlp import MLPConfig
from normlab.models.resnet import ResNet20Config
from normlab.norms.batch import BatchConfig
from normlab.norms.ghost import GhostConfig
from normlab.norms.noise import BatchNoisyConfig
from normlab.theory import (
    BatchNormGradients,
    OpenedNetwork,
    backward_formula,
    by_unit,
    gradient_curvature,
    gradient_norm,
    printed_gradient_norm,
    printed_worst_weight_gradient,
    reproduction,
    worst_weight_gradient,
)

TOLERANCE = 1e-10
DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "theory.md"


def mlp() -> nn.Module:
    kit = Kit(norm=BatchConfig(), dropout=0.2)
    return MLPConfig(widths=(32, 24, 16)).build(kit, (3, 8, 8), 5)


def convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.Dropout(0.3),
        nn.Conv2d(8, 6, 3),
        nn.BatchNorm2d(6, affine=False),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(216, 5),
    )


def resnet(*, preactivation: bool) -> nn.Module:
    return ResNet20Config(preactivation=preactivation).build(Kit(norm=BatchConfig()), (3, 8, 8), 5)


NETWORKS = {
    "mlp": (mlp, "norm2"),
    "conv": (convolutions, "1"),
    "conv without gamma": (convolutions, "5"),
    "resnet": (lambda: resnet(preactivation=False), "block4.norm1"),
    "resnet at the sum": (lambda: resnet(preactivation=False), "block1.norm2"),
    "preactivated resnet": (lambda: resnet(preactivation=True), "block2.norm1"),
}


def batch(seed: int = 0) -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(seed)
    inputs = torch.randn(16, 3, 8, 8, generator=source)
    return inputs, torch.randint(5, (16,), generator=source)


@pytest.fixture(scope="module")
def trained() -> dict[str, Parts]:
    """Each network after five steps of SGD with momentum, in float32."""
    models = {}
    with torch.random.fork_rng():
        for name, (build, _) in NETWORKS.items():
            torch.manual_seed(0)
            model = build().train()
            HeConfig().apply(model, None, 0)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
            for step in range(5):
                inputs, targets = batch(step)
                optimizer.zero_grad()
                cross_entropy(model(inputs), targets).backward()
                optimizer.step()
            models[name] = model
    return models


def open_network(trained: dict[str, Parts], name: str, *, reproduce: bool = False) -> OpenedNetwork:
    layer = NETWORKS[name][1]
    return OpenedNetwork(trained[name], layer, *batch(9), cross_entropy, reproduce=reproduce)


def arguments(row: BatchNormGradients, gradient: Tensor) -> dict[str, Any]:
    return {
        "activations": row.activations,
        "output_gradient": gradient,
        "scale": row.scale,
        "eps": row.eps,
        "input_gradient": row.input_gradient,
    }


@pytest.mark.parametrize("name", NETWORKS)
def test_theorem_4_1_on_real_activations(trained: dict[str, Parts], name: str) -> None:
    row = open_network(trained, name).gradients()
    given = arguments(row, row.output_gradient)
    assert row.input_gradient.abs().max() > 0
    assert backward_formula(**given).relative_error.max() < TOLERANCE
    assert gradient_norm(**given).relative_error.max() < TOLERANCE
    assert worst_weight_gradient(**given, radius=3.0).relative_error.max() < TOLERANCE
    assert not printed_gradient_norm(**given).holds().any()
    assert not printed_worst_weight_gradient(**given, radius=1.0).holds().any()
    assert (row.premise.relative_error > 1e-3).all(), "z is not y: the premise is a definition"


@pytest.mark.parametrize("name", NETWORKS)
def test_with_and_without_the_layer_are_one_network(trained: dict[str, Parts], name: str) -> None:
    """Observation 4.3 on the whole network; Theorem 4.1 then compares two real gradients."""
    row = open_network(trained, name, reproduce=True).gradients()
    assert row.loss == pytest.approx(row.loss_without, rel=1e-12)
    assert reproduction(row.activations, eps=row.eps).relative_error.max() < TOLERANCE
    torch.testing.assert_close(row.outputs, row.activations, rtol=1e-12, atol=1e-12)
    assert row.premise.relative_error.max() < TOLERANCE
    sides = gradient_norm(**arguments(row, row.gradient_without))
    assert sides.relative_error.max() < TOLERANCE
    torch.testing.assert_close(sides.gain, torch.ones_like(sides.gain))
    assert (sides.left < sides.squared_norm).all(), "at equal activations BN shrinks the gradient"


@pytest.mark.parametrize("name", ["mlp", "conv"])
def test_theorem_4_2_on_real_activations(trained: dict[str, Parts], name: str) -> None:
    opened = open_network(trained, name)
    sides = gradient_curvature(
        opened.loss_from_outputs,
        opened.activations,
        opened.scale,
        opened.shift,
        eps=opened.eps,
        units=[0, 3],
    )
    size = sides.curvature_term.abs() + sides.moment_term.abs()
    assert (size > 0).all()
    assert ((sides.left - sides.right).abs() <= TOLERANCE * size).all()


def test_gradients_are_those_of_the_step_itself() -> None:
    """Against hooks on the live float64 network: the same dropout masks, running statistics."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model: Parts = convolutions().double().train()
        inputs, targets = batch()
        seen: list[Tensor] = []

        def keep(module: nn.Module, given: tuple[Tensor], handed_on: Tensor) -> Tensor:
            given[0].retain_grad()
            handed_on.retain_grad()
            seen.extend((given[0], handed_on))
            return handed_on.clone()

        row = OpenedNetwork(model, "1", inputs, targets, cross_entropy).gradients()
        model[1].register_forward_hook(keep)
        loss = cross_entropy(model(inputs.double()), targets)
        loss.backward()
    assert row.loss == loss.item()
    y, z = seen
    assert torch.equal(row.activations, by_unit(y))
    assert torch.equal(row.outputs, by_unit(z))
    assert y.grad is not None
    assert z.grad is not None
    torch.testing.assert_close(row.input_gradient, by_unit(y.grad), rtol=1e-12, atol=1e-16)
    torch.testing.assert_close(row.output_gradient, by_unit(z.grad), rtol=1e-12, atol=1e-16)


def test_noise_behind_the_layer_belongs_to_the_rest_of_the_network() -> None:
    model = MLPConfig(widths=(6,)).build(Kit(norm=BatchNoisyConfig()), (4,), 5).train()
    HeConfig().apply(model, None, 0)
    inputs, targets = torch.randn(8, 4, generator=torch.Generator().manual_seed(3)), batch()[1][:8]
    row = OpenedNetwork(model, "norm1.batch", inputs, targets, cross_entropy).gradients()
    sides = gradient_norm(**arguments(row, row.output_gradient))
    assert sides.relative_error.max() < TOLERANCE
    assert sides.left.max() > 0


def test_the_network_without_the_layer_is_the_one_with_an_identity_there() -> None:
    model = mlp().double().train()
    HeConfig().apply(model, None, 0)
    inputs, targets = batch()
    row = OpenedNetwork(model, "norm2", inputs, targets, cross_entropy).gradients()
    bare: Parts = copy.deepcopy(model)
    bare.norm2 = nn.Identity()
    assert row.loss_without == cross_entropy(bare(inputs.double()), targets).item()
    assert row.loss_without != row.loss


@pytest.mark.parametrize("reproduce", [False, True])
def test_the_model_is_as_before(trained: dict[str, Parts], reproduce: bool) -> None:
    model = trained["conv"]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    random = torch.get_rng_state()
    model[3].eval()
    modes = [module.training for module in model.modules()]
    opened = OpenedNetwork(model, "1", *batch(9), cross_entropy, reproduce=reproduce)
    opened.gradients()
    opened.gradients()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter.grad, gradients[name])
        assert parameter.requires_grad
        assert parameter.dtype == torch.float32
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    model[3].train()


def test_a_dead_unit_has_its_gradient_too(trained: dict[str, Parts]) -> None:
    """One value in all samples: eps alone makes its y_hat (0), and amplifies its gradient."""
    model = copy.deepcopy(trained["conv"])
    with torch.no_grad():
        model[0].weight[3] = 0
        model[0].bias[3] = model[1].bias[3] = 1  # on the side of ReLU that lets gradients through
    for reproduce in (False, True):
        row = OpenedNetwork(model, "1", *batch(9), cross_entropy, reproduce=reproduce).gradients()
        assert (row.activations[:, 3] == row.activations[0, 3]).all()
        sides = gradient_norm(**arguments(row, row.output_gradient))
        assert sides.gain[3].item() == pytest.approx((row.scale[3] ** 2 / 1e-5).item())
        assert sides.left[3] > 0
        assert sides.activation_term[3] < 1e-15 * sides.squared_norm[3]
        assert sides.relative_error.max() < TOLERANCE


class Drifting(nn.Module):
    """A layer whose forward changes its own next one, as running statistics do."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("gain", torch.ones(()))

    def forward(self, inputs: Tensor) -> Tensor:
        gain = self.get_buffer("gain").mul_(2)
        return inputs * gain.clone()


def test_every_look_sees_the_same_step(trained: dict[str, Parts]) -> None:
    model = copy.deepcopy(trained["conv"]).insert(3, Drifting())
    opened = OpenedNetwork(model, "1", *batch(9), cross_entropy)
    first = opened.gradients()
    with torch.random.fork_rng():
        torch.manual_seed(77)  # other dropout masks, were they drawn from here
        second = opened.gradients()
    assert torch.equal(first.input_gradient, second.input_gradient)
    assert torch.equal(first.gradient_without, second.gradient_without)
    assert first.loss == second.loss == opened.loss_from_outputs(first.outputs).item()


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.idle = nn.BatchNorm1d(4)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.norm(self.norm(inputs))
        return outputs


def test_layers_of_which_the_theorems_do_not_speak_are_refused() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.LayerNorm(4), nn.Linear(4, 5))
        twice = Twice()
    ghost = MLPConfig(widths=(6,)).build(Kit(norm=GhostConfig(ghost_size=4)), (4,), 5).train()
    HeConfig().apply(ghost, None, 0)
    inputs, targets = (
        torch.randn(8, 4, generator=torch.Generator().manual_seed(3)),
        batch()[1][:8] % 4,
    )
    with pytest.raises(ValueError, match=r"no normalization 'norm9'; it has 1, 2\."):
        OpenedNetwork(model, "norm9", inputs, targets, cross_entropy)
    for network, layer, text in [
        (
            copy.deepcopy(model).eval(),
            "1",
            r"1 \(BatchNorm1d\) does not hand on .*model\.train\(\)",
        ),
        (model, "2", r"2 \(LayerNorm\) does not hand on"),
        (ghost, "norm1", r"norm1 \(GhostBatchNorm\) does not hand on"),
        (twice, "norm", "norm runs 2 times"),
        (twice, "idle", "idle runs 0 times"),
    ]:
        with pytest.raises(ValueError, match=text):
            OpenedNetwork(network, layer, inputs, targets, cross_entropy)
    with pytest.raises(ValueError, match="must be a single number"):
        OpenedNetwork(
            model, "1", inputs, targets, lambda out, to: cross_entropy(out, to, reduction="none")
        )


def test_the_documents_example_runs() -> None:
    example = DOCUMENT.read_text().split("```python\n")[1].split("```")[0]
    with torch.random.fork_rng():
        names: dict[str, Any] = {}
        exec(example, names)
    assert names["largest"] < TOLERANCE
