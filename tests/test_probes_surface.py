"""The probes of the landscape and of curvature in a training, and ICS over replicates."""

from __future__ import annotations

import copy
import statistics
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from support.ics_twin import naive_ics
from support.parts import gradient_of
from support.runs import Trained, assert_same_bits, prepared, state_of, tiny, trained
from support.surface_twin import naive_gradient, naive_lanczos, naive_product
from torch import nn

from normlab.metrics import describe
from normlab.models.chain import weight_layers
from normlab.probes.base import Measurement, StepView
from normlab.probes.landscape import LandscapeConfig
from normlab.randomness import derive_seed, generator
from normlab.training.setup import penalty_on, training_batches

MODELS = {
    "mlp": ("model=mlp", "model.widths=[12,6]", "dropout=0.2"),
    "vgg11": ("model=vgg11", "model.width=0.0625", "dropout=0.2"),
    "resnet20": ("model=resnet20", "data.resize=8"),
    "deep_linear": (
        "model=deep_linear",
        "model.depth=4",
        "data=gaussian",
        "data.num_samples=80",
        "optimizer.lr=1e-5",
    ),
}
NORMS = {
    "none": ("norm=none",),
    "batch": ("norm=batch",),
    "layer": ("norm=layer",),
    "group": ("norm=group", "norm.groups=2"),
    "batch_noisy": ("norm=batch_noisy",),
}
STEP = 2
PROBES = (
    "probe=[landscape,curvature]",
    f"probe.landscape.steps=[{STEP}]",
    "probe.landscape.num_points=3",
    f"probe.curvature.steps=[{STEP}]",
    "probe.curvature.num_iterations=4",
    "probe.curvature.num_trace_probes=2",
)


def words_of(model: str, norm: str) -> tuple[str, ...]:
    words = ("optimizer.lr=0.01", *MODELS[model], *NORMS[norm], "precision=float64")
    return (*words, "data.limit=80", "batch_size=20")


def at_step(*words: str) -> Trained:
    """A run that has come to STEP and would take it next."""
    run = trained(*words, f"steps={STEP}")
    run.setup.clock.step = STEP
    return run


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", MODELS)
def test_every_number_is_the_naive_twin_s(name: str, norm: str) -> None:
    words = words_of(name, norm)
    probed = trained(*words, *PROBES, f"steps={STEP + 1}")
    now = at_step(*words)
    model, loss, batch = now.setup.model, now.setup.loss, now.setup.batches.at(STEP)
    lr = now.config.optimizer.lr
    _, gradient = naive_gradient(model, loss, batch)
    sizes = np.geomspace(0.5 * lr, 4 * lr, 3)
    points = [naive_gradient(model, loss, batch, gradient, size) for size in sizes]
    losses = np.array([value for value, _ in points])
    changes = np.array([np.linalg.norm(moved - gradient) for _, moved in points])
    norm_of_gradient = np.linalg.norm(gradient)

    def product(vector: np.ndarray) -> np.ndarray:
        return naive_product(model, loss, batch, vector)

    source = generator(0, "curvature", STEP)
    size = len(gradient)
    start = torch.randn(size, generator=source, dtype=torch.float64).numpy()
    values = naive_lanczos(product, start, 4)
    signs = [2.0 * torch.randint(0, 2, (size,), generator=source).numpy() - 1 for _ in range(2)]
    samples = [each @ product(each) for each in signs]
    expected = {
        "landscape/loss_min": losses.min(),
        "landscape/loss_max": losses.max(),
        "landscape/gradient_change_min": changes.min(),
        "landscape/gradient_change_max": changes.max(),
        "landscape/beta": (changes / (sizes * norm_of_gradient)).max(),
        "landscape/beta_per_step_size": (changes / sizes).max(),
        "landscape/two_over_lr": 2 / lr,
        "landscape/gradient_norm": norm_of_gradient,
        "landscape/control": 0.0,
        "curvature/largest_eigenvalue": values[0],
        "curvature/smallest_eigenvalue": values[-1],
        "curvature/trace": np.mean(samples),
        "curvature/trace_error": np.std(samples, ddof=1) / np.sqrt(2),
        "curvature/along_gradient": gradient @ product(gradient) / norm_of_gradient**2,
    }
    found = {
        metric: value
        for metric, value in probed.rows.by_step[STEP].items()
        if metric.startswith(("landscape/", "curvature/"))
    }
    residual = found.pop("curvature/largest_eigenvalue_residual")
    assert residual > 0
    assert found.keys() == expected.keys()
    largest = max(abs(values))
    for metric, value in expected.items():
        # Eigenvalues and traces are sums of terms as large as the largest eigenvalue.
        scale = 1e-10 * largest if metric.startswith("curvature/") else 1e-13
        assert found[metric] == pytest.approx(value, rel=1e-10, abs=scale), metric
        describe(metric)
    arrays = probed.rows.arrays[STEP]
    curves = np.array([sizes, sizes * norm_of_gradient, losses, changes])
    np.testing.assert_allclose(arrays["landscape/curves"], curves, rtol=1e-9, atol=1e-13)
    eigenvalues, residuals = arrays["curvature/eigenvalues"]
    np.testing.assert_allclose(eigenvalues, values, rtol=1e-10, atol=1e-10 * largest)
    assert residuals[0] == residual


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("direction", ["gradient", "random"])
def test_points_of_a_curve_are_the_naive_twin_s_and_move_nothing_else(
    norm: str, direction: str
) -> None:
    """Each point under its step in learning rates; what is over the range stays bit for bit."""
    words = (*words_of("mlp", norm), f"probe.landscape.direction={direction}")
    shown = trained(
        *words,
        *PROBES,
        "probe.landscape.curve=[0.001,4]",
        "probe.landscape.curve_points=5",
        f"steps={STEP + 1}",
    )
    plain = trained(*words, *PROBES, f"steps={STEP + 1}")
    row = shown.rows.by_step[STEP]
    curve = {name: row[name] for name in row if name.startswith("landscape/curve/")}
    assert {k: v for k, v in row.items() if k not in curve and "seconds" not in k} == {
        k: v for k, v in plain.rows.by_step[STEP].items() if "seconds" not in k
    }
    np.testing.assert_array_equal(
        shown.rows.arrays[STEP]["landscape/curves"], plain.rows.arrays[STEP]["landscape/curves"]
    )
    assert len(curve) == 4 * 5
    now = at_step(*words_of("mlp", norm))
    model, loss, batch = now.setup.model, now.setup.loss, now.setup.batches.at(STEP)
    value, gradient = naive_gradient(model, loss, batch)
    path, length = gradient, np.linalg.norm(gradient)
    if direction == "random":
        drawn = random_numbers(model)
        path = drawn * (length / np.linalg.norm(drawn))
    places = ("0.001", "0.00795", "0.0632", "0.503", "4")
    for place, multiple in zip(places, np.geomspace(0.001, 4, 5), strict=True):
        size = multiple * now.config.optimizer.lr
        there, moved = naive_gradient(model, loss, batch, path, size)
        change = np.linalg.norm(moved - gradient)
        expected = {
            "distance": size * length,
            "loss_change": there - value,
            "gradient_change": change,
            "beta": change / (size * length),
        }
        for what, number in expected.items():
            name = f"landscape/curve/{what}/{place}"
            assert curve[name] == pytest.approx(number, rel=1e-8, abs=1e-14), name
            assert describe(name)[1] == place


def random_numbers(model: nn.Module) -> np.ndarray:
    """The draws of the random direction at STEP, for all parameters in a row."""
    return np.concatenate(
        [
            torch.randn(
                parameter.shape,
                generator=generator(0, "landscape", STEP, name),
                dtype=torch.float64,
            )
            .numpy()
            .ravel()
            for name, parameter in model.named_parameters()
        ]
    )


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"curve": (4.0, 0.001)}, "curve is the least and the greatest step in learning rates"),
        ({"curve": (0.0, 1.0)}, "curve must be"),
        ({"curve": (1.0, 1.01)}, r"13 points in \[1, 1.01\] lie closer"),
    ],
)
def test_a_curve_that_has_no_order_is_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        LandscapeConfig(**settings)


def test_how_many_points_a_curve_has_counts_only_where_there_is_one() -> None:
    assert LandscapeConfig(curve_points=7).canonical() == LandscapeConfig().canonical()
    assert LandscapeConfig(curve=(0.1, 1.0), curve_points=7).canonical().curve_points == 7


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_a_random_direction_is_drawn_anew_at_each_step(norm: str) -> None:
    words = (*words_of("mlp", norm), "steps=3")
    run = trained(
        *words, "probe=[landscape]", "probe.landscape.direction=random", "probe.landscape.every=1"
    )
    now = at_step(*words_of("mlp", norm))
    batch = now.setup.batches.at(STEP)
    _, gradient = naive_gradient(now.setup.model, now.setup.loss, batch)
    drawn = random_numbers(now.setup.model)
    direction = drawn * (np.linalg.norm(gradient) / np.linalg.norm(drawn))
    curves = run.rows.arrays[STEP]["landscape/curves"]
    for size, distance, loss, change in curves.T:
        value, there = naive_gradient(now.setup.model, now.setup.loss, batch, direction, size)
        assert loss == pytest.approx(value, rel=1e-10)
        assert change == pytest.approx(np.linalg.norm(there - gradient), rel=1e-10)
        assert distance == pytest.approx(size * np.linalg.norm(gradient), rel=1e-10)
    assert len(set(run.rows.of("landscape/beta").values())) == 3


def test_curvature_over_replicates() -> None:
    words = words_of("mlp", "batch")
    run = trained(*words, *PROBES, "probe.curvature.replicates=3", f"steps={STEP + 1}")
    now = at_step(*words)
    others = training_batches(now.config, now.dataset, derive_seed(0, "replicates", STEP))
    batches = [now.setup.batches.at(STEP), others.at(0), others.at(1)]
    source = generator(0, "curvature", STEP)
    size = sum(parameter.numel() for parameter in now.setup.model.parameters())
    start = torch.randn(size, generator=source, dtype=torch.float64).numpy()
    largest = [
        naive_lanczos(
            partial(naive_product, now.setup.model, now.setup.loss, batch),
            start,
            4,
        )[0]
        for batch in batches
    ]
    row = run.rows.by_step[STEP]
    assert row["curvature/largest_eigenvalue"] == pytest.approx(largest[0], rel=1e-9)
    mean, spread = statistics.fmean(largest), statistics.stdev(largest)
    assert row["curvature/largest_eigenvalue_mean"] == pytest.approx(mean, rel=1e-9)
    assert row["curvature/largest_eigenvalue_spread"] == pytest.approx(spread, rel=1e-8)


def stepped(run: Trained, batch: Any) -> dict[str, torch.Tensor]:
    """theta_{t+1} of the step that training would take on a batch, its penalty included."""
    model, optimizer = copy.deepcopy((run.setup.model, run.setup.optimizer))
    model.zero_grad()
    run.setup.loss(model(batch[0]), batch[1]).backward()
    penalty_on(run.config, model).add_gradient_()
    optimizer.step()
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def twin_shifts(run: Trained, batch: Any, moved: str) -> dict[str, Any]:
    model = run.setup.model
    before = {name: parameter.detach() for name, parameter in model.named_parameters()}
    weights = [f"{layer}.weight" for layer, _ in weight_layers(model)]
    after = stepped(run, batch)
    after |= {n: before[n] for n in before if moved == "weights" and n not in weights}
    return naive_ics(model, run.setup.loss, batch, before, after, weights[1:], list(before))


@pytest.mark.parametrize(
    ("name", "moved"), [("mlp", "all"), ("mlp", "weights"), ("resnet20", "all")]
)
def test_shift_over_replicates_each_with_its_own_step(name: str, moved: str) -> None:
    words = (*words_of(name, "batch"), "regularizer.l2=0.1", "optimizer.momentum=0.9")
    run = trained(
        *words,
        "probe=[ics]",
        f"probe.ics.steps=[{STEP}]",
        "probe.ics.replicates=3",
        f"probe.ics.moved={moved}",
        f"steps={STEP + 1}",
    )
    now = at_step(*words)
    others = training_batches(now.config, now.dataset, derive_seed(0, "replicates", STEP))
    batches = [now.setup.batches.at(STEP), others.at(0), others.at(1)]
    twins = [twin_shifts(now, batch, moved) for batch in batches]
    row = run.rows.by_step[STEP]
    for weight, own in twins[0].items():
        layer = weight.removesuffix(".weight")
        assert row[f"ics/l2/{layer}"] == pytest.approx(own.l2, rel=1e-10)
        assert row[f"ics/cosine/{layer}"] == pytest.approx(own.cosine, rel=1e-10)
        lengths = [twin[weight].l2 for twin in twins]
        mean, spread = statistics.fmean(lengths), statistics.stdev(lengths)
        assert row[f"ics/l2_mean/{layer}"] == pytest.approx(mean, rel=1e-10)
        assert row[f"ics/l2_spread/{layer}"] == pytest.approx(spread, rel=1e-8)
        cosines = [twin[weight].cosine for twin in twins]
        assert row[f"ics/cosine_mean/{layer}"] == pytest.approx(statistics.fmean(cosines))
    assert not any("mean" in metric for metric in trained(*words, "probe=[ics]").rows.by_step[0])


def test_moving_weights_alone_is_another_measurement_only_with_other_parameters() -> None:
    def shift(norm: str, moved: str) -> dict[int, float]:
        words = ("precision=float64", f"norm={norm}", "norm.affine=false", "steps=2")
        probe = ("probe=[ics]", f"probe.ics.moved={moved}")
        # The last layer's weight comes after biases of earlier ones, unless a norm replaces them.
        return trained(*words, *probe).rows.of("ics/l2/linear3")

    assert shift("batch", "all") == shift("batch", "weights")
    assert shift("none", "all") != shift("none", "weights")


ARMS = [
    pytest.param((*MODELS["vgg11"], "norm=batch", "optimizer.momentum=0.9"), id="vgg-momentum"),
    pytest.param((*MODELS["mlp"], "norm=batch_noisy", "optimizer=adam"), id="noisy-adam"),
    pytest.param(("model=resnet20", "data.resize=8", "noise.activation=0.1"), id="resnet-noise"),
    pytest.param(("norm=none", "regularizer.l2=1e-2", "data.augment=true"), id="l2-augmented"),
    pytest.param(("norm=batch_renorm", "norm.warmup_steps=1"), id="renorm"),
    pytest.param(("precision=bfloat16", "dropout=0.5"), id="bfloat16"),
]


@pytest.mark.parametrize("words", ARMS)
def test_training_is_the_same_bits_with_everything_on(words: tuple[str, ...]) -> None:
    words = (*words, "steps=3", "data.limit=80", "batch_size=16", "eval.every=4")
    plain = trained(*words)
    random_state = torch.get_rng_state()
    probed = trained(
        *words,
        "probe=[curvature,ics,landscape]",
        *(f"probe.{name}.every=1" for name in ("curvature", "ics", "landscape")),
        "probe.curvature.num_iterations=2",
        "probe.curvature.replicates=2",
        "probe.ics.replicates=2",
        "probe.landscape.control=every",
        "probe.landscape.num_points=2",
    )
    assert torch.equal(torch.get_rng_state(), random_state)
    assert_same_bits(state_of(probed.setup), state_of(plain.setup))
    for one, other in zip(probed.parameters.values(), plain.parameters.values(), strict=True):
        assert torch.equal(gradient_of(one), gradient_of(other))
    for step, row in plain.rows.by_step.items():
        assert_same_bits({name: probed.rows.by_step[step][name] for name in row}, row)
    controls = probed.rows.of("landscape/control")
    assert set(controls.values()) == {0.0}
    assert len(controls) == 3


def test_mixed_precision_sees_each_point_s_own_weights() -> None:
    """Casts of weights are not carried from one point to the next."""
    words = ("precision=bfloat16", "steps=1", "norm=batch", "probe=[landscape]")
    curves = trained(*words, "probe.landscape.range=dln").rows.arrays[0]["landscape/curves"]
    exact = trained(*words[1:], "probe.landscape.range=dln").rows.arrays[0]["landscape/curves"]
    np.testing.assert_allclose(curves[2], exact[2], rtol=0.05)
    assert len(set(curves[2])) == 5


def test_presets_are_their_numbers() -> None:
    def resolved(*words: str) -> Any:
        return prepared("probe=[landscape]", *words)[0].probe

    assert resolved() == resolved("probe.landscape.range=[0.5,4]")
    assert resolved("probe.landscape.range=dln") == resolved("probe.landscape.range=[0.01,30]")
    assert resolved() != resolved("probe.landscape.range=dln")
    config = LandscapeConfig(range="vgg")
    assert config.canonical().range == (0.5, 4.0)


def test_a_learning_rate_of_zero_has_no_landscape() -> None:
    model = nn.Linear(2, 2)
    inputs, targets = torch.ones(3, 2), torch.zeros(3, dtype=torch.int64)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    view = StepView(
        step=0,
        num_steps=1,
        model=model,
        inputs=inputs,
        targets=targets,
        loss=nn.functional.cross_entropy,
        optimizer=optimizer,
        learning_rate=0.0,
    )
    measurement = LandscapeConfig().build(model, 1).measure(view)
    next(measurement)
    next(measurement)
    with pytest.raises(StopIteration) as end:
        next(measurement)
    assert end.value.value == Measurement()


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("probe.landscape.num_points=1", r"probe\.landscape\.num_points must be 2 to 10000; got 1"),
        ("probe.landscape.range=[4,0.5]", r"got \[4, 0\.5\]\. Give the smaller one first"),
        ("probe.landscape.range=[0,1]", r"probe\.landscape\.range must be greater than 0"),
        ("probe.landscape.range=resnet", r"probe\.landscape\.range must be vgg or dln or a list"),
        ("probe.landscape.direction=up", r"direction must be gradient or random; got 'up'"),
        ("probe.curvature.num_iterations=0", r"num_iterations must be 1 or greater; got 0"),
        ("probe.curvature.num_trace_probes=-1", r"num_trace_probes must be 0 or greater"),
        ("probe.curvature.replicates=0", r"probe\.curvature\.replicates must be 1 or greater"),
        ("probe.ics.replicates=0", r"probe\.ics\.replicates must be 1 or greater; got 0"),
        ("probe.ics.moved=biases", r"probe\.ics\.moved must be all or weights; got 'biases'"),
    ],
)
def test_bad_settings_are_refused(word: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        tiny("probe=all", word)
