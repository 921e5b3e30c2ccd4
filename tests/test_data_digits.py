import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from normlab.data import load
from normlab.data.dataset import Dataset
from normlab.data.digits import DigitsConfig
from normlab.data.prepare import split_indices


def digits(size: int | None = None, dtype: torch.dtype = torch.float32, **settings: Any) -> Dataset:
    return load(DigitsConfig(**settings), size=size, dtype=dtype, device="cpu")


def test_digits_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    source = DigitsConfig().source()
    ours = torch.cat([source.train_inputs, source.test_inputs]).flatten(1).numpy()
    assert np.array_equal(ours, images)
    assert np.array_equal(torch.cat([source.train_targets, source.test_targets]).numpy(), labels)


def test_first_1500_train_last_297_test_in_unit_interval() -> None:
    data = digits(standardize=False)
    assert data.train_inputs.shape == (1500, 1, 8, 8)
    assert data.test_inputs.shape == (297, 1, 8, 8)
    assert data.train_inputs.min() == 0
    assert data.train_inputs.max() == 1
    assert data.train_inputs[0, 0, 0].tolist() == [v / 16 for v in (0, 0, 5, 13, 9, 1, 0, 0)]
    assert (data.task, data.num_classes) == ("classification", 10)
    assert data.chance == torch.bincount(data.train_targets).max().item() / 1500


def test_loading_imports_neither_sklearn_nor_torchvision() -> None:
    code = (
        "import sys, torch; from normlab.data import load; "
        "from normlab.data.digits import DigitsConfig; "
        "load(DigitsConfig(), size=32, dtype=torch.float32, device='cpu'); "
        "print(sorted({'sklearn', 'torchvision', 'pandas', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_checksum_is_of_the_stored_arrays_alone() -> None:
    plain = digits()
    assert plain.checksum == DigitsConfig(limit=10, resize=4, binarize=True).checksum()
    assert plain.checksum == "496b9b9397b7c22b2f71524ca34df6e9b141c183c5b2e7ebdbb7e685498e6f54"


def test_standardize_uses_the_training_samples_used() -> None:
    data = digits(limit=100, dtype=torch.float64)
    raw = DigitsConfig().source()
    used = raw.train_inputs[:100].double() / 16
    expected = (raw.test_inputs.double() / 16 - used.mean()) / used.std(correction=0)
    torch.testing.assert_close(data.test_inputs, expected, rtol=1e-12, atol=1e-12)
    assert abs(data.train_inputs.mean()) < 1e-12
    assert abs(data.train_inputs.std(correction=0) - 1) < 1e-12


def test_limit_takes_the_first_samples_as_stored() -> None:
    raw = DigitsConfig().source()
    assert torch.equal(digits(limit=7).train_targets, raw.train_targets[:7])
    assert digits(limit=7).test_inputs.shape[0] == 297


def test_resize_is_bilinear_and_antialiased() -> None:
    raw = DigitsConfig().source().test_inputs.double() / 16
    for size in (32, 5):
        data = digits(size=size, dtype=torch.float64, standardize=False)
        expected = F.interpolate(raw, (size, size), mode="bilinear", antialias=True)
        torch.testing.assert_close(data.test_inputs, expected, rtol=0, atol=0)


def test_binarize_after_resize_leaves_zeros_and_ones() -> None:
    grey = digits(size=12, standardize=False)
    binary = digits(size=12, standardize=False, binarize=True)
    assert torch.equal(binary.train_inputs, (grey.train_inputs >= 0.5).float())
    assert set(binary.train_inputs.unique().tolist()) == {0.0, 1.0}


def test_validation_split_is_a_disjoint_fixed_share() -> None:
    config = DigitsConfig(limit=1000, validation_fraction=0.25)
    assert (config.num_train_samples, config.num_val_samples) == (750, 250)
    train, val = split_indices(config)
    assert sorted([*train.tolist(), *val.tolist()]) == list(range(1000))
    assert train.tolist() == sorted(train.tolist())
    data = digits(limit=1000, validation_fraction=0.25)
    stored = config.source().train_targets
    assert torch.equal(data.train_targets, stored[train])
    assert torch.equal(data.samples("val")[1], stored[val])
    assert len(data.samples("val")[0]) == 250


def test_val_without_a_validation_split_is_refused() -> None:
    with pytest.raises(ValueError, match=r"give data.validation_fraction, such as 0.1"):
        digits().samples("val")


def test_a_validation_fraction_that_sets_nothing_aside_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0.01 of 50 training samples is none"):
        DigitsConfig(limit=50, validation_fraction=0.01).num_train_samples  # noqa: B018


def test_a_limit_beyond_the_training_set_is_refused() -> None:
    text = "data.limit must not exceed the 1500 training samples of data=digits; got 1501"
    with pytest.raises(ValueError, match=text):
        DigitsConfig(limit=1501).num_train_samples  # noqa: B018


def test_a_constant_channel_cannot_be_standardized() -> None:
    from normlab.data.prepare import channel_moments

    images = torch.rand(20, 3, 4, 4)
    images[:, 1] = 0.25
    with pytest.raises(ValueError, match="channel 1 has one value throughout"):
        channel_moments(images)


def test_a_process_loads_each_data_set_once() -> None:
    first = digits(size=16)
    assert digits(size=16) is first
    assert digits(size=16, sampling="with_replacement", augment=True) is first
    assert digits(size=16, order_in_batch="by_class") is first
    assert digits(size=16, dtype=torch.float64) is not first
