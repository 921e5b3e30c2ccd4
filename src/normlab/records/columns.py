"""The columns that every tidy table has; all others are settings of the runs.

A row is one recorded number.
"""

from __future__ import annotations

from collections.abc import Iterable

OF_RUN = ("run", "cell", "seed")
"""Names of the run that a number is of."""

ONCE_MORE = " as "
"""In `run`, what stands between the name of a run and the further arm that its numbers stand for
once more."""

OF_NUMBER = ("step", "metric", "layer", "value")
"""Where the number was recorded, of what, and the number."""

OF_END = ("state", "outcome", "chance")
"""How the run stands; chance is the accuracy of a constant answer on its data."""

TIDY = (*OF_RUN, *OF_NUMBER)
"""What a row has whatever its run is; `OF_END` and settings are joined to it."""

CATEGORIES = ("run", "cell", "metric", "layer")
"""Those of `TIDY` that repeat few words over many rows."""

FIXED = (*TIDY, *OF_END)
"""Names that no setting can have as a column."""


def settings_of(columns: Iterable[object]) -> list[str]:
    """Those of a table's columns that are settings of its runs."""
    return [str(column) for column in columns if column not in FIXED]


def factor_columns(columns: Iterable[object]) -> list[str]:
    """Those of a table's columns by which its rows can be told apart in a figure.

    >>> factor_columns(["run", "seed", "layer", "value", "norm"])
    ['seed', 'layer', 'norm']
    """
    single = {"run", "step", "metric", "value"}
    return [str(column) for column in columns if column not in single]


SUMMARY = "summary/"
"""In a table with a row a run, what stands before the name of a metric's last value."""


def summarized(columns: Iterable[object]) -> list[str]:
    """The metrics whose last values a table with a row a run has.

    >>> summarized(["run", "norm", "summary/train/loss"])
    ['train/loss']
    """
    names = map(str, columns)
    return [name.removeprefix(SUMMARY) for name in names if name.startswith(SUMMARY)]
