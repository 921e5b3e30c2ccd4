"""The experiment `instance_norm_contrast`: what it computes, claims and draws."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from support.runs import prepared

from experiments.instance_norm_contrast import claims, figure
from experiments.instance_norm_contrast.compute import first_layer_change, up_to_first_norm
from normlab.metrics.declared import load_metrics
from normlab.models.chain import Chain
from normlab.models.layers import Conv2d
from normlab.norms.instance import InstanceNorm
from normlab.training.trained import Trained


def test_without_borders_instance_normalization_does_not_see_contrast() -> None:
    torch.manual_seed(0)
    chain = Chain(
        [
            ("conv1", Conv2d(3, 4, 3, stride=1, padding=0)),
            ("norm1", InstanceNorm(4, eps=1e-14, affine=True)),
        ]
    ).double()
    for parameter in chain.parameters():
        torch.nn.init.normal_(parameter)
    images = torch.rand(5, 3, 8, 8, dtype=torch.float64)
    mean = images.mean((2, 3), keepdim=True)
    before, after = (up_to_first_norm(chain, x) for x in (images, mean + 0.15 * (images - mean)))
    torch.testing.assert_close(after, before, rtol=0, atol=1e-9)


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_the_change_is_that_of_a_convolution_and_a_norm_by_hand(norm: str) -> None:
    words = ("model=vgg11", "model.width=0.0625", f"norm={norm}", "precision=float64")
    config, _, setup = prepared(*words, "data.resize=32")
    model = setup.model.eval()
    table = first_layer_change(seed=0, trained=Trained(config, model), severity=3)
    raw = prepared(*words, "data.resize=32", "data.standardize=false")[1]
    images = raw.test_inputs
    mean = images.mean((2, 3), keepdim=True)
    shift, scale = raw.train_inputs.mean(), raw.train_inputs.std(correction=0)
    weight = dict(model.named_parameters())["conv1.weight"]
    parts = []
    for batch in (images, mean + 0.4 * (images - mean)):
        outputs = F.conv2d((batch - shift) / scale, weight, padding=1)
        if norm == "instance":
            centered = outputs - outputs.mean((2, 3), keepdim=True)
            outputs = centered / (centered.square().mean((2, 3), keepdim=True) + 1e-5).sqrt()
        parts.append(outputs[:500])
    expected = (parts[1] - parts[0]).norm() / parts[0].norm()
    assert table["value"].item() == pytest.approx(expected.item(), rel=1e-9)


def made_table() -> pd.DataFrame:
    """Two seeds: batch loses 0.3 and 0.2, instance 0.1 and 0.15; at severity 5 all is lost."""
    rows: list[dict[str, Any]] = []
    lost = {"batch": (0.3, 0.2), "instance": (0.1, 0.15)}
    for norm, points in lost.items():
        for seed, point in enumerate(points):
            facts: dict[str, Any] = {"norm": norm, "seed": seed, "data.corruption_severity": 5}
            name = f"trained norm={norm}"
            trained = {**facts, "arm": name, "data.test_corruption": "none"}
            rows += [{**trained, "step": step, "value": 0.1 + step / 10} for step in (0, 5)]
            low = {**facts, "data.test_corruption": "contrast", "start_from": f"{name}@end"}
            for severity, value in ((3, 0.6 - point), (5, 0.0)):
                arm = f"low contrast norm={norm} severity={severity}"
                low |= {"data.corruption_severity": severity, "arm": arm}
                rows.append({**low, "step": 0, "value": value})
    table = pd.DataFrame(rows).assign(metric="test/accuracy", chance=0.1, layer=None)
    table = table.assign(state="finished", outcome="trained")
    return table.assign(cell=table["arm"], run=table["arm"] + "-s" + table["seed"].astype(str))


def test_what_is_lost_is_counted_by_seed() -> None:
    beyond = claims.lost_by_batch_beyond_instance(made_table())
    assert beyond == {0: pytest.approx(0.2), 1: pytest.approx(0.05)}


def test_the_figure() -> None:
    load_metrics(Path(figure.__file__).parent)
    rows = figure.with_contrast(made_table())
    assert sorted(rows["contrast"].unique()) == [0.15, 0.4, 1.0]
    lost = figure.lost(rows).set_index(["norm", "seed", "contrast"])["value"]
    assert lost["batch", 0, 0.4] == pytest.approx(0.3)
    assert (lost[:, :, 1.0] == 0).all()
    axes = figure.draw(made_table()).figure.axes
    assert "what low contrast costs" in [axis.get_title() for axis in axes]
