from pathlib import Path
from typing import Any

import pytest
import torch
from support.runs import carried_out, planned, prepared

from normlab.config import DataConfig
from normlab.data.dataset import Dataset
from normlab.data.gaussian import GaussianDataConfig
from normlab.records.rows import lines_of, read_rows


def load(config: DataConfig, dtype: torch.dtype = torch.float64) -> Dataset:
    return config.load(None, dtype, torch.device("cpu"))


def test_targets_are_one_linear_map_of_both_splits() -> None:
    data = load(GaussianDataConfig())
    assert data.train_inputs.shape == data.train_targets.shape == (1000, 10)
    assert (data.task, data.num_classes, data.chance) == ("regression", None, None)
    A = torch.linalg.lstsq(data.train_inputs, data.train_targets).solution
    torch.testing.assert_close(data.test_inputs @ A, data.test_targets, rtol=1e-10, atol=1e-10)
    assert not torch.equal(data.train_inputs, data.test_inputs)


def test_inputs_are_standard_normal() -> None:
    inputs = load(GaussianDataConfig(num_samples=20_000)).train_inputs
    covariance = inputs.T @ inputs / len(inputs)
    # Standard errors are 0.007 for the mean, 0.007 and 0.01 for the second moments.
    assert inputs.mean(0).abs().max() < 0.035
    assert (covariance - torch.eye(10, dtype=torch.float64)).abs().max() < 0.05


def test_the_seed_alone_decides_the_draws() -> None:
    first, again = load(GaussianDataConfig()), load(GaussianDataConfig())
    assert torch.equal(first.train_inputs, again.train_inputs)
    single = load(GaussianDataConfig(), torch.float32)
    assert torch.equal(single.train_targets, first.train_targets.float())
    other = GaussianDataConfig(seed=1)
    assert other.checksum() != first.checksum
    assert GaussianDataConfig(limit=5, validation_fraction=0.5).checksum() == first.checksum


def test_each_seed_may_draw_a_map_and_samples_of_its_own() -> None:
    """A cell holds the runs of all seeds, so its checksum is one; their data are not."""
    config = GaussianDataConfig(num_samples=20, redrawn=True)
    first, second = (load(config.of_run(seed)) for seed in (0, 1))
    assert not torch.equal(first.train_inputs, second.train_inputs)
    maps = [torch.linalg.lstsq(d.train_inputs, d.train_targets).solution for d in (first, second)]
    assert (maps[0] - maps[1]).abs().max() > 0.1
    assert torch.equal(load(config.of_run(1)).train_targets, second.train_targets)
    elsewhere = GaussianDataConfig(num_samples=20, redrawn=True, seed=1)
    assert not torch.equal(load(elsewhere.of_run(0)).train_inputs, first.train_inputs)
    assert config.checksum() == GaussianDataConfig(num_samples=20).checksum()
    shared = GaussianDataConfig(num_samples=20)
    assert shared.of_run(0) == shared.of_run(1) == shared
    with pytest.raises(ValueError, match=r"each seed of a run has data of its own"):
        load(config)


def test_a_run_is_trained_on_the_data_of_its_seed(tmp_path: Path) -> None:
    """The first loss is that of the seed's own draws, in one cell with the other seeds."""
    data_words = ("data=gaussian", "data.num_samples=20", "data.limit=null", "batch_size=20")
    words = ("model=deep_linear", *data_words, "optimizer.lr=1e-7", "steps=1", "precision=float64")
    own = (*words, "data.redrawn=true")
    runs = [planned(*own, f"seed={seed}", results_dir=tmp_path) for seed in (0, 1)]
    for seed, run in enumerate(runs):
        carried_out(run)
        data = load(GaussianDataConfig(num_samples=20, redrawn=True).of_run(seed))
        _, _, setup = prepared(*own, f"seed={seed}")
        loss = setup.loss(setup.model(data.train_inputs), data.train_targets).item()
        recorded = lines_of(read_rows(run.folder.path))
        assert recorded[0]["train/loss"] == pytest.approx(loss, rel=1e-12)
    assert runs[0].identity.cell == runs[1].identity.cell
    assert runs[0].identity.cell != planned(*words, results_dir=tmp_path).identity.cell


def test_limit_and_standardize() -> None:
    data = load(GaussianDataConfig(limit=100, standardize=True))
    assert data.num_train == 100
    assert data.train_inputs.mean(0).abs().max() < 1e-12
    assert torch.equal(data.train_targets, load(GaussianDataConfig()).train_targets[:100])


def test_standardizing_leaves_the_kept_draws_alone() -> None:
    config = GaussianDataConfig(num_samples=20, standardize=True)
    first, again = load(config), load(config)
    assert torch.equal(first.test_inputs, again.test_inputs)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"augment": True}, "data.augment needs images; data=gaussian holds vectors"),
        ({"binarize": True}, "data.binarize needs images"),
        ({"resize": 8}, "data.resize needs images"),
        ({"num_features": 0}, "data.num_features must be 1 or greater; got 0"),
    ],
)
def test_settings_for_images_are_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        GaussianDataConfig(**settings)
