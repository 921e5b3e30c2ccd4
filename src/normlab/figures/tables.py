"""Rows and levels of the tidy table, as figures choose them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from normlab.figures.style import UNSET, level_texts, ordered, require
from normlab.records.columns import factor_columns


def require_factors(table: pd.DataFrame, **arguments: str | None) -> None:
    """Refuse factors that are not in the table, by the arguments that were given them.

    Raises:
        ValueError: the argument and the nearest factor are named.
    """
    for argument, factor in arguments.items():
        if factor not in (None, "layer", "step"):
            require(factor, factor_columns(table.columns), "factor", argument)


def labelled(table: pd.DataFrame, factors: Sequence[str]) -> pd.DataFrame:
    """The table with "unset" where one of `factors` is missing for a run.

    Raises:
        ValueError: if one of them is not in the table; the nearest is named.
    """
    for factor in factors:
        if factor in ("layer", "step"):
            continue
        require(factor, factor_columns(table.columns), "factor")
        if table[factor].isna().any():
            column = table[factor].astype(object)
            table = table.assign(**{factor: column.where(column.notna(), UNSET)})
    return table


def levels_of(frame: pd.DataFrame, factor: str | None) -> tuple[Any, ...]:
    """The levels of a factor in the order they are shown; None alone without a factor."""
    if factor is None:
        return (None,)
    dtype = frame[factor].dtype
    if isinstance(dtype, pd.CategoricalDtype) and dtype.ordered:
        there = set(frame[factor].dropna())
        return tuple(level for level in dtype.categories if level in there)
    return tuple(ordered(factor, list(frame[factor].unique())))


def rows_where(frame: pd.DataFrame, chosen: Mapping[str, Any]) -> pd.DataFrame:
    """The rows with these levels; a factor that the frame lacks chooses nothing."""
    for factor, level in chosen.items():
        if factor in frame:
            column = frame[factor]
            frame = frame[column.isna() if pd.isna(level) else column == level]
    return frame


def level_words(levels: Sequence[Any]) -> dict[Any, str]:
    """Levels as words: `batch_channel` is what one types."""
    return {level: text.replace("_", " ") for level, text in level_texts(levels).items()}
