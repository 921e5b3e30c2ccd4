"""The experiment `batch_of_one`: what it computes and draws."""

from typing import Any

import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from experiments.batch_of_one import figure
from experiments.batch_of_one.compute import EPS, GROUPS, NUM_FEATURES, normalized, response
from normlab.norms.batch import BatchConfig


def test_the_formulas_are_those_of_torch() -> None:
    inputs = torch.randn(5, NUM_FEATURES, dtype=torch.float64)
    expected = {
        "batch": F.batch_norm(inputs, None, None, training=True, eps=EPS),
        "layer": F.layer_norm(inputs, (NUM_FEATURES,), eps=EPS),
        "group": F.group_norm(inputs, GROUPS, eps=EPS),
    }
    for norm, outputs in expected.items():
        torch.testing.assert_close(normalized(inputs, norm), outputs, rtol=0, atol=1e-12)


def test_batch_normalization_of_one_value_is_a_constant_and_is_refused() -> None:
    table = response(seed=0, layer_norm="batch").set_index("metric")["value"]
    assert table.to_dict() == {"one/response": 0.0, "one/gradient": 0.0}
    layer = BatchConfig().build(NUM_FEATURES)
    with pytest.raises(ValueError, match="a feature's values in the batch"):
        layer(torch.randn(1, NUM_FEATURES))


def test_two_samples_of_layer_normalization_are_as_far_apart_as_their_correlation_says() -> None:
    """For standardized x and y, mean (x - y)^2 = 2 - 2 corr(x, y), but for eps."""
    draws = torch.Generator().manual_seed(1)
    x, y = torch.randn(2, 1, NUM_FEATURES, generator=draws, dtype=torch.float64)
    moved = (normalized(y, "layer") - normalized(x, "layer")).square().mean()
    correlation = torch.corrcoef(torch.cat([x, y]))[0, 1]
    assert moved.item() == pytest.approx((2 - 2 * correlation).item(), rel=1e-4)


def made_table() -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for name, end in (("one at a time", 0.6), ("in batches", 0.9)):
        arm = {"arm": f"{name} norm=batch", "norm": "batch"}
        rows += [{**arm, "step": step, "value": value} for step, value in ((0, 0.1), (9, end))]
        child = {"norm": "batch", "step": 0, "start_from": f"{name} norm=batch@end"}
        own = f"one at a time, by its own statistics start_from={name} norm=batch@end"
        rows.append({**child, "arm": own, "value": end - 0.5})
    running = {"arm": "one at a time, by running averages", "norm": "batch", "step": 0}
    rows.append({**running, "start_from": "in batches norm=batch@end", "value": 0.9})
    table = pd.DataFrame(rows).assign(seed=0, metric="test/accuracy", layer=None, chance=0.1)
    table = table.assign(state="finished", outcome="trained", cell=table["arm"])
    return table.assign(run=table["arm"] + "-s0")


def test_each_evaluation_stands_at_its_use() -> None:
    used = figure.used(made_table()).set_index(["trained", "use"])["value"].to_dict()
    assert used == {
        ("one at a time", 1): 0.6,
        ("one at a time", 2): pytest.approx(0.1),
        ("in batches", 0): 0.9,
        ("in batches", 1): 0.9,
        ("in batches", 2): pytest.approx(0.4),
    }
    assert len(figure.draw(made_table()).figure.axes) == 4
