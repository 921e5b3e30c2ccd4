import dataclasses
from collections.abc import Iterable
from itertools import chain
from typing import Literal

import pytest
import torch
from torch import Tensor

from normlab.config.run import Split
from normlab.data import Batches, Dataset, evaluation_batches, steps_per_epoch
from normlab.data.augment import PADDING, crop_and_flip
from normlab.data.gaussian import GaussianDataConfig
from normlab.randomness import generator

Sampling = Literal["epoch", "with_replacement", "fixed_batches"]


def numbered(num_train: int = 23, num_test: int = 7) -> Dataset:
    """A data set whose samples say where they stood."""
    train, test = torch.arange(num_train), torch.arange(num_test)
    return Dataset(
        train_inputs=train.float().unsqueeze(1),
        train_targets=train,
        test_inputs=test.float().unsqueeze(1),
        test_targets=test,
        num_classes=num_train,
        checksum="numbered",
    )


def drawn(batches: Batches, steps: Iterable[int]) -> list[list[int]]:
    return [batches.at(step).targets.tolist() for step in steps]


def test_an_epoch_is_a_permutation_without_its_remainder() -> None:
    batches = Batches(numbered(), 5, seed=0)
    assert batches.steps_per_epoch == 4
    steps = [range(4 * epoch, 4 * epoch + 4) for epoch in range(3)]
    epochs = [list(chain.from_iterable(drawn(batches, of))) for of in steps]
    for epoch in epochs:
        assert len(epoch) == len(set(epoch)) == 20
    assert len({tuple(epoch) for epoch in epochs}) == 3
    left_out = [set(range(23)) - set(epoch) for epoch in epochs]
    assert left_out[0] != left_out[1]


def test_inputs_and_targets_belong_together() -> None:
    inputs, targets = Batches(numbered(), 5, seed=0).at(3)
    assert torch.equal(inputs.squeeze(1), targets.float())


@pytest.mark.parametrize("sampling", ["epoch", "with_replacement", "fixed_batches"])
def test_a_batch_is_a_function_of_seed_and_step(sampling: Sampling) -> None:
    steps = list(range(12))
    there = drawn(Batches(numbered(), 5, seed=3, sampling=sampling), steps)
    back = drawn(Batches(numbered(), 5, seed=3, sampling=sampling), reversed(steps))
    assert there == back[::-1]
    assert there != drawn(Batches(numbered(), 5, seed=4, sampling=sampling), steps)


def test_the_order_is_the_named_stream() -> None:
    expected = torch.randperm(23, generator=generator(6, "order", 1))[5:10]
    assert torch.equal(Batches(numbered(), 5, seed=6).at(5).targets, expected)


def test_with_replacement_draws_every_sample_alike() -> None:
    batches = Batches(numbered(), 23, seed=0, sampling="with_replacement")
    draws = torch.cat([batches.at(step).targets for step in range(400)])
    counts = torch.bincount(draws, minlength=23)
    # 400 expected each, standard deviation 19.6: five of them.
    assert counts.min() > 300
    assert counts.max() < 500
    assert any(len(batches.at(step).targets.unique()) < 23 for step in range(3))


def test_fixed_batches_hold_the_same_samples_in_every_epoch_and_come_in_a_new_order() -> None:
    fixed = Batches(numbered(), 5, seed=0, sampling="fixed_batches")
    first, *later = (drawn(fixed, range(4 * epoch, 4 * epoch + 4)) for epoch in range(6))
    assert first == drawn(Batches(numbered(), 5, seed=0), range(4))
    for epoch in later:
        assert sorted(epoch) == sorted(first)
    assert len({str(epoch) for epoch in [first, *later]}) > 1


def test_full_batches_are_shuffled() -> None:
    batches = Batches(numbered(), 23, seed=0)
    first, second = drawn(batches, range(2))
    assert sorted(first) == sorted(second) == list(range(23))
    assert first != second


def test_a_batch_larger_than_the_training_set_is_refused() -> None:
    with pytest.raises(ValueError, match="got batch_size=24 for 23 training samples"):
        Batches(numbered(), 24, seed=0)
    with pytest.raises(ValueError, match=r"Lower batch_size, or raise data.limit"):
        steps_per_epoch(10, 11)


def naive_crop_and_flip(images: Tensor, draws: torch.Generator) -> Tensor:
    shift = torch.randint(2 * PADDING + 1, (len(images), 2, 1), generator=draws)
    mirrored = torch.randint(2, (len(images), 1), generator=draws)
    padded = torch.zeros(*images.shape[:2], *(side + 2 * PADDING for side in images.shape[2:]))
    padded[:, :, PADDING:-PADDING, PADDING:-PADDING] = images
    height, width = images.shape[2:]
    crops = []
    for image, (top, left), flip in zip(padded, shift.squeeze(2).tolist(), mirrored, strict=True):
        crop = image[:, top : top + height, left : left + width]
        crops.append(crop.flip(2) if flip else crop)
    return torch.stack(crops)


def test_crop_and_flip_equals_its_naive_twin() -> None:
    images = torch.rand(64, 3, 9, 11, generator=generator(0, "images"))
    ours = crop_and_flip(images, generator(1, "augment"))
    assert torch.equal(ours, naive_crop_and_flip(images, generator(1, "augment")))
    assert ours.is_contiguous()


def test_augmentation_depends_on_seed_and_step_alone() -> None:
    images = torch.rand(12, 1, 8, 8, generator=generator(0, "images"))
    data = Dataset(
        train_inputs=images,
        train_targets=torch.arange(12),
        test_inputs=images,
        test_targets=torch.arange(12),
        num_classes=12,
        checksum="",
    )
    plain, augmented = Batches(data, 4, seed=0), Batches(data, 4, seed=0, augment=True)
    expected = crop_and_flip(plain.at(1).inputs, generator(0, "augment", 1))
    assert torch.equal(augmented.at(1).inputs, expected)
    assert torch.equal(augmented.at(1).targets, plain.at(1).targets)
    assert torch.equal(data.train_inputs, images)


def test_evaluation_sees_every_sample_once_in_one_shuffled_order() -> None:
    batches = list(evaluation_batches(numbered(), "test", 4, seed=0))
    assert [len(batch.targets) for batch in batches] == [4, 3]
    order = torch.cat([batch.targets for batch in batches])
    assert sorted(order.tolist()) == list(range(7))
    assert order.tolist() != list(range(7))
    again = torch.cat([b.targets for b in evaluation_batches(numbered(), "test", 7, seed=0)])
    assert torch.equal(order, again)
    other = torch.cat([b.targets for b in evaluation_batches(numbered(), "test", 7, seed=1)])
    assert not torch.equal(order, other)


@pytest.mark.parametrize(
    ("batch_size", "limit", "sizes"),
    [(3, None, [3, 4]), (6, None, [7]), (2, 5, [2, 3]), (3, 1, [1]), (1, 3, [1, 1, 1])],
)
def test_a_single_sample_left_over_joins_the_batch_before(
    batch_size: int, limit: int | None, sizes: list[int]
) -> None:
    batches = list(evaluation_batches(numbered(), "test", batch_size, seed=0, limit=limit))
    assert [len(batch.targets) for batch in batches] == sizes
    order = torch.cat([batch.targets for batch in batches])
    (whole,) = evaluation_batches(numbered(), "test", 7, seed=0)
    assert torch.equal(order, whole.targets[: sum(sizes)])


def test_training_accuracy_is_taken_on_a_subset_as_large_as_the_test_set() -> None:
    (batch,) = evaluation_batches(numbered(), "train", 100, seed=0)
    assert len(set(batch.targets.tolist())) == 7
    (smaller,) = evaluation_batches(numbered(), "train", 100, seed=0, limit=4)
    assert torch.equal(smaller.targets, batch.targets[:4])
    (whole,) = evaluation_batches(numbered(num_train=5), "train", 100, seed=0)
    assert sorted(whole.targets.tolist()) == list(range(5))


def test_noise_is_drawn_from_seed_and_step_for_the_inputs_alone() -> None:
    noisy = Batches(numbered(), 5, seed=3, noise=0.5)
    plain = Batches(numbered(), 5, seed=3)
    expected = torch.randn((5, 1), generator=generator(3, "noise/input", 2))
    assert torch.equal(noisy.at(2).inputs, plain.at(2).inputs + 0.5 * expected)
    assert torch.equal(noisy.at(2).targets, plain.at(2).targets)


def classes_of(num_samples: int, num_classes: int = 3) -> Dataset:
    """A data set whose samples say where they stood, with a few classes."""
    numbers = torch.arange(num_samples)
    targets = torch.randint(num_classes, (num_samples,), generator=generator(0, "classes"))
    return Dataset(
        train_inputs=numbers.float().unsqueeze(1),
        train_targets=targets,
        test_inputs=numbers.float().unsqueeze(1),
        test_targets=targets,
        num_classes=num_classes,
        checksum="classes",
    )


@pytest.mark.parametrize("sampling", ["epoch", "with_replacement", "fixed_batches"])
def test_a_batch_by_class_holds_the_same_samples_sorted_stably(sampling: Sampling) -> None:
    data = classes_of(40)
    plain = Batches(data, 16, seed=1, sampling=sampling)
    ordered = Batches(data, 16, seed=1, sampling=sampling, order_in_batch="by_class")
    for step in range(5):
        drawn = plain.indices(step).tolist()
        expected = sorted(drawn, key=lambda index: data.train_targets[index].item())
        assert ordered.indices(step).tolist() == expected != drawn
        batch = ordered.at(step)
        assert batch.inputs.squeeze(1).tolist() == expected
        assert torch.equal(batch.targets, data.train_targets[expected])


def test_evaluation_in_stored_order_sees_the_same_samples_where_they_lie() -> None:
    data = numbered()
    whole = list(evaluation_batches(data, "test", 4, seed=0, in_stored_order=True))
    assert [batch.targets.tolist() for batch in whole] == [[0, 1, 2, 3], [4, 5, 6]]
    assert whole[0].inputs.data_ptr() == data.test_inputs.data_ptr()  # nothing is copied
    cases: tuple[tuple[Split, int | None], ...] = (("train", None), ("test", 5))
    for split, limit in cases:
        shuffled = evaluation_batches(data, split, 3, seed=0, limit=limit)
        stored = list(evaluation_batches(data, split, 3, seed=0, limit=limit, in_stored_order=True))
        order = torch.cat([batch.targets for batch in stored])
        assert order.tolist() == sorted(torch.cat([b.targets for b in shuffled]).tolist())
        assert torch.equal(torch.cat([b.inputs for b in stored]).squeeze(1), order.float())


def test_evaluation_in_batches_of_one_class_sees_the_same_samples() -> None:
    data = classes_of(40)
    batches = list(evaluation_batches(data, "test", 4, seed=0, composition="one_class"))
    for batch in batches:
        assert len(batch.targets.unique()) == 1
    assert [batch.targets[0].item() for batch in batches] == sorted(
        batch.targets[0].item() for batch in batches
    )
    (whole,) = evaluation_batches(data, "test", 40, seed=0)
    order = whole.inputs.squeeze(1).long().tolist()
    expected = sorted(order, key=lambda index: data.test_targets[index].item())
    assert torch.cat([batch.inputs.squeeze(1) for batch in batches]).tolist() == expected


@pytest.mark.parametrize(
    ("batch_size", "limit", "sizes"),
    [(4, None, [4, 3, 4, 5, 1]), (3, None, [3, 4, 3, 3, 3, 1]), (1, 3, [1, 1, 1])],
)
def test_a_class_s_last_batch_is_smaller_and_never_a_left_over_sample(
    batch_size: int, limit: int | None, sizes: list[int]
) -> None:
    data = classes_of(17)
    targets = torch.tensor([0] * 7 + [1] * 9 + [2])
    data = dataclasses.replace(data, test_targets=targets)
    batches = evaluation_batches(
        data, "test", batch_size, seed=0, limit=limit, composition="one_class"
    )
    assert [len(batch.targets) for batch in batches] == sizes


def test_batches_by_class_of_a_regression_are_refused() -> None:
    data = dataclasses.replace(numbered(), num_classes=None)
    with pytest.raises(ValueError, match=r"eval.batches=one_class needs classes, .* regression"):
        next(evaluation_batches(data, "test", 4, seed=0, composition="one_class"))
    text = "data.order_in_batch=by_class needs classes; data=gaussian is a regression"
    with pytest.raises(ValueError, match=text):
        GaussianDataConfig(order_in_batch="by_class")
