"""Landscape and curvature on networks small enough to know everything of them."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from support.parts import gradient_of
from support.surface_twin import naive_gradient, naive_lanczos, naive_product
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.parametrizations import weight_norm

from normlab.measures import (
    Curvature,
    Surface,
    measure_curvature,
    measure_gradients,
    measure_ics,
    measure_landscape,
)
from normlab.measures.curvature import lanczos

SIZES = (0.05, 0.1, 0.4)


class Bowl(nn.Module):
    """L = 1/2 w'Aw - b'w, whatever the batch."""

    def __init__(self, num_parameters: int = 7) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        draw = torch.randn(num_parameters, num_parameters, generator=generator).double()
        self.A = (draw + draw.T) / 2
        self.b = torch.randn(num_parameters, generator=generator).double()
        self.w = nn.Parameter(torch.randn(num_parameters, generator=generator).double())

    def forward(self, inputs: Tensor) -> Tensor:
        return self.w @ self.A @ self.w / 2 - self.b @ self.w


def itself(outputs: Tensor, targets: Tensor) -> Tensor:
    return outputs


BOWL_BATCH = (torch.zeros(1), torch.zeros(1))


def sum_square(outputs: Tensor, targets: Tensor) -> Tensor:
    return ((outputs - targets) ** 2).sum()


def convolutional(norm: Callable[[int], nn.Module]) -> nn.Sequential:
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        norm(3),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Linear(48, 4),
        nn.Tanh(),
        nn.Linear(4, 3),
    ).double()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, dtype=torch.float64, generator=generator)
            parameter.copy_(0.4 * noise + (parameter.ndim == 1))
    return model


def images() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(8, 1, 4, 4, dtype=torch.float64, generator=generator)
    return inputs, torch.randint(3, (8,), generator=generator)


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda channels: nn.Identity(),
    "batch": nn.BatchNorm2d,
    "layer": lambda channels: nn.GroupNorm(1, channels),
    "instance": nn.InstanceNorm2d,
}


def test_a_quadratic_has_a_known_landscape() -> None:
    """L(w - ag) = L - a g.g + a^2/2 g.Ag; the gradient changes by a ||Ag||."""
    model = Bowl()
    w = model.w.detach()
    g = model.A @ w - model.b
    value = w @ model.A @ w / 2 - model.b @ w
    found = measure_landscape(model, itself, BOWL_BATCH, [0.4, 0.05, 0.1])
    assert found.step_sizes == SIZES
    assert found.gradient_norm == pytest.approx(g.norm().item(), rel=1e-12)
    for index, a in enumerate(SIZES):
        expected = value - a * g @ g + a**2 / 2 * (g @ model.A @ g)
        assert found.losses[index] == pytest.approx(expected.item(), rel=1e-10)
        change = a * (model.A @ g).norm().item()
        assert found.gradient_changes[index] == pytest.approx(change, rel=1e-10)
        assert found.distances[index] == pytest.approx(a * g.norm().item(), rel=1e-12)
    beta = ((model.A @ g).norm() / g.norm()).item()
    assert found.beta == pytest.approx(beta, rel=1e-10)
    assert found.beta_per_step_size == pytest.approx((model.A @ g).norm().item(), rel=1e-10)
    assert found.slopes == pytest.approx((beta, beta, beta), rel=1e-10)
    assert found.loss == pytest.approx(value.item(), rel=1e-12)
    falls = [-a * (g @ g) + a**2 / 2 * (g @ model.A @ g) for a in SIZES]
    assert found.loss_changes == pytest.approx([fall.item() for fall in falls], rel=1e-9)
    assert found.control == 0


def test_a_quadratic_has_a_known_hessian() -> None:
    model = Bowl()
    g = model.A @ model.w.detach() - model.b
    found = measure_curvature(model, itself, BOWL_BATCH, num_iterations=7, num_trace_probes=400)
    expected = torch.linalg.eigvalsh(model.A).flip(0)
    np.testing.assert_allclose(found.eigenvalues, expected, rtol=1e-10)
    assert max(found.residuals) < 1e-10
    assert found.along_gradient == pytest.approx((g @ model.A @ g / (g @ g)).item(), rel=1e-12)
    assert found.gradient_norm == pytest.approx(g.norm().item(), rel=1e-12)
    assert abs(found.trace - model.A.trace().item()) < 4 * found.trace_error
    spread = math.sqrt(2 * (model.A.square().sum() - model.A.diag().square().sum()).item())
    assert found.trace_error == pytest.approx(spread / 20, rel=0.2)
    assert found.num_products == 7 + 400 + 1


def test_a_linear_regression_has_a_known_hessian() -> None:
    """L = ||XW' - Y||^2: H = 2 X'X for each output."""
    generator = torch.Generator().manual_seed(4)
    inputs = torch.randn(9, 4, dtype=torch.float64, generator=generator)
    targets = torch.randn(9, 2, dtype=torch.float64, generator=generator)
    model = nn.Linear(4, 2, bias=False).double()
    found = measure_curvature(model, sum_square, (inputs, targets), num_iterations=8)
    known = torch.linalg.eigvalsh(2 * inputs.T @ inputs).flip(0)
    # Each eigenvalue is there twice, and a Krylov space meets each eigenspace once.
    assert found.eigenvalues == pytest.approx(known.tolist(), rel=1e-10)
    assert found.num_products == 4 + 10 + 1


@pytest.mark.parametrize("norm", NORMS)
def test_equals_the_whole_hessian_and_the_naive_landscape(norm: str) -> None:
    model, batch = convolutional(NORMS[norm]), images()
    torch.manual_seed(5)
    value, gradient = naive_gradient(model, cross_entropy, batch)
    hessian = np.array(
        [naive_product(model, cross_entropy, batch, row) for row in np.eye(len(gradient))]
    )
    found = measure_curvature(
        model, cross_entropy, batch, num_iterations=len(gradient), num_trace_probes=2
    )
    expected = np.linalg.eigvalsh((hessian + hessian.T) / 2)[::-1]
    assert found.eigenvalues[0] == pytest.approx(expected[0], rel=1e-10)
    assert found.eigenvalues[-1] == pytest.approx(expected[-1], rel=1e-10)
    along = gradient @ hessian @ gradient / (gradient @ gradient)
    assert found.along_gradient == pytest.approx(along, rel=1e-10)
    assert found.gradient_norm == pytest.approx(np.linalg.norm(gradient), rel=1e-10)

    landscape = measure_landscape(model, cross_entropy, batch, SIZES)
    for index, size in enumerate(SIZES):
        there, moved = naive_gradient(model, cross_entropy, batch, gradient, size)
        assert landscape.losses[index] == pytest.approx(there, rel=1e-10)
        change = np.linalg.norm(moved - gradient)
        assert landscape.gradient_changes[index] == pytest.approx(change, rel=1e-10)
    assert landscape.control == 0
    assert value == pytest.approx(measure_landscape(model, cross_entropy, batch, [1e-12]).losses[0])


def test_few_iterations_are_those_of_the_krylov_space() -> None:
    model, batch = convolutional(nn.BatchNorm2d), images()
    torch.manual_seed(5)
    found = measure_curvature(
        model, cross_entropy, batch, num_iterations=6, num_trace_probes=3, seed=11
    )
    generator = torch.Generator().manual_seed(11)
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    start = torch.randn(num_parameters, generator=generator, dtype=torch.float64).numpy()

    def product(vector: np.ndarray) -> np.ndarray:
        return naive_product(model, cross_entropy, batch, vector)

    expected = naive_lanczos(product, start, 6)
    np.testing.assert_allclose(found.eigenvalues, expected, rtol=1e-10, atol=1e-12)
    samples = []
    for _ in range(3):
        signs = 2.0 * torch.randint(0, 2, (num_parameters,), generator=generator).numpy() - 1
        samples.append(signs @ product(signs))
    assert found.trace == pytest.approx(np.mean(samples), rel=1e-10)
    assert found.trace_error == pytest.approx(np.std(samples, ddof=1) / math.sqrt(3), rel=1e-10)


def test_every_ritz_value_is_as_near_an_eigenvalue_as_its_residual_says() -> None:
    generator = torch.Generator().manual_seed(6)
    draw = torch.randn(40, 40, generator=generator, dtype=torch.float64)
    matrix = draw + draw.T
    known = torch.linalg.eigvalsh(matrix)
    values, residuals = lanczos(lambda v: matrix @ v, torch.ones(40, dtype=torch.float64), 12)
    assert values == tuple(sorted(values, reverse=True))
    for value, residual in zip(values, residuals, strict=True):
        assert (known - value).abs().min() <= residual + 1e-12
    assert known[0] <= values[-1]
    assert values[0] <= known[-1]
    whole, _ = lanczos(lambda v: matrix @ v, torch.ones(40, dtype=torch.float64), 99)
    np.testing.assert_allclose(whole, known.flip(0), rtol=1e-10)


def test_a_direction_of_no_curvature_ends_the_iteration() -> None:
    assert lanczos(torch.zeros_like, torch.ones(5), 4) == ((0.0,), (0.0,))


def test_a_random_direction_is_isotropic_and_as_long_as_the_gradient() -> None:
    model = Bowl(400)
    g = (model.A @ model.w.detach() - model.b).norm().item()
    slopes = []
    for seed in range(100, 108):
        found = measure_landscape(model, itself, BOWL_BATCH, [1e-3], direction="random", seed=seed)
        # ||A d|| / ||d|| is nearly ||A||_F / sqrt(400) in every direction drawn at random.
        slopes.append(found.beta)
        assert found.gradient_norm == pytest.approx(g, rel=1e-12)
    expected = (model.A.norm() / 20).item()
    assert slopes == pytest.approx([expected] * 8, rel=0.15)
    assert len(set(slopes)) == 8


def test_what_is_not_finite_counts_as_infinite() -> None:
    class Cliff(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.tensor([1.0]))

        def forward(self, inputs: Tensor) -> Tensor:
            return self.w.log().sum()

    found = measure_landscape(Cliff(), itself, BOWL_BATCH, [0.5, 2.0])
    assert list(found.losses) == [pytest.approx(math.log(0.5)), math.inf]
    assert found.gradient_changes[0] == 1.0
    assert found.losses[1] == math.inf


def test_nothing_is_changed() -> None:
    model, batch = convolutional(nn.BatchNorm2d), images()
    cross_entropy(model(batch[0]), batch[1]).backward()
    state, gradients = copy.deepcopy(
        (model.state_dict(), [gradient_of(p) for p in model.parameters()])
    )
    random = torch.get_rng_state()
    measure_landscape(model, cross_entropy, batch, SIZES, direction="random")
    measure_curvature(model, cross_entropy, batch, num_iterations=3)
    assert torch.equal(torch.get_rng_state(), random)
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name])
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        assert torch.equal(gradient_of(parameter), gradient)
        assert parameter.requires_grad


def test_frozen_parameters_stay_where_they_are() -> None:
    model, batch = convolutional(nn.BatchNorm2d), images()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith("7."))
    torch.manual_seed(5)
    found = measure_curvature(model, cross_entropy, batch, num_iterations=99)
    assert len(found.eigenvalues) <= 4 * 3 + 3
    assert found.eigenvalues[-1] > -1e-12  # cross-entropy is convex in the last layer
    landscape = measure_landscape(model, cross_entropy, batch, SIZES)
    assert landscape.gradient_norm == pytest.approx(found.gradient_norm, rel=1e-12)


@pytest.mark.parametrize(
    "measure", [partial(measure_landscape, step_sizes=SIZES), measure_curvature]
)
def test_bad_input_is_refused(measure: Callable[..., object]) -> None:
    model, batch = convolutional(nn.BatchNorm2d), images()
    with pytest.raises(ValueError, match=r"single number; it has shape \(8, 3\)\. Reduce it"):
        measure(model, lambda outputs, targets: outputs, batch)
    with pytest.raises(ValueError, match="depends on no parameter that may move"):
        measure(model, lambda outputs, targets: outputs.detach().sum(), batch)
    with pytest.raises(ValueError, match="every parameter of the model is frozen"):
        measure(model.requires_grad_(False), cross_entropy, batch)


@pytest.mark.parametrize("sizes", [[], [0.0], [-1.0, 1.0], [math.inf], [math.nan]])
def test_step_sizes_lie_ahead(sizes: list[float]) -> None:
    with pytest.raises(ValueError, match="step sizes must be greater than 0 and finite"):
        measure_landscape(Bowl(), itself, BOWL_BATCH, sizes)


def test_a_changed_model_is_refused() -> None:
    model = convolutional(nn.BatchNorm2d)
    surface = Surface(model)
    model.append(nn.Linear(3, 3).double())
    with pytest.raises(ValueError, match="not those it had when it was copied"):
        surface.capture(model)


class Complex(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(4, 3, dtype=torch.complex128)
        self.b = nn.Linear(3, 3, dtype=torch.complex128)
        self.c = nn.Linear(3, 3, dtype=torch.float64)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.c(self.b(self.a(inputs.to(torch.complex128))).abs())
        return outputs


class Paired(nn.Module):
    """The same function of pairs of real numbers."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.names = [name for name, _ in model.named_parameters()]
        self.pairs = nn.ParameterList(
            torch.view_as_real(p.detach()).clone() if p.is_complex() else p.detach().clone()
            for p in model.parameters()
        )
        self.model = [model]

    def forward(self, inputs: Tensor) -> Tensor:
        values = [torch.view_as_complex(p) if p.shape[-1] == 2 else p for p in self.pairs]
        found: Tensor = torch.func.functional_call(
            self.model[0], dict(zip(self.names, values, strict=True)), (inputs,)
        )
        return found


def test_complex_parameters_are_pairs_of_real_ones() -> None:
    torch.manual_seed(0)
    model = Complex()
    inputs, targets = torch.randn(6, 4, dtype=torch.float64), torch.randint(3, (6,))
    batch = (inputs, targets)
    twin = Paired(model)
    for measure in (
        partial(measure_curvature, num_iterations=60),
        partial(measure_landscape, step_sizes=SIZES),
        partial(measure_landscape, step_sizes=SIZES, direction="random"),
    ):
        found, expected = measure(model, cross_entropy, batch), measure(twin, cross_entropy, batch)
        for name in ("gradient_norm", "losses", "gradient_changes", "along_gradient", "control"):
            if hasattr(expected, name):
                numbers = pytest.approx(getattr(expected, name), rel=1e-9)
                assert getattr(found, name) == numbers, name
        if isinstance(found, Curvature) and isinstance(expected, Curvature):
            assert found.eigenvalues[0] == pytest.approx(expected.eigenvalues[0], rel=1e-9)
    gradients = {row.layer: row for row in measure_gradients(model, cross_entropy, [batch])}
    cross_entropy(model(inputs), targets).backward()
    size = gradient_of(model.b.weight).abs().square().sum().sqrt().item()
    assert gradients["b"].norm == pytest.approx(size, rel=1e-12)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    row = measure_ics(model, cross_entropy, batch, optimizer)["b"]
    assert row.gradient_norm == pytest.approx(size, rel=1e-12)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    own = gradient_of(model.b.weight).clone()
    with torch.no_grad():
        for name in ("a.weight", "a.bias"):
            p = model.get_parameter(name)
            p.copy_(before[name] - 0.1 * gradient_of(p))
    model.zero_grad()
    cross_entropy(model(inputs), targets).backward()
    there = gradient_of(model.b.weight)
    assert row.l2 == pytest.approx((own - there).abs().square().sum().sqrt().item(), rel=1e-10)
    product = (own.conj() * there).sum().real.item()
    assert row.cosine == pytest.approx(product / (size * there.norm().item()), rel=1e-10)


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.v = nn.Linear(4, 4).double(), nn.Linear(4, 3).double()

    def forward(self, inputs: Tensor) -> Tensor:
        q = self.q(inputs)
        if self.training:
            return nn.functional.scaled_dot_product_attention(q, inputs, self.v(inputs)).mean(1)
        shares = torch.softmax(q @ inputs.transpose(1, 2) / 2, -1)
        outputs: Tensor = (shares @ self.v(inputs)).mean(1)
        return outputs


def test_curvature_runs_through_fused_attention() -> None:
    torch.manual_seed(0)
    batch = (torch.randn(5, 6, 4).double(), torch.randint(3, (5,)))
    model = Attending()
    fused = measure_curvature(model, cross_entropy, batch, num_iterations=8)
    plain = measure_curvature(model.eval(), cross_entropy, batch, num_iterations=8)
    assert fused.eigenvalues == pytest.approx(plain.eigenvalues, rel=1e-8)


def test_curvature_of_a_normalized_weight_is_that_of_its_formula() -> None:
    """torch's fused second derivative of it is wrong."""

    class Formula(nn.Module):
        def __init__(self, layer: nn.Module) -> None:
            super().__init__()
            self.bias, self.g, self.v = (nn.Parameter(p.detach()) for p in layer.parameters())

        def forward(self, inputs: Tensor) -> Tensor:
            weight = self.v * (self.g / self.v.norm(dim=1, keepdim=True))
            return nn.functional.linear(inputs, weight, self.bias)

    torch.manual_seed(0)
    layer = weight_norm(nn.Linear(4, 4)).double()
    tail = nn.Linear(4, 3).double()
    batch = (torch.randn(6, 4).double(), torch.randint(3, (6,)))
    fused = nn.Sequential(layer, nn.Tanh(), tail)
    plain = nn.Sequential(Formula(layer), nn.Tanh(), tail)
    found = measure_curvature(fused, cross_entropy, batch, num_iterations=40)
    expected = measure_curvature(plain, cross_entropy, batch, num_iterations=40)
    for place in (0, -1):
        value = pytest.approx(expected.eigenvalues[place], rel=1e-9)
        assert found.eigenvalues[place] == value


def test_an_operation_without_a_second_derivative_is_named() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Hardsigmoid(inplace=True), nn.Linear(4, 3))
    batch = (torch.randn(6, 4), torch.randint(3, (6,)))
    text = r"an operation in module 1 \(Hardsigmoid\) has none: derivative for aten::hardsigmoid"
    with pytest.raises(ValueError, match=text):
        measure_curvature(model, cross_entropy, batch)


def test_products_that_are_not_symmetric_are_told() -> None:
    matrix = torch.randn(9, 9, generator=torch.Generator().manual_seed(0)).double()
    start = torch.ones(9, dtype=torch.float64)
    with pytest.warns(UserWarning, match="products with the Hessian are not symmetric"):
        lanczos(lambda vector: matrix @ vector, start, 4)


def test_sparse_gradients_count_like_dense_ones() -> None:
    class Words(nn.Module):
        def __init__(self, sparse: bool) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.words = nn.Embedding(9, 4, sparse=sparse)
            self.head = nn.Linear(4, 3)

        def forward(self, ids: Tensor) -> Tensor:
            outputs: Tensor = self.head(self.words(ids).mean(1))
            return outputs

    batch = (torch.randint(9, (6, 5)), torch.randint(3, (6,)))
    sparse, dense = Words(sparse=True).double(), Words(sparse=False).double()
    found = measure_landscape(sparse, cross_entropy, batch, SIZES)
    expected = measure_landscape(dense, cross_entropy, batch, SIZES)
    assert found.losses == pytest.approx(expected.losses, rel=1e-12)
    assert found.gradient_changes == pytest.approx(expected.gradient_changes, rel=1e-10)
    rows = measure_gradients(sparse, cross_entropy, [batch, batch])
    twins = measure_gradients(dense, cross_entropy, [batch, batch])
    assert [row.norm for row in rows] == pytest.approx([row.norm for row in twins], rel=1e-12)


def test_words_and_numbers_are_checked() -> None:
    model, batch = convolutional(nn.BatchNorm2d), images()
    wrong: Any
    for wrong in ("rand", None, 1):
        with pytest.raises(ValueError, match=r"direction is one of 'gradient', 'random'; got "):
            measure_landscape(model, cross_entropy, batch, SIZES, direction=wrong)
    with pytest.raises(ValueError, match=r"step sizes must be .* got \[0\.1, nan, 0\.2\]"):
        measure_landscape(model, cross_entropy, batch, [0.1, math.nan, 0.2])
    for wrong in (0, -1, 1.5, True, math.nan):
        with pytest.raises(ValueError, match=r"num_iterations must be a whole number of 1 or"):
            measure_curvature(model, cross_entropy, batch, num_iterations=wrong)
    for wrong in (-1, 2**63, 0.5, None, True):
        for measure in (measure_curvature, partial(measure_landscape, step_sizes=SIZES)):
            with pytest.raises(ValueError, match=r"seed must be a whole number from 0 to 2\^63"):
                measure(model, cross_entropy, batch, seed=wrong)
    with pytest.raises(ValueError, match=r"num_trace_probes must be a whole number of 0 or"):
        measure_curvature(model, cross_entropy, batch, num_trace_probes=-1)
    for loss, text in [
        (lambda o, t: cross_entropy(o, t).item(), "got a float: return the loss itself"),
        (lambda o, t: (cross_entropy(o, t), 0), "got a tuple: return the loss alone"),
        (lambda o, t: cross_entropy(o, t) * 1j, "it is complex"),
    ]:
        for measure in (measure_curvature, partial(measure_landscape, step_sizes=SIZES)):
            with pytest.raises(ValueError, match=text):
                measure(model, loss, batch)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=text):
            measure_gradients(model, loss, [batch])  # type: ignore[arg-type]
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with pytest.raises(ValueError, match=text):
            measure_ics(model, loss, batch, optimizer)  # type: ignore[arg-type]
    wrong = "weight"
    with pytest.raises(ValueError, match=r"moved is one of 'all', 'weights'; got 'weight'"):
        measure_ics(model, cross_entropy, batch, optimizer, moved=wrong)
    for choose in (
        lambda layers: measure_ics(model, cross_entropy, batch, optimizer, layers=layers),
        lambda layers: measure_gradients(model, cross_entropy, [batch], layers=layers),
    ):
        with pytest.raises(ValueError, match="layers names nothing to measure"):
            choose([])
        with pytest.raises(ValueError, match="layers takes a list of names"):
            choose("5")
