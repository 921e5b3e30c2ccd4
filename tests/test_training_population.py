"""Evaluation by precise population statistics."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from support.parts import Parts
from support.runs import assert_same_bits, prepared, state_of, tiny, trained
from torch import Tensor

from normlab.data import Batches
from normlab.data.dataset import Dataset
from normlab.models.chain import Chain
from normlab.randomness import derive_seed, generator
from normlab.training.evaluation import POPULATION_SAMPLES, population_inputs

WORDS = ("precision=float64", "steps=6", "eval.every=3", "norm.momentum=0.01")


def test_evaluation_is_that_of_the_twin_and_training_is_untouched() -> None:
    """Statistics of every layer by hand: batch after batch in training mode, then E[x^2] - E[x]^2;
    the weights of step 0 are drawn again, those of step 6 are the run's."""
    run = trained(*WORDS, "norm.population=precise")
    plain = trained(*WORDS)
    assert_same_bits(state_of(run.setup), state_of(plain.setup))
    assert run.rows.of("train/loss") == plain.rows.of("train/loss")
    assert run.rows.of("test/loss") != plain.rows.of("test/loss")
    for step, setup in ((0, prepared(*WORDS)[2]), (6, run.setup)):
        expected = by_hand(run.dataset, setup.model)
        assert run.rows.of("test/loss")[step] == pytest.approx(expected, rel=1e-12)


def by_hand(dataset: Dataset, model: Chain) -> float:
    # 200 samples in batches of 32: an epoch is 6 whole batches
    batches = Batches(dataset, 32, seed=derive_seed(0, "population"))
    flows = [batches.at(step).inputs.flatten(1) for step in range(6)]
    test = dataset.test_inputs.flatten(1)
    for index in (1, 2):
        linear: Parts = model.get_submodule(f"linear{index}")
        norm: Parts = model.get_submodule(f"norm{index}")
        flows = [linear(flow) for flow in flows]
        mean = torch.stack([flow.mean(0) for flow in flows]).mean(0)
        square = torch.stack([flow.square().mean(0) for flow in flows]).mean(0)

        def normalized(values: Tensor, mean: Tensor, var: Tensor, norm: Parts = norm) -> Tensor:
            scale = norm.weight / (var + norm.eps).sqrt()
            return torch.relu((values - mean) * scale + norm.bias)

        flows = [normalized(flow, flow.mean(0), flow.var(0, correction=0)) for flow in flows]
        test = normalized(linear(test), mean, square - mean.square())
    outputs = model.get_submodule("linear3")(test)
    return F.cross_entropy(outputs, dataset.test_targets).item()


@pytest.mark.parametrize(
    "words",
    [
        ("norm=batch_ghost", "norm.ghost_size=8"),
        ("norm=batch_renorm", "norm.warmup_steps=0", "norm.r_ramp_end=4", "norm.d_ramp_end=4"),
        ("norm=batch_noisy",),
        ("norm=batch_channel", "norm.groups=4"),
        ("norm=lp", "norm.p=1"),
        ("dropout=0.5", "noise.activation=0.1", "precision=bfloat16"),
        ("norm.freeze_after=3",),
    ],
)
def test_every_norm_with_a_population_trains_the_same_by_either(words: tuple[str, ...]) -> None:
    run = trained(*WORDS, *words, "norm.population=precise")
    plain = trained(*WORDS, *words)
    assert_same_bits(state_of(run.setup), state_of(plain.setup))
    assert run.rows.of("test/loss")[3] != plain.rows.of("test/loss")[3]


def test_batches_for_statistics_are_the_same_at_every_evaluation() -> None:
    _, _, setup = prepared("noise.input=0.1", "data.augment=true")
    assert POPULATION_SAMPLES == 10_000
    first = list(population_inputs(setup.population, None))
    assert len(first) == 200 // 32
    assert all(len(inputs) == 32 for inputs in first)
    for inputs, again in zip(first, population_inputs(setup.population, None), strict=True):
        assert torch.equal(inputs, again)
    assert not torch.equal(first[0], setup.batches.at(0).inputs)
    assert len(list(population_inputs(setup.population, 64))) == 2
    assert len(list(population_inputs(setup.population, 65))) == 3
    assert len(list(population_inputs(setup.population, 1))) == 1


@pytest.mark.parametrize("norm", ["batch", "batch_ghost", "batch_channel"])
def test_evaluation_by_the_batch_takes_every_test_set(norm: str) -> None:
    """297 test samples in batches of 8 leave a single one over, which has no statistics."""
    words = (f"norm={norm}", "norm.population=batch", "batch_size=8", "steps=2", "eval.every=2")
    extra = ("norm.ghost_size=4",) if norm == "batch_ghost" else ()
    extra = ("norm.groups=4",) if norm == "batch_channel" else extra
    run = trained(*words, *extra)
    assert sorted(run.rows.of("test/accuracy")) == [0, 2]


def test_a_run_evaluates_in_batches_of_one_class() -> None:
    """By the batch's own statistics, so that it matters which samples stand together."""
    words = (*WORDS, "norm.population=batch", "batch_size=64")  # more than a class has
    run, shuffled = trained(*words, "eval.batches=one_class"), trained(*words)
    assert_same_bits(state_of(run.setup), state_of(shuffled.setup))
    num_correct = 0
    run.setup.model.eval()
    for number in range(10):
        order = torch.randperm(297, generator=generator(0, "evaluation", "test"))
        own = run.dataset.test_inputs[order][run.dataset.test_targets[order] == number]
        num_correct += int((run.setup.model(own).argmax(1) == number).sum())
    assert run.rows.of("test/accuracy")[6] == pytest.approx(num_correct / 297, rel=1e-12)
    assert shuffled.rows.of("test/accuracy")[6] != run.rows.of("test/accuracy")[6]


def test_a_run_trains_on_batches_sorted_by_class() -> None:
    words = ("norm=batch_ghost", "norm.ghost_size=8", "data.order_in_batch=by_class")
    _, _, setup = prepared(*words)
    for batches in (setup.batches, setup.population):
        classes = batches.at(1).targets
        assert torch.equal(classes, classes.sort().values)


def test_batches_of_one_class_of_a_regression_are_refused() -> None:
    text = "eval.batches=one_class needs classes; data=gaussian is a regression"
    with pytest.raises(ValueError, match=text):
        tiny("data=gaussian", "eval.batches=one_class")


NOISE = ("norm=batch_noisy", "dropout=0.2")


@pytest.mark.parametrize("words", [(), NOISE, ("norm=lp", "norm.p=1"), ("norm=batch_renorm",)])
def test_both_kinds_of_statistics_stand_side_by_side(words: tuple[str, ...]) -> None:
    """The second evaluation is that of a run with norm.population=precise; the first, and training,
    are those of a run without it."""
    words = (*WORDS, *words, "data.validation_fraction=0.1")
    both = trained(*words, "eval.precise=as_trained")
    by_running, by_population = trained(*words), trained(*words, "norm.population=precise")
    assert_same_bits(state_of(both.setup), state_of(by_running.setup))
    for split in ("train", "val", "test"):
        assert both.rows.of(f"{split}/accuracy") == by_running.rows.of(f"{split}/accuracy")
        precise = both.rows.of(f"{split}/precise_accuracy")
        assert precise == by_population.rows.of(f"{split}/accuracy")
        assert sorted(precise) == [0, 3, 6]
    for split in ("val", "test"):
        assert both.rows.of(f"{split}/precise_loss") == by_population.rows.of(f"{split}/loss")
    assert both.rows.of("train/loss") == by_running.rows.of("train/loss")
    assert not both.rows.of("train/precise_loss")


def test_statistics_as_evaluated_are_taken_without_noise_and_dropout() -> None:
    """Which is what the network without either, at these weights, takes as it trains."""
    words = (*WORDS, "eval.precise=as_evaluated")
    run = trained(*words, *NOISE)
    model, (_, _, quiet) = run.setup.model, prepared(*WORDS, "norm.population=precise")
    names = {name.replace(".batch.", "."): values for name, values in model.state_dict().items()}
    quiet.model.load_state_dict(names)
    expected = by_hand(run.dataset, quiet.model)
    assert run.rows.of("test/precise_loss")[6] == pytest.approx(expected, rel=1e-12)
    as_trained = trained(*WORDS, *NOISE, "eval.precise=as_trained")
    assert as_trained.rows.of("test/precise_loss")[6] != pytest.approx(expected, rel=1e-3)


def test_without_a_population_both_evaluations_are_one() -> None:
    run = trained(*WORDS[:-1], "norm=none", "eval.precise=as_evaluated")
    for name in ("test/{}accuracy", "test/{}loss", "train/{}accuracy"):
        assert run.rows.of(name.format("precise_")) == run.rows.of(name.format(""))
