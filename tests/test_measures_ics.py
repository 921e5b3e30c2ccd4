"""Internal covariate shift on small networks: closed form, naive twin, no side effects."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from support.ics_twin import naive_ics
from support.parts import gradient_of
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, relu

from normlab.measures import CovariateShift, measure_ics

BATCH = 6


def mean_square(outputs: Tensor, targets: Tensor) -> Tensor:
    return ((outputs - targets) ** 2).mean()


def sum_square(outputs: Tensor, targets: Tensor) -> Tensor:
    return ((outputs - targets) ** 2).sum()


class Block(nn.Module):
    """A residual block that begins with an in-place activation."""

    def __init__(self, channels: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm1 = norm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = norm(channels)
        self.shortcut = nn.Conv2d(channels, channels, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        inputs = inputs.relu_()
        hidden: Tensor = self.norm2(self.conv2(relu(self.norm1(self.conv1(inputs)))))
        shortcut: Tensor = self.shortcut(inputs)
        return hidden + shortcut


class Whole(nn.Module):
    """A module with a forward of its own, which cannot be cut into stages."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.body(inputs)
        return outputs


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda channels: nn.Identity(),
    "batch": nn.BatchNorm2d,
    "layer": lambda channels: nn.GroupNorm(1, channels),
    "group": lambda channels: nn.GroupNorm(2, channels),
}


def vgg(norm: Callable[[int], nn.Module]) -> nn.Module:
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), norm(4), nn.ReLU(inplace=True)),
        nn.MaxPool2d(2),
        nn.Dropout(0.2),
        nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), norm(6), nn.ReLU(), nn.AvgPool2d(4)),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(6, 5),
        nn.Tanh(),
        nn.Linear(5, 3),
    )


def resnet(norm: Callable[[int], nn.Module]) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        Block(4, norm),
        nn.Dropout(0.3),
        Block(4, norm),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )


def whole_vgg(norm: Callable[[int], nn.Module]) -> nn.Module:
    return Whole(vgg(norm))


def images() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(BATCH, 3, 8, 8, dtype=torch.float64, generator=generator)
    return inputs, torch.randint(3, (BATCH,), generator=generator)


def vectors() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(BATCH, 4, dtype=torch.float64, generator=generator)
    return inputs, torch.randn(BATCH, 2, dtype=torch.float64, generator=generator)


def seeded(model: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(3)
    model = model.double()
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, dtype=torch.float64, generator=generator)
            parameter.copy_(0.4 * noise + (parameter.ndim == 1))
    return model


def stepped(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    batch: tuple[Tensor, Tensor],
    optimizer: torch.optim.Optimizer,
) -> dict[str, Tensor]:
    """theta_{t+1} of the step, taken on copies."""
    random = torch.get_rng_state()
    moved, stepper = copy.deepcopy((model, optimizer))
    loss(moved(batch[0]), batch[1]).backward()
    stepper.step()
    torch.set_rng_state(random)
    return {name: parameter.detach() for name, parameter in moved.named_parameters()}


def assert_equals_twin(
    shift: CovariateShift,
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    batch: tuple[Tensor, Tensor],
    after: dict[str, Tensor],
    order: list[str],
) -> None:
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    weights = [name for name in order if before[name].ndim >= 2]
    twin = naive_ics(model, loss, batch, before, after, weights, order)
    assert [row.layer + ".weight" for row in shift.rows] == weights[1:]
    for row in shift.rows:
        expected = twin[row.layer + ".weight"]
        assert row.l2 == pytest.approx(expected.l2, rel=1e-10)
        assert row.l2 > 1e-6
        assert row.relative_l2 == pytest.approx(expected.l2 / expected.gradient_norm, rel=1e-10)
        assert row.cosine == pytest.approx(expected.cosine, rel=1e-10)
        assert row.gradient_norm == pytest.approx(expected.gradient_norm, rel=1e-10)
        assert row.moved_gradient_norm == pytest.approx(expected.moved_gradient_norm, rel=1e-10)
        assert row.update_norm == pytest.approx(expected.update_norm, rel=1e-10)
        assert row.control <= 1e-14 * row.gradient_norm


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("build", [vgg, resnet, whole_vgg])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_equals_the_naive_twin(
    build: Callable[[Callable[[int], nn.Module]], nn.Module], norm: str, optimizer: str
) -> None:
    model, batch = seeded(build(NORMS[norm])), images()
    parameters = model.parameters()
    stepper: torch.optim.Optimizer = (
        torch.optim.SGD(parameters, lr=0.3, momentum=0.9)
        if optimizer == "sgd"
        else torch.optim.Adam(parameters, lr=0.05)
    )
    torch.manual_seed(4)
    cross_entropy(model(batch[0]), batch[1]).backward()
    stepper.step()  # momenta and running statistics that are not their first values
    stepper.zero_grad()
    shift = measure_ics(model, cross_entropy, batch, stepper)
    after = stepped(model, cross_entropy, batch, stepper)
    order = [name for name, _ in model.named_parameters()]
    assert_equals_twin(shift, model, cross_entropy, batch, after, order)


def test_running_statistics_are_those_of_the_forward() -> None:
    """A layer that normalizes with its running mean gives the same output in every pass."""

    class Lagging(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mean: Tensor
            self.register_buffer("mean", torch.zeros(4, dtype=torch.float64))

        def forward(self, inputs: Tensor) -> Tensor:
            outputs = inputs - self.mean
            self.mean = self.mean * 0.5 + inputs.detach().mean(0) * 0.5
            return outputs

    model = seeded(nn.Sequential(nn.Linear(4, 4), Lagging(), nn.Linear(4, 4), nn.Linear(4, 2)))
    batch = vectors()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torch.no_grad():
        model(batch[0])
    shift = measure_ics(model, mean_square, batch, optimizer)
    after = stepped(model, mean_square, batch, optimizer)
    order = [name for name, _ in model.named_parameters()]
    assert_equals_twin(shift, model, mean_square, batch, after, order)


def test_two_linear_layers_have_a_closed_form() -> None:
    """L = ||X A' B' - Y||^2: dL/dB = 2 R' X A' with R = X A' B' - Y, before and after A's step."""
    model = seeded(nn.Sequential(nn.Linear(4, 3, bias=False), nn.Linear(3, 2, bias=False)))
    inputs, targets = vectors()
    A, B = (parameter.detach() for parameter in model.parameters())
    lr = 0.01
    residual = inputs @ A.T @ B.T - targets
    gradient_A = 2 * B.T @ residual.T @ inputs
    gradient_B = 2 * residual.T @ inputs @ A.T
    moved_A = A - lr * gradient_A
    moved_B = 2 * (inputs @ moved_A.T @ B.T - targets).T @ inputs @ moved_A.T

    shift = measure_ics(
        model, sum_square, (inputs, targets), torch.optim.SGD(model.parameters(), lr=lr)
    )
    (row,) = shift.rows
    assert (row.layer, row.index) == ("1", 2)
    assert row.l2 == pytest.approx((gradient_B - moved_B).norm().item(), rel=1e-12)
    cosine = (gradient_B * moved_B).sum() / (gradient_B.norm() * moved_B.norm())
    assert row.cosine == pytest.approx(cosine.item(), rel=1e-12)
    assert row.gradient_norm == pytest.approx(gradient_B.norm().item(), rel=1e-12)
    assert row.moved_gradient_norm == pytest.approx(moved_B.norm().item(), rel=1e-12)
    assert row.update_norm == pytest.approx(lr * gradient_B.norm().item(), rel=1e-10)
    assert shift["1"] is row


def test_layers_that_do_not_move_shift_nothing() -> None:
    model = seeded(vgg(nn.BatchNorm2d))
    optimizer = torch.optim.SGD([model.get_parameter("6.weight")], lr=0.1)
    shift = measure_ics(model, cross_entropy, images(), optimizer)
    row = shift["6"]
    assert (row.l2, row.relative_l2, row.cosine, row.control) == (0.0, 0.0, 1.0, 0.0)
    assert row.update_norm > 0
    assert shift["8"].l2 > 0


def test_without_control_it_is_missing() -> None:
    model = seeded(vgg(nn.BatchNorm2d))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    shift = measure_ics(model, cross_entropy, images(), optimizer, control=False)
    assert all(math.isnan(row.control) for row in shift.rows)


def test_a_zero_gradient_has_no_cosine() -> None:
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    (row,) = measure_ics(model, mean_square, (torch.ones(2, 2), torch.ones(2, 2)), optimizer).rows
    assert (row.l2, row.gradient_norm, row.update_norm) == (0.0, 0.0, 0.0)
    assert math.isnan(row.cosine)
    assert math.isnan(row.relative_l2)


def test_chosen_layers_equal_those_of_all() -> None:
    model, batch = seeded(vgg(nn.BatchNorm2d)), images()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    every = measure_ics(model, cross_entropy, batch, optimizer)
    some = measure_ics(model, cross_entropy, batch, optimizer, layers=["8", "3.0"])
    assert some.rows == (every["3.0"], every["8"])


def test_nothing_is_changed() -> None:
    model, batch = seeded(vgg(nn.BatchNorm2d)), images()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    cross_entropy(model(batch[0]), batch[1]).backward()
    optimizer.step()
    model.get_submodule("5").eval()
    inputs, state, moments = copy.deepcopy((batch[0], model.state_dict(), optimizer.state_dict()))
    gradients = [gradient_of(parameter).clone() for parameter in model.parameters()]
    random = torch.get_rng_state()

    measure_ics(model, cross_entropy, batch, optimizer)

    assert torch.equal(torch.get_rng_state(), random)
    assert torch.equal(batch[0], inputs)
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        assert torch.equal(gradient_of(parameter), gradient)
        assert parameter.requires_grad
    for index, entry in optimizer.state_dict()["state"].items():
        for name, value in entry.items():
            assert torch.equal(value, moments["state"][index][name])
    assert [module.training for module in model.children()] == [True] * 5 + [False] + [True] * 3


def linear_pair() -> tuple[nn.Sequential, tuple[Tensor, Tensor], torch.optim.Optimizer]:
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)).double()
    return model, vectors(), torch.optim.SGD(model.parameters(), lr=0.1)


def test_a_frozen_layer_is_refused() -> None:
    model, batch, optimizer = linear_pair()
    model[1].weight.requires_grad_(False)
    with pytest.raises(ValueError, match=r"layer 1 is frozen .*; unfreeze it, or name the layers"):
        measure_ics(model, mean_square, batch, optimizer)


def test_a_layer_without_gradient_is_refused() -> None:
    class Detached(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 2), nn.Linear(4, 2)

        def forward(self, inputs: Tensor) -> Tensor:
            first: Tensor = self.first(inputs)
            second: Tensor = self.second(inputs)
            return first + second.detach()

    model = Detached().double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="layer second has no gradient after the backward pass"):
        measure_ics(model, mean_square, vectors(), optimizer)


def test_a_loss_of_many_numbers_is_refused() -> None:
    model, batch, optimizer = linear_pair()
    with pytest.raises(ValueError, match=r"single number; it has shape \(6, 2\)\. Reduce it"):
        measure_ics(model, lambda outputs, targets: outputs - targets, batch, optimizer)


def test_an_optimizer_of_another_model_is_refused() -> None:
    model, batch, _ = linear_pair()
    other = torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1)
    with pytest.raises(ValueError, match="the optimizer holds none of the model's parameters"):
        measure_ics(model, mean_square, batch, other)
