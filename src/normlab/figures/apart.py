"""What a view of many runs would average over unasked, and where it is shown instead."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from normlab.analysis.values import is_metric, runs_of
from normlab.figures.style import level_texts, ordered
from normlab.figures.tables import labelled
from normlab.metrics import split_name

SETTING = "setting"
"""The column of combinations of several settings, as texts."""

MOST_HUES, MOST_PANELS, MOST_DASHES, MOST_ROWS = 12, 12, 5, 4
"""Combinations that are told apart by colour, in panels, by dash, in rows."""


def fitting(runs: pd.DataFrame, settings: Sequence[str], most: int) -> tuple[list[str], list[str]]:
    """Settings with at most so many combinations together, and those left out for that."""
    kept, left = list(settings), []
    while kept and count_combinations(runs, kept) > most:
        largest = max(kept, key=lambda key: runs[key].nunique(dropna=False))
        kept.remove(largest)
        left.append(largest)
    return kept, left


def varying_runs(table: pd.DataFrame, y: str) -> pd.DataFrame:
    """A row a run that has recorded `y`."""
    metric, _ = split_name(y)
    return runs_of(table[is_metric(table, y) | is_metric(table, metric)])


def count_combinations(runs: pd.DataFrame, settings: Sequence[str]) -> int:
    """How many combinations of these settings there are."""
    return len(runs[list(settings)].astype(str).drop_duplicates()) if settings else 1


def with_setting(table: pd.DataFrame, settings: Sequence[str]) -> pd.DataFrame:
    """The table with the column `SETTING`: the combination of each run, in the order shown."""
    table = labelled(table, settings)
    texts = setting_texts(runs_of(table), settings)
    order = list(dict.fromkeys(texts.values()))
    column = pd.Categorical(table["run"].astype(str).map(texts), order, ordered=True)
    return table.assign(**{SETTING: column})


def setting_texts(runs: pd.DataFrame, factors: Sequence[str]) -> dict[str, str]:
    """The combination of `factors` of each run as a text, in the order they are shown."""
    levels = {factor: ordered(factor, list(runs[factor].unique())) for factor in factors}
    texts = {factor: level_texts(levels[factor]) for factor in factors}
    # `lr` for `optimizer.lr`: titles are narrow
    names = {factor: factor.rsplit(".", 1)[-1] for factor in factors}
    keyed = []
    for run in runs.to_dict("records"):
        rank = tuple(levels[factor].index(run[factor]) for factor in factors)
        text = ", ".join(f"{names[f]}={texts[f][run[f]]}" for f in factors)
        keyed.append((rank, str(run["run"]), text))
    return {run: text for _, run, text in sorted(keyed)}
