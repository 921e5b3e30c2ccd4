"""A tidy table made up, of runs whose values are known."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure


def table_of(
    norms: Sequence[str] = ("none", "batch"),
    factors: Mapping[str, Sequence[Any]] | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    layers: Sequence[str] = (),
    outcome: Callable[[str, int], str] | None = None,
) -> pd.DataFrame:
    """Runs of 21 evaluations and 200 steps; accuracy at step t is exactly t / 200 + seed / 100."""
    factors, rows = factors or {}, []
    for norm, *levels in itertools.product(norms, *factors.values()):
        given = dict(zip(factors, levels, strict=True))
        cell = "-".join(map(str, [norm, *levels]))
        for seed in seeds:
            own = outcome(norm, seed) if outcome else "trained"
            base = {"run": f"{cell}-s{seed}", "cell": cell, "seed": seed, "norm": norm, **given}
            base |= {"outcome": own, "state": "finished", "chance": 0.1, "layer": None}
            end = 101 if own == "diverged" else 201
            for step in range(0, end, 10):
                value = step / 200 + seed / 100
                rows.append({**base, "step": step, "metric": "test/accuracy", "value": value})
                for depth, layer in enumerate(layers):
                    ics = 10.0**depth * (1 + seed)
                    row = {"step": step, "metric": "ics/l2", "layer": layer, "value": ics}
                    rows.append({**base, **row})
            for step in range(end - 1):
                loss = 2.3 - step / 100 + seed / 100
                rows.append({**base, "step": step, "metric": "train/loss", "value": loss})
            if own == "diverged":
                row = {"step": 100, "metric": "train/loss", "value": float("nan")}
                rows.append({**base, **row})
    return pd.DataFrame(rows)


def texts(figure: Figure) -> str:
    """Every text of a figure: titles, labels, legend, annotations."""
    found: list[Any] = figure.findobj(lambda one: hasattr(one, "get_text"))
    return "\n".join(text.get_text() for text in found)
