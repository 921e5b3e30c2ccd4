"""The experiment `whitening`: what it computes and draws."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import scipy.linalg
import torch
from support.runs import prepared

from experiments.whitening import figure
from experiments.whitening.compute import (
    EPS,
    Features,
    condition_number,
    cost,
    features,
    mean_correlation,
    small_batch,
    whitened,
)
from normlab.metrics.declared import load_metrics
from normlab.training.trained import Trained

KINDS: tuple[Features, ...] = (
    "before batch normalization",
    "behind batch normalization",
    "whitened",
)


def mixed(num_samples: int = 200, num_features: int = 5) -> torch.Tensor:
    draws = torch.Generator().manual_seed(0)
    shape = (num_samples, num_features)
    values = torch.randn(shape, generator=draws, dtype=torch.float64)
    mixing = torch.randn((num_features, num_features), generator=draws, dtype=torch.float64)
    return values @ mixing + 3


def test_whitening_is_the_inverse_root_of_the_covariance() -> None:
    inputs = mixed()
    centered = inputs - inputs.mean(0)
    covariance = (centered.T @ centered / len(inputs)).numpy() + EPS * torch.eye(5).numpy()
    root = torch.from_numpy(scipy.linalg.inv(scipy.linalg.sqrtm(covariance)))
    torch.testing.assert_close(whitened(inputs), centered @ root, rtol=0, atol=1e-9)
    assert torch.autograd.gradcheck(whitened, mixed(12, 3).requires_grad_())


def test_white_features_are_uncorrelated_and_round() -> None:
    outputs = whitened(mixed(), eps=0.0)
    identity = torch.eye(5, dtype=torch.float64)
    torch.testing.assert_close(torch.cov(outputs.T, correction=0), identity, rtol=0, atol=1e-9)
    assert mean_correlation(outputs) < 1e-12
    assert condition_number(outputs) == pytest.approx(1)


def test_correlation_and_condition_number_of_two_features() -> None:
    """Correlation r and equal variances: eigenvalues 1 + r and 1 - r."""
    white = whitened(mixed(100, 2), eps=0.0)
    both = torch.stack([white[:, 0], 0.6 * white[:, 0] + 0.8 * white[:, 1]], 1)
    assert mean_correlation(both) == pytest.approx(0.6)
    assert condition_number(both) == pytest.approx(1.6 / 0.4)


def test_batch_normalization_leaves_correlations_as_they_are() -> None:
    config, _, setup = prepared("model=mlp", "norm=batch", "model.widths=[9,8]")
    model = setup.model.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = {
        kind: features(seed=0, trained=Trained(config, model), features_of=kind)
        .set_index(["metric", "layer"])["value"]
        .xs("whitening/correlation")
        for kind in KINDS
    }
    assert list(found["whitened"].index) == ["norm1", "norm2"]
    pd.testing.assert_series_equal(found[KINDS[0]], found[KINDS[1]], rtol=1e-5)
    assert found["whitened"].max() < 1e-6
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]) or "num_batches" in name


@pytest.mark.parametrize(("samples", "rank"), [(3, 2), (8, 7), (40, 8)])
def test_a_batch_has_a_rank_below_its_size(samples: int, rank: int) -> None:
    assert small_batch(seed=0, width=8, samples=samples)["value"].item() == rank


def test_costs_are_of_one_step_each() -> None:
    table = cost(seed=0, width=4)
    seconds = table.dropna(subset=["method"]).set_index("method")["value"]
    ratios = table[table["method"].isna()].set_index("metric")["value"]
    assert ratios["whitening/cost_ratio"] == seconds["whitening"] / seconds["batch"]
    assert ratios["whitening/decomposition_share"] < 1


def test_the_figure_keeps_what_one_run_has_apart() -> None:
    load_metrics(Path(figure.__file__).parent)
    rows: list[dict[str, Any]] = []
    for seed in (0, 1):
        for method, value in (("batch", 1.0), ("whitening", 20.0), ("decomposition", 9.0)):
            own = {"metric": "whitening/seconds", "method": method, "width": 32}
            rows.append({**own, "value": value + seed, "seed": seed, "run": f"cost-s{seed}"})
        for layer in ("norm1", "norm2"):
            own = {"metric": "whitening/correlation", "features_of": "whitened", "layer": layer}
            rows.append({**own, "value": 0.1, "seed": seed, "run": f"features-s{seed}"})
    table = pd.DataFrame(rows).assign(state="finished", outcome="computed", step=0, samples=None)
    drawn = figure.draw(table.assign(cell=table["run"].str[:-3]))
    (legend,) = drawn.figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert "batch normalization  n=2" in texts
    assert "whitening  n=2" in texts
