"""One weight under a penalty: the curves, the minimum in closed form, and where descent ends.

The weight is fitted to samples x ~ N(4.5, 1) by the loss 1/2 mean (w - x)^2, over all of them
1/2 (w - 4.5)^2 plus a constant. L2 adds 1/2 lambda w^2, L1 adds alpha |w|.
"""

import pandas as pd
import torch

from normlab.objectives import Penalty
from normlab.randomness import generator

MINIMUM = 4.5
LEARNING_RATE = 0.01
NUM_STEPS = 800
BATCH_SIZE = 100


def penalized_minimum(*, seed: int, penalty: str, strength: float) -> pd.DataFrame:
    """Loss, penalty and their sum over `weight`; the sum's minimum; where descent ended.

    Args:
        penalty: l2 or l1.
        strength: lambda of L2, alpha of L1.
    """
    weights = [round(-1 + 0.1 * place, 1) for place in range(81)]
    losses = [0.5 * (weight - MINIMUM) ** 2 for weight in weights]
    penalties = [
        _penalty(torch.tensor([weight], dtype=torch.float64), penalty, strength).value().item()
        for weight in weights
    ]
    sums = [loss + added for loss, added in zip(losses, penalties, strict=True)]
    curves = [
        pd.DataFrame({"metric": f"one_weight/{part}", "value": values, "weight": weights})
        for part, values in {"loss": losses, "penalty": penalties, "sum": sums}.items()
    ]
    points = {
        "one_weight/minimum": closed_form(penalty, strength),
        "one_weight/end": descend(seed, penalty, strength),
    }
    ends = pd.DataFrame({"metric": list(points), "value": list(points.values())})
    return pd.concat([*curves, ends], ignore_index=True)


def closed_form(penalty: str, strength: float) -> float:
    """Where 1/2 (w - 4.5)^2 and the penalty together are least."""
    if penalty == "l2":
        return MINIMUM / (1 + strength)
    assert penalty == "l1", penalty
    return max(0.0, MINIMUM - strength)


def descend(seed: int, penalty: str, strength: float) -> float:
    """Where stochastic gradient descent, as normlab trains, ends from a random start."""
    source = generator(seed, "one weight")
    weight = torch.randn(1, generator=source, dtype=torch.float64)
    weight.grad = torch.zeros_like(weight)
    added = _penalty(weight, penalty, strength)
    samples = torch.randn(NUM_STEPS, BATCH_SIZE, generator=source, dtype=torch.float64)
    for batch_mean in MINIMUM + samples.mean(1):
        weight.grad.copy_(weight - batch_mean)
        added.add_gradient_()
        weight -= LEARNING_RATE * weight.grad
    return weight.item()


def _penalty(weight: torch.Tensor, penalty: str, strength: float) -> Penalty:
    return Penalty([weight], **{penalty: strength})
