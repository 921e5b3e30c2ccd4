"""The loop: which parameters a row speaks of, what is shared between arms, and every bit of it."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from support.runs import assert_same_bits, prepared, state_of, tiny, trained
from torch import nn

from normlab.config import choices
from normlab.data import evaluation_batches
from normlab.models.chain import weight_layers
from normlab.randomness import generator

ARMS = [
    pytest.param((), id="batch-sgd"),
    pytest.param(("norm=none", "optimizer.momentum=0.9"), id="none-momentum"),
    pytest.param(("norm=layer", "optimizer=adam"), id="layer-adam"),
    pytest.param(("dropout=0.5", "optimizer=adamw"), id="batch-dropout-adamw"),
    pytest.param(("norm=group", "norm.groups=4", "regularizer.l1=1e-3"), id="group-l1"),
    pytest.param(("norm=none", "regularizer.l2=1e-2", "data.augment=true"), id="l2-augmented"),
    pytest.param(("data.sampling=with_replacement", "precision=float64"), id="float64"),
    pytest.param(("precision=bfloat16",), id="bfloat16"),
    pytest.param(("model=deep_linear", "data=gaussian", "optimizer.lr=1e-6"), id="regression"),
]


@pytest.mark.parametrize("words", ARMS)
def test_the_same_configuration_twice_gives_the_same_bits(words: tuple[str, ...]) -> None:
    one, other = trained(*words), trained(*words)
    assert_same_bits(state_of(one.setup), state_of(other.setup))
    assert_same_bits(one.rows.by_step, other.rows.by_step)


@pytest.mark.parametrize("words", ARMS)
def test_the_global_random_state_is_neither_read_nor_moved(words: tuple[str, ...]) -> None:
    torch.manual_seed(1)
    one = trained(*words)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    other = trained(*words)
    assert torch.equal(torch.get_rng_state(), before)
    assert_same_bits(state_of(one.setup), state_of(other.setup))


def every_probe(model: nn.Module) -> list[str]:
    """The words that put every probe a model can be measured by on every step."""
    names = []
    for name in choices("probe"):
        (config,) = tiny(f"probe=[{name}]").probe
        with suppress(ValueError):
            config.check(model)
            names.append(name)
    assert "ics" in names
    return [f"probe=[{','.join(names)}]", *(f"probe.{name}.every=1" for name in names)]


@pytest.mark.parametrize("words", ARMS)
def test_every_probe_at_every_step_changes_no_bit(words: tuple[str, ...]) -> None:
    plain = trained(*words)
    probed = trained(*words, *every_probe(plain.setup.model), "probe.ics.control=every")
    assert_same_bits(state_of(probed.setup), state_of(plain.setup))
    for step, row in plain.rows.by_step.items():
        observed = probed.rows.by_step[step]
        assert_same_bits({name: observed[name] for name in row}, row)
    assert len(probed.rows.of("ics/l2/linear2")) == 12
    for module in probed.setup.model.modules():
        assert module.training


def test_another_seed_gives_other_numbers() -> None:
    one, other = trained("steps=2"), trained("steps=2", "seed=1")
    assert one.rows.of("train/loss") != other.rows.of("train/loss")


@pytest.mark.parametrize(
    "words",
    [
        ("norm=none",),
        ("norm=layer",),
        ("dropout=0.3",),
        ("norm=group", "norm.groups=4", "optimizer=adam"),
    ],
)
def test_arms_of_a_seed_share_initial_weights_and_data_order(words: tuple[str, ...]) -> None:
    _, _, batch = prepared()
    _, _, other = prepared(*words)
    weights = {name: layer.weight for name, layer in weight_layers(batch.model)}
    for name, layer in weight_layers(other.model):
        assert torch.equal(layer.weight, weights[name])
    for step in (0, 5, 6, 30):
        assert torch.equal(batch.batches.indices(step), other.batches.indices(step))


def test_arms_of_a_seed_share_dropout_masks() -> None:
    """Units are dropped alike whatever stands around them: zeros at the same places."""
    masks = {}
    for norm in ("none", "batch", "layer"):
        _, _, setup = prepared("dropout=0.5", f"norm={norm}")
        setup.clock.step = 3
        dropout = setup.model.get_submodule("dropout1")
        masks[norm] = dropout(torch.ones(32, 16))
    assert torch.equal(masks["none"], masks["batch"])
    assert torch.equal(masks["none"], masks["layer"])
    assert masks["none"].unique().tolist() == [0.0, 2.0]


def test_splits_that_are_not_asked_for_are_evaluated_at_the_end_alone() -> None:
    words = ("steps=12", "eval.every=5", "data.validation_fraction=0.2")
    every, some = trained(*words), trained(*words, "eval.splits=[val]")
    assert_same_bits(state_of(some.setup), state_of(every.setup))
    assert sorted(some.rows.of("val/accuracy")) == [0, 5, 10, 12]
    for name in ("test/accuracy", "test/loss", "train/accuracy"):
        assert sorted(some.rows.of(name)) == [12]
        assert some.rows.of(name)[12] == every.rows.of(name)[12]
    for name in ("val/accuracy", "val/loss", "weights/sparsity", "train/loss"):
        assert some.rows.of(name) == every.rows.of(name)


@pytest.mark.parametrize("norm", choices("norm"))
def test_samples_evaluated_at_once_move_nothing_but_rounding(norm: str) -> None:
    model = "resnet20" if norm == "instance" else "mlp"  # which is refused on vectors
    words = (f"model={model}", f"norm={norm}", "precision=float64", "steps=2")
    own, large = trained(*words), trained(*words, "eval.batch_size=25")
    assert_same_bits(state_of(large.setup), state_of(own.setup))
    for name in ("test/accuracy", "train/accuracy"):
        assert large.rows.of(name) == own.rows.of(name)
    assert large.rows.of("test/loss") == pytest.approx(own.rows.of("test/loss"), rel=1e-12)


def test_rows_are_where_they_belong() -> None:
    run = trained("steps=12", "eval.every=5", "eval.record_every=4")
    assert sorted(run.rows.of("test/accuracy")) == [0, 5, 10, 12]
    assert sorted(run.rows.of("train/accuracy")) == [0, 5, 10, 12]
    assert sorted(run.rows.of("test/loss")) == [0, 5, 10, 12]
    assert sorted(run.rows.of("train/loss")) == [0, 4, 8, 11]
    assert sorted(run.rows.of("optimizer/lr")) == [0, 4, 8, 11]
    assert {"test/accuracy", "test/loss", "train/accuracy"} <= set(run.rows.by_step[12])
    assert {"train/loss", "optimizer/lr"}.isdisjoint(run.rows.by_step[12])


def test_validation_scores_are_recorded_where_there_is_a_validation_split() -> None:
    run = trained("steps=4", "data.validation_fraction=0.25")
    assert sorted(run.rows.of("val/accuracy")) == [0, 4]
    assert "val/accuracy" not in trained("steps=2").rows.by_step[0]


def test_the_training_loss_of_a_row_is_that_of_its_batch_before_its_update() -> None:
    """Row t again from a run that ended at t: theta_t is what its t updates left."""
    run = trained("norm=none", "steps=6")
    for step in range(6):
        if step == 0:
            _, _, setup = prepared("norm=none", "steps=6")
        else:
            setup = trained("norm=none", f"steps={step}").setup
        batch = run.setup.batches.at(step)
        with torch.no_grad():
            outputs = setup.model(batch.inputs)
        loss = F.cross_entropy(outputs, batch.targets).item()
        assert run.rows.of("train/loss")[step] == loss
        correct = (outputs.argmax(1) == batch.targets).float().mean().item()
        assert run.rows.of("train/batch_accuracy")[step] == correct


def test_evaluations_of_a_row_are_of_the_parameters_before_its_update() -> None:
    run = trained("norm=none", "steps=10", "eval.every=5")
    setups = {
        0: prepared("norm=none", "steps=10")[2],
        5: trained("norm=none", "steps=5").setup,
        10: run.setup,
    }
    for step, setup in setups.items():
        setup.model.eval()
        with torch.no_grad():
            outputs = setup.model(run.dataset.test_inputs)
        correct = (outputs.argmax(1) == run.dataset.test_targets).double().mean().item()
        assert run.rows.of("test/accuracy")[step] == correct
        loss = F.cross_entropy(outputs.double(), run.dataset.test_targets).item()
        assert run.rows.of("test/loss")[step] == pytest.approx(loss, rel=1e-6)


def test_training_accuracy_is_of_a_fixed_subset_as_large_as_the_test_set() -> None:
    run = trained("data.limit=null", "steps=1")
    run.setup.model.eval()
    correct = num_samples = 0
    for batch in evaluation_batches(run.dataset, "train", 32, seed=0):
        with torch.no_grad():
            correct += int((run.setup.model(batch.inputs).argmax(1) == batch.targets).sum())
        num_samples += len(batch.targets)
    assert num_samples == 297
    assert run.rows.of("train/accuracy")[1] == correct / 297


def test_the_penalty_is_recorded_at_theta_t_and_left_out_where_there_is_none() -> None:
    words = ("norm=none", "regularizer.l1=0.01", "regularizer.l2=0.1", "steps=2")
    run = trained(*words)
    _, _, start = prepared(*words)
    weights = [layer.weight.detach().double() for _, layer in weight_layers(start.model)]
    expected = sum(0.01 * w.abs().sum() + 0.05 * w.square().sum() for w in weights)
    assert run.rows.of("train/penalty")[0] == pytest.approx(float(expected), rel=1e-5)
    assert sorted(run.rows.of("train/penalty")) == [0, 1]
    assert trained("steps=2").rows.of("train/penalty") == {}


class ByHand(nn.Module):
    """The MLP 64-16-16-10 in plain PyTorch, batch normalization between map and ReLU."""

    def __init__(self, *, bn: bool) -> None:
        super().__init__()
        sizes = [(64, 16), (16, 16)]
        self.maps = nn.ModuleList(nn.Linear(i, o, bias=not bn) for i, o in sizes)
        self.norms = nn.ModuleList(nn.BatchNorm1d(o) if bn else nn.Identity() for _, o in sizes)
        self.last = nn.Linear(16, 10)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden = inputs.flatten(1)
        for linear, norm in zip(self.maps, self.norms, strict=True):
            hidden = torch.relu(norm(linear(hidden)))
        outputs: torch.Tensor = self.last(hidden)
        return outputs

    def start(self, seed: int) -> None:
        """He's weights from the streams named as normlab names them."""
        for index, layer in enumerate([*self.maps, self.last], start=1):
            source = generator(seed, "init", f"linear{index}.weight")
            with torch.no_grad():
                draws = torch.randn(layer.weight.shape, generator=source)
                layer.weight.copy_(draws.mul_(math.sqrt(2 / layer.weight.shape[1])))
                if layer.bias is not None:
                    layer.bias.zero_()


@pytest.mark.parametrize("bn", [False, True])
@pytest.mark.parametrize(
    ("words", "optimizer"),
    [
        (("optimizer.lr=0.1",), lambda p: torch.optim.SGD(p, lr=0.1)),
        (
            ("optimizer.lr=0.1", "optimizer.momentum=0.9", "optimizer.nesterov=true"),
            lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
        ),
        (("optimizer=adam", "optimizer.lr=0.01"), lambda p: torch.optim.Adam(p, lr=0.01)),
    ],
)
def test_a_loop_written_out_in_plain_pytorch_gives_the_same_bits(
    bn: bool, words: tuple[str, ...], optimizer: Any
) -> None:
    run = trained(f"norm={'batch' if bn else 'none'}", *words, "steps=14")
    model = ByHand(bn=bn)
    model.start(seed=0)
    stepper = optimizer(model.parameters())
    inputs, targets = run.dataset.train_inputs, run.dataset.train_targets
    losses = {}
    for step in range(14):  # 200 samples, batches of 32: 6 steps an epoch
        epoch, place = divmod(step, 6)
        order = torch.randperm(200, generator=generator(0, "order", epoch))
        rows = order[32 * place : 32 * (place + 1)]
        stepper.zero_grad()
        loss = F.cross_entropy(model(inputs[rows]), targets[rows])
        losses[step] = loss.item()
        loss.backward()
        stepper.step()
    assert run.rows.of("train/loss") == losses
    model.eval()
    with torch.no_grad():
        correct = model(run.dataset.test_inputs).argmax(1) == run.dataset.test_targets
    assert run.rows.of("test/accuracy")[14] == correct.double().mean().item()


def test_divergence_ends_the_run_at_its_step() -> None:
    run = trained("norm=none", "optimizer.lr=1e30", "steps=12", "eval.every=1")
    assert run.diverged_at is not None
    assert 0 < run.diverged_at < 12
    assert max(run.rows.by_step) == run.diverged_at
    losses = run.rows.of("train/loss")
    assert not math.isfinite(losses.pop(run.diverged_at))
    assert all(math.isfinite(loss) for loss in losses.values())
    assert sorted(losses) == list(range(run.diverged_at))


@pytest.mark.parametrize("every", [1, 3, 5, 7, 100])
def test_divergence_is_found_at_the_same_step_however_rarely_anything_is_recorded(
    every: int,
) -> None:
    words = ("norm=none", "optimizer.lr=1e30", "steps=60")
    closely = trained(*words, "eval.every=1", "eval.record_every=1")
    rarely = trained(*words, f"eval.every={every}", f"eval.record_every={every}")
    assert rarely.diverged_at == closely.diverged_at
    assert max(rarely.rows.by_step) == closely.diverged_at
    with_probe = trained(*words, "eval.every=100", "eval.record_every=100", "probe=[ics]")
    assert with_probe.diverged_at == closely.diverged_at
    assert max(with_probe.rows.by_step) == closely.diverged_at


def test_a_last_update_that_goes_astray_is_a_divergence_at_the_end() -> None:
    """The losses of all batches are finite; only the parameters at num_steps are not."""
    words = ("norm=none", "optimizer.lr=1e30")
    first = trained(*words, "steps=20").diverged_at
    assert first is not None
    run = trained(*words, f"steps={first}")
    assert run.diverged_at == first
    assert not math.isfinite(run.rows.of("train/loss")[first])


def test_precisions() -> None:
    for precision, dtype in (
        ("float32", torch.float32),
        ("bfloat16", torch.float32),
        ("float64", torch.float64),
    ):
        run = trained(f"precision={precision}", "steps=6")
        state = run.setup.model.state_dict()
        assert {value.dtype for value in state.values() if value.is_floating_point()} == {dtype}
        assert run.dataset.train_inputs.dtype == dtype
    exact = trained("precision=float64", "steps=6").rows.of("train/loss")
    single = trained("precision=float32", "steps=6").rows.of("train/loss")
    half = trained("precision=bfloat16", "steps=6").rows.of("train/loss")
    assert single != exact
    assert single == pytest.approx(exact, rel=1e-4)
    assert half != single
    assert half == pytest.approx(exact, rel=0.1)
