"""The probes in a training: their numbers are the naive twins', and training does not notice."""

from __future__ import annotations

import copy
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.parts import Parts, gradient_of
from support.runs import (
    Quiet,
    Rows,
    assert_same_bits,
    carried_out,
    planned,
    prepared,
    state_of,
    tiny,
)
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from normlab.config import choices
from normlab.data import evaluation_batches
from normlab.measures.activations import fixed_units
from normlab.metrics import describe
from normlab.models.chain import weight_layers
from normlab.models.residual import ResidualBlock
from normlab.norms.population import PopulationNorm
from normlab.probes.activations import ActivationsConfig
from normlab.probes.base import StepView
from normlab.probes.gradients import GradientsConfig
from normlab.probes.moment_drift import MomentDriftConfig
from normlab.probes.residual import ResidualConfig
from normlab.probes.schedule import EverySteps
from normlab.probes.statistics_gap import StatisticsGapConfig
from normlab.probes.successive import WithPredecessor
from normlab.probes.units import PLACES
from normlab.probes.weights import WeightsConfig
from normlab.randomness import derive_seed
from normlab.records.recorder import read_arrays
from normlab.records.rows import read_rows
from normlab.training.loop import Loop
from normlab.training.setup import training_batches

OURS = ("activations", "gradients", "moment_drift", "residual", "statistics_gap", "weights")
PROBES = (
    f"probe=[{','.join(OURS)}]",
    "probe.activations.num_bins=8",
    "probe.statistics_gap.population_samples=20",
    "probe.statistics_gap.held_out_samples=20",
    *(f"probe.{name}.every=1" for name in OURS),
)
MODELS = {
    "mlp": ("model=mlp", "model.widths=[20,6]", "model.activation=sigmoid", "dropout=0.2"),
    "vgg11": ("model=vgg11", "model.width=0.0625", "dropout=0.2"),
    "resnet20": ("model=resnet20", "data.resize=8"),
    "deep_linear": (
        "model=deep_linear",
        "model.depth=4",
        "data=gaussian",
        "data.num_samples=80",
        "optimizer.lr=1e-5",
        "precision=float64",
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


@dataclass
class Records(Rows):
    by_name: dict[tuple[int, str], np.ndarray] = field(default_factory=dict)

    def record_array(self, step: int, name: str, array: Any) -> None:
        self.by_name[step, name] = array


@dataclass
class Snapshots(Quiet):
    """An observer that copies the network before each step."""

    model: nn.Module = field(default_factory=nn.Module)
    before_step: list[nn.Module] = field(default_factory=list)

    def stop_requested(self) -> bool:
        self.before_step.append(copy.deepcopy(self.model))
        return False


def recorded(*words: str) -> tuple[Any, Records]:
    """(setup after training, what was recorded)."""
    config, dataset, setup = prepared(*words)
    records = Records()
    Loop(config, dataset, setup, records, Quiet()).run()
    return setup, records


def outputs_of(model: nn.Module, inputs: Tensor) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What every module read and gave in one forward of a copy: (features, samples and positions).

    Vectors of another layout than (N, C, ...) do not occur.
    """
    network = copy.deepcopy(model)
    seen: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def rows(values: Tensor) -> np.ndarray:
        array = values.detach().double().numpy().copy()
        return np.moveaxis(array, 1, 0).reshape(array.shape[1], -1)

    for name, module in network.named_modules():
        module.register_forward_hook(
            lambda _, args, output, name=name: seen.update({name: (rows(args[0]), rows(output))})
        )
    network(inputs)
    return seen


def gradients_at(model: nn.Module, loss: Any, batch: Any) -> dict[str, np.ndarray]:
    network = copy.deepcopy(model)
    network.zero_grad()
    loss(network(batch[0]), batch[1]).backward()
    return {
        name: gradient_of(layer.weight).numpy().ravel() for name, layer in weight_layers(network)
    }


def places_by_name(
    layer: str, seen: dict[str, tuple[np.ndarray, np.ndarray]]
) -> dict[str, np.ndarray]:
    """The kit's names say what belongs to a layer: linear3, norm3, sigmoid3."""
    parts = re.fullmatch(r"(.*?)(linear|conv|shortcut)(\d*)", layer)
    assert parts is not None
    prefix, kind, index = parts.groups()
    norm = f"{prefix}norm{index}" if index else f"{prefix}{kind}_norm"
    before = seen[norm][0] if norm in seen else seen[layer][1]
    after = seen[norm][1] if norm in seen else before
    places = {"before_norm": before, "after_norm": after}
    for activation in ("relu", "sigmoid"):
        if index and f"{prefix}{activation}{index}" in seen:
            places["after_activation"] = seen[f"{prefix}{activation}{index}"][1]
    return places


def expected_activations(
    layer: str, seen: dict[str, tuple[np.ndarray, np.ndarray]], is_sigmoid: bool
) -> dict[str, float]:
    values: dict[str, float] = {}
    for place, rows in places_by_name(layer, seen).items():
        units = list(fixed_units(layer, len(rows), 16))
        percentiles = np.percentile(rows[units], [15, 50, 85], axis=1).mean(1)
        values |= {
            f"activations/{place}/mean/{layer}": rows.mean(),
            f"activations/{place}/variance/{layer}": rows.var(axis=1).mean(),
            f"activations/{place}/percentile_15/{layer}": percentiles[0],
            f"activations/{place}/percentile_50/{layer}": percentiles[1],
            f"activations/{place}/percentile_85/{layer}": percentiles[2],
        }
        if place != "after_activation":
            continue
        if is_sigmoid:
            share = ((rows < 0.05) | (rows > 0.95)).mean()
            values[f"activations/saturated/{layer}"] = share
        else:
            values[f"activations/dead/{layer}"] = (rows.max(axis=1) <= 0).mean()
    return values


def expected_gap(config: Any, dataset: Any, model: nn.Module, inputs: Tensor) -> dict[str, float]:
    norms = [name for name, m in model.named_modules() if isinstance(m, PopulationNorm)]
    if not norms:
        return {}
    batches = training_batches(config, dataset, derive_seed(0, "replicates", STEP))
    passes = [outputs_of(model, batches.at(index).inputs) for index in range(2)]
    own = outputs_of(model, inputs)
    values: dict[str, float] = {"statistics_gap/num_samples": 20.0}
    population = {}
    for norm in norms:
        means = np.array([seen[norm][0].mean(axis=1) for seen in passes])
        squares = np.array([(seen[norm][0] ** 2).mean(axis=1) for seen in passes])
        mean = means.mean(0)
        variance = squares.mean(0) - mean**2
        population[norm] = mean, variance
        layer: Parts = model.get_submodule(norm)
        for kind, found in {
            "ema": (layer.running_mean.numpy(), layer.running_var.numpy()),
            "batch": (own[norm][0].mean(axis=1), own[norm][0].var(axis=1)),
        }.items():
            norm_of = np.linalg.norm
            distance = float(norm_of(found[0] - mean)) / math.sqrt(variance.sum())
            values[f"statistics_gap/{kind}_mean/{norm}"] = distance
            distance = float(norm_of(found[1] - variance) / norm_of(variance))
            values[f"statistics_gap/{kind}_variance/{norm}"] = distance
    samples = list(evaluation_batches(dataset, "test", 10, seed=0, limit=20))
    for kind in ("ema", "precise", "batch"):
        network = copy.deepcopy(model).eval()
        for norm in norms:
            layer = network.get_submodule(norm)
            layer.population = "batch" if kind == "batch" else "ema"
            if kind == "precise":
                layer.running_mean.copy_(torch.from_numpy(population[norm][0]))
                layer.running_var.copy_(torch.from_numpy(population[norm][1]))
        errors = []
        for samples_in, targets in samples:
            outputs = network(samples_in).detach()
            if dataset.num_classes is None:
                errors.append(((outputs - targets) ** 2).sum(1).mean().item())
            else:
                errors.append((outputs.argmax(1) != targets).double().mean().item())
        values[f"statistics_gap/error_{kind}"] = float(np.mean(errors))
    return values


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", MODELS)
def test_every_number_is_the_naive_twin_s(name: str, norm: str) -> None:
    words = (
        *MODELS[name],
        *NORMS[norm],
        "data.limit=40",
        "batch_size=10",
        "optimizer.lr=0.01" if name != "deep_linear" else "optimizer.momentum=0",
        "precision=float64",
        "steps=3",
        "eval.every=3",
        "eval.limit=20",
    )
    config, dataset, setup = prepared(
        *words, *PROBES, *(word for ours in OURS for word in (f"probe.{ours}.every=null",
        f"probe.{ours}.steps=[{STEP}]"))
    )  # fmt: skip
    records, snapshots = Records(), Snapshots(model=setup.model)
    Loop(config, dataset, setup, records, snapshots).run()
    now, before = snapshots.before_step[STEP], snapshots.before_step[STEP - 1]
    batch, earlier = setup.batches.at(STEP), setup.batches.at(STEP - 1)
    setup.clock.step = STEP
    seen = outputs_of(now, batch.inputs)
    expected: dict[str, float] = expected_gap(config, dataset, now, batch.inputs)
    gradients = gradients_at(now, setup.loss, batch)
    others = training_batches(config, dataset, derive_seed(0, "replicates", STEP))
    replicates = [gradients]
    replicates += [gradients_at(now, setup.loss, others.at(index)) for index in range(3)]
    setup.clock.step = STEP - 1
    seen_before = outputs_of(before, earlier.inputs)
    gradients_before = gradients_at(before, setup.loss, earlier)
    for layer, module in weight_layers(now):
        expected |= expected_activations(layer, seen, is_sigmoid=name == "mlp")
        after = places_by_name(layer, seen)["after_norm"]
        after_before = places_by_name(layer, seen_before)["after_norm"]
        drift = np.abs(after.mean(1) - after_before.mean(1)).mean()
        expected[f"moment_drift/after_norm/mean/{layer}"] = drift
        drift = np.abs(after.var(1) - after_before.var(1)).mean()
        expected[f"moment_drift/after_norm/variance/{layer}"] = drift
        own, previous = gradients[layer], gradients_before[layer]
        expected[f"gradients/norm/{layer}"] = float(np.linalg.norm(own))
        cosine = own @ previous / math.sqrt((own @ own) * (previous @ previous))
        expected[f"gradients/cosine/{layer}"] = cosine
        stack = np.array([replicate[layer] for replicate in replicates])
        noise = ((stack - stack.mean(0)) ** 2).sum() / 3
        signal = (stack.mean(0) ** 2).sum() - noise / 4
        expected[f"gradients/signal_to_noise/{layer}"] = signal / noise
        weight = module.weight.detach().numpy()
        square = (weight**2).sum()
        expected[f"weights/norm/{layer}"] = math.sqrt(square)
        expected[f"weights/effective_lr/{layer}"] = config.optimizer.lr / square
        expected[f"weights/layer_zeros/{layer}"] = (weight == 0).mean()
        expected[f"weights/layer_sparsity/{layer}"] = (abs(weight) < 1e-3).mean()
        negligible = abs(weight) <= 1e-3 * math.sqrt((weight**2).mean())
        expected[f"weights/negligible/{layer}"] = negligible.mean()
    for block, module in now.named_modules():
        if isinstance(module, ResidualBlock):
            norm_after = f"{block}.norm2" in seen
            branch = seen[f"{block}.norm2" if norm_after else f"{block}.conv2"][1]
            skip = seen[f"{block}.conv1"][0]
            for last in ("shortcut", "shortcut_norm"):
                skip = seen[f"{block}.{last}"][1] if f"{block}.{last}" in seen else skip
            variances = branch.var(1).mean(), skip.var(1).mean()
            expected[f"residual/branch_variance/{block}"] = variances[0]
            expected[f"residual/skip_variance/{block}"] = variances[1]
            expected[f"residual/ratio/{block}"] = variances[0] / variances[1]
    found = {
        metric: value
        for metric, value in records.by_step[STEP].items()
        if metric.split("/")[0] in OURS and metric not in ("weights/sparsity", "weights/zeros")
    }
    assert found.keys() == expected.keys()
    for metric, value in expected.items():
        assert found[metric] == pytest.approx(value, rel=1e-10, abs=1e-13), metric
        describe(metric)
    for (_, array_name), array in records.by_name.items():
        if array_name.startswith("activations") and "/histogram/" in array_name:
            assert describe(array_name)[0].histogram
            assert array.shape == (2, 9)


def test_arrays_hold_each_unit() -> None:
    words = (*MODELS["vgg11"], "norm=batch", "precision=float64", "data.limit=40", "batch_size=20")
    _, records = recorded(*words, "steps=1", *PROBES)
    run = prepared(*words)[2]
    seen = outputs_of(run.model, run.batches.at(0).inputs)
    for place in ("before_norm", "after_norm", "after_activation"):
        percentiles = records.by_name[0, f"activations/{place}/percentiles"]
        counts = records.by_name[0, f"activations/{place}/unit_counts"]
        layers = percentiles.dtype.names
        assert layers == tuple(
            layer for layer, _ in weight_layers(run.model) if place in places_by_name(layer, seen)
        )
        for layer in layers:
            rows = places_by_name(layer, seen)[place]
            rows = rows[list(fixed_units(layer, len(rows), 16))]
            expected = np.percentile(rows, [15, 50, 85], axis=1).T
            np.testing.assert_allclose(percentiles[layer], expected, rtol=1e-10, atol=1e-13)
            edges, pooled = records.by_name[0, f"activations/{place}/histogram/{layer}"]
            low, high = (0, 6) if place == "after_activation" else (-6, 6)
            np.testing.assert_allclose(edges, np.linspace(low, high, 9))
            assert pooled[:-1].tolist() == counts[layer].sum(0).tolist()
            for row, count in zip(rows, counts[layer], strict=True):
                assert np.histogram(np.clip(row, low, high), edges)[0].tolist() == count.tolist()
    array = records.by_name[0, "statistics_gap/statistics/norm1"]
    np.testing.assert_allclose(array[0], 0, atol=0)
    np.testing.assert_allclose(array[1], 1)
    np.testing.assert_allclose(array[4], seen["norm1"][0].mean(1), rtol=1e-10)
    np.testing.assert_allclose(array[5], seen["norm1"][0].var(1), rtol=1e-10)


ARMS = [
    pytest.param((*MODELS["vgg11"], "norm=batch", "optimizer.momentum=0.9"), id="vgg-momentum"),
    pytest.param((*MODELS["mlp"], "norm=batch_noisy", "optimizer=adam"), id="noisy-adam"),
    pytest.param(
        ("model=resnet20", "data.resize=8", "noise.activation=0.1", "steps=2"), id="resnet-noise"
    ),
    pytest.param(("norm=none", "regularizer.l2=1e-2", "data.augment=true"), id="l2-augmented"),
    pytest.param(("norm=batch_renorm", "norm.warmup_steps=1"), id="renorm"),
    pytest.param(("precision=bfloat16", "dropout=0.5"), id="bfloat16"),
]


@pytest.mark.parametrize("words", ARMS)
def test_all_probes_at_every_step_change_no_bit(words: tuple[str, ...]) -> None:
    words = ("steps=3", *words, "data.limit=40", "batch_size=8", "eval.every=4", "eval.limit=20")
    plain, records = recorded(*words)
    random_state = torch.get_rng_state()
    probed, observed = recorded(*words, *PROBES)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert_same_bits(state_of(probed), state_of(plain))
    for one, other in zip(probed.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)
    for module in probed.model.modules():
        assert module.training
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    measured = {
        step: {metric: value for metric, value in row.items() if metric in records.by_step[step]}
        for step, row in observed.by_step.items()
    }
    assert_same_bits(measured, records.by_step)
    assert len(observed.by_step[1]) > len(records.by_step[1]) + 20


def test_probe_all_is_every_probe() -> None:
    assert [probe.NAME for probe in tiny("probe=all").probe] == sorted(choices("probe"))


def test_a_run_carried_on_measures_the_same(tmp_path: Path) -> None:
    """Drift and cosine compare with the step before the checkpoint."""
    words = ("steps=6", "norm=batch", *PROBES[:-6], "probe.gradients.steps=[3,5]",
             "probe.moment_drift.steps=[3]", "probe.activations.steps=[3]")  # fmt: skip
    whole = planned(*words, results_dir=tmp_path / "whole")
    parts = planned(*words, results_dir=tmp_path / "parts")
    carried_out(whole)
    assert carried_out(parts, stop_at=3)[0].end == "interrupted"
    assert carried_out(parts)[0].end == "finished"
    rows, expected = read_rows(parts.folder.path), read_rows(whole.folder.path)
    assert rows.columns.keys() == expected.columns.keys()
    for metric, column in expected.columns.items():
        np.testing.assert_array_equal(rows.columns[metric].numbers, column.numbers)
    drift = rows.columns["moment_drift/after_norm/mean", "linear1"]
    assert rows.steps[drift.is_recorded].tolist() == [3]
    cosine = rows.columns["gradients/cosine", "linear1"]
    assert rows.steps[cosine.is_recorded].tolist() == [3, 5]
    name = "activations/after_norm/unit_counts"
    for step, array in read_arrays(whole.folder.path, name).items():
        again = read_arrays(parts.folder.path, name)[step]
        assert again.dtype == array.dtype
        assert again.tobytes() == array.tobytes()


def test_what_has_no_step_before_it_is_missing() -> None:
    _, records = recorded("steps=7", *PROBES, "probe.gradients.every=3",
                          "probe.moment_drift.every=3")  # fmt: skip
    assert sorted(records.of("gradients/cosine/linear1")) == [3, 6]
    assert sorted(records.of("gradients/norm/linear1")) == [0, 3, 6]
    assert sorted(records.of("moment_drift/after_norm/mean/linear1")) == [3, 6]
    pairs = WithPredecessor(EverySteps(3), num_steps=7)
    assert [step for step in range(7) if pairs.due(step)] == [0, 2, 3, 5, 6]


def test_a_network_without_the_thing_records_nothing() -> None:
    setup, records = recorded("norm=none", "steps=2", *PROBES)
    recorded_names = {metric.split("/")[0] for row in records.by_step.values() for metric in row}
    assert not recorded_names & {"residual", "statistics_gap"}
    due = [probe.name for probe in setup.probes if probe.due(0)]
    assert due == ["activations", "gradients", "moment_drift", "weights"]


def test_choices_are_followed() -> None:
    _, records = recorded(
        "steps=3", "norm=batch", "probe=[activations,gradients,statistics_gap,weights]",
        "probe.activations.layers=[linear2]", "probe.activations.places=[after_norm]",
        "probe.activations.num_units=0", "probe.activations.steps=[1]",
        "probe.gradients.layers=1", "probe.gradients.replicates=1",
        "probe.statistics_gap.layers=norm2", 'probe.weights.layers="*3"',
    )  # fmt: skip
    ours = {
        metric
        for row in records.by_step.values()
        for metric in row
        if metric.split("/")[0] in OURS and metric.count("/") > 1
    }
    assert {metric for metric in ours if metric.startswith("act")} == {
        "activations/after_norm/mean/linear2",
        "activations/after_norm/variance/linear2",
    }
    assert sorted(records.of("activations/after_norm/mean/linear2")) == [1]
    assert {metric for metric in ours if metric.startswith("grad")} == {
        "gradients/norm/linear1",
        "gradients/cosine/linear1",
    }
    assert {metric.rpartition("/")[2] for metric in ours if metric.startswith("stat")} == {"norm2"}
    assert {metric.rpartition("/")[2] for metric in ours if metric.startswith("weig")} == {
        "linear3"
    }
    assert [name for _, name in records.by_name] == ["statistics_gap/statistics/norm2"] * 3


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("probe.activations.places=[]",), r"probe\.activations\.places must name one or more of"),
        (("probe.activations.num_units=-1",), r"num_units must be 0 or greater; got -1"),
        (("probe.activations.num_bins=1",), r"probe\.activations\.num_bins must be 2 to 100000"),
        (("probe.activations.limit=0",), r"probe\.activations\.limit must be greater than 0"),
        (("probe.moment_drift.steps=[0]",), r"step 0 has none\. Name steps from 1 on"),
        (("probe.gradients.replicates=0",), r"replicates must be 1 or greater; got 0"),
        (("probe.statistics_gap.held_out_samples=0",), r"held_out_samples must be 1 or greater"),
        (("probe.weights.every=0",), r"probe\.weights\.every must be 1 or greater"),
    ],
)
def test_bad_settings_are_refused(words: tuple[str, ...], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        tiny("probe=all", *words)


def test_layers_are_checked_before_anything_starts() -> None:
    model = prepared("norm=none")[2].model
    for config, text in [
        (ActivationsConfig(layers="conv1"), r"probe\.activations\.layers: no layer .* 'conv1'"),
        (MomentDriftConfig(layers=7), r"probe\.moment_drift\.layers: there is no layer 7"),
        (GradientsConfig(layers=("linear1", "x")), r"probe\.gradients\.layers: no layer .* 'x'"),
        (WeightsConfig(layers="x"), r"probe\.weights\.layers: no layer of this model"),
        (ResidualConfig(blocks="block1"), r"no residual blocks\. Choose a resnet, or"),
        (StatisticsGapConfig(layers="norm1"), r"no layer with running statistics\. Choose norm="),
    ]:
        with pytest.raises(ValueError, match=text):
            config.check(model)


def test_a_probe_without_surroundings_says_what_it_needs() -> None:
    _, _, setup = prepared("norm=batch")
    batch = setup.batches.at(0)
    probe = StatisticsGapConfig().build(setup.model, 1)
    view = StepView(
        step=0,
        num_steps=1,
        model=setup.model,
        inputs=batch.inputs,
        targets=batch.targets,
        loss=setup.loss,
        optimizer=setup.optimizer,
        learning_rate=0.1,
    )
    with pytest.raises(ValueError, match=r"probe\.statistics_gap takes batches beside the step's"):
        next(probe.measure(view))


@pytest.mark.parametrize("checkpointed", [False, True])
def test_units_of_a_network_of_ones_own_are_those_of_its_layers(checkpointed: bool) -> None:
    """Linear layers on sequences, also where the forward runs again in the backward pass."""

    class Tokens(nn.Sequential):
        def forward(self, inputs: Tensor) -> Any:
            run: Any = super().forward
            return checkpoint(run, inputs, use_reentrant=False) if checkpointed else run(inputs)

    torch.manual_seed(0)
    model = Tokens(nn.Linear(4, 5), nn.LayerNorm(5), nn.ReLU(), nn.Linear(5, 3)).double()
    inputs = torch.randn(6, 7, 4, dtype=torch.float64)
    view = StepView(
        step=0,
        num_steps=2,
        model=model,
        inputs=inputs,
        targets=inputs,
        loss=lambda outputs, targets: outputs.sum(),
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        learning_rate=0.1,
    )
    activations = ActivationsConfig(every=1).build(model, 2).measure(view)
    drift = MomentDriftConfig(every=1, places=PLACES).build(model, 2)
    moments = drift.measure(view)
    next(activations), next(moments)
    model(inputs).sum().backward()
    next(activations), next(moments)
    with pytest.raises(StopIteration) as end:
        next(activations)
    rows = model[:3](inputs).detach().flatten(0, 1).numpy()
    found = dict(end.value.value.values)
    assert found["activations/after_activation/variance"]["0"] == pytest.approx(rows.var(0).mean())
    dead = (rows.max(0) <= 0).mean()
    assert found["activations/dead"]["0"] == pytest.approx(dead, abs=1e-15)
    with pytest.raises(StopIteration):
        next(moments)
    kept = drift.memory()["tensors"]["after_activation/0"]
    np.testing.assert_allclose(kept, [rows.mean(0), rows.var(0)], rtol=1e-10)
