"""The paper's figures 5 and 6: accuracy and loss of both networks, and how activations move."""

from pathlib import Path

import pandas as pd
import torch

from normlab.data.gaussian import GaussianDataConfig
from normlab.figures import Panel, Reference, Sheet, draw_panels
from normlab.figures.parts import read_published
from normlab.figures.style import MODEL_NAMES

PUBLISHED = Path(__file__).parent / "published.csv"
RANKS = (4, 5, 6)
"""Of linear maps whose least loss is drawn."""
LAYERS = {"vgg11": ("conv2", "conv5", "conv8"), "vgg16": ("conv2", "conv9", "conv13")}


def draw(table: pd.DataFrame) -> Sheet:
    table = with_orders(table)
    of_linear = Panel(
        y="train/loss",
        where={"model": "deep_linear"},
        title="linear network of 25 layers",
        published=read_published(PUBLISHED),
        references=[
            Reference(value=loss, label=f"rank {rank}")
            for rank, loss in least_losses().items()
            if rank in RANKS
        ],
        logarithmic=True,
    )
    vgg = next((model for model in LAYERS if model in set(table["model"])), None)
    if vgg is None:
        return draw_panels(table, [[of_linear]], wide=1.6)
    of_vgg = {"model": vgg}
    drifts = [
        Panel(
            y=f"moment_drift/after_norm/mean/{layer}",
            y_label="change of a unit's mean",
            where=of_vgg,
            title=f"{layer}, from step to step",
        )
        for layer in LAYERS[vgg]
    ]
    accuracies = [
        Panel(y=f"{split}/accuracy", where=of_vgg, title=MODEL_NAMES[vgg])
        for split in ("train", "test")
    ]
    return draw_panels(table, [[*accuracies, of_linear], drifts])


def least_losses() -> dict[int, float]:
    """The least summed squared loss of a linear map of each rank on the linear network's samples.

    Targets are linear in the inputs, so it is what the targets' singular values beyond the rank
    come to, squared and summed (Eckart & Young 1936).
    """
    dataset = GaussianDataConfig().load(None, torch.float64, torch.device("cpu"))
    squares = torch.linalg.svdvals(dataset.train_targets).square()
    return {rank: squares[rank:].sum().item() for rank in range(len(squares) + 1)}


def with_orders(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the order p in the name of an lp norm."""
    is_lp = table["norm"] == "lp"
    names = table.loc[is_lp, "norm.p"].map(lambda order: f"lp p={float(order):g}")
    return table.assign(norm=table["norm"].astype(object).mask(is_lp, names))
