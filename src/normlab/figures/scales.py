"""Scales and limits of axes, where somebody asks for others than the values suggest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from normlab.analysis.values import is_metric

Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Scales:
    """What is asked of x and y; a logarithmic y has geometric means."""

    log_x: bool = False
    log_y: bool = False
    x_limits: Interval | None = None
    y_limits: Interval | None = None

    def __post_init__(self) -> None:
        for name, limits in (("x", self.x_limits), ("y", self.y_limits)):
            if limits is not None and not limits[0] < limits[1]:
                raise ValueError(
                    f"the limits of {name} must be two numbers, the smaller one first; got "
                    f"{limits[0]:g} and {limits[1]:g}."
                )

    def check(self, table: pd.DataFrame, y: str) -> None:
        """
        Raises:
            ValueError: a logarithmic axis has no place for a value of y.
        """
        values = table["value"][is_metric(table, y)].to_numpy(dtype=np.float64)
        if self.log_y and (values <= 0).any():
            raise ValueError(
                f"{y} must be greater than 0 to be drawn on a logarithmic axis; it goes down to "
                f"{np.nanmin(values):g} in these runs. Leave out logy."
            )

    def apply(self, axes: Iterable[Axes], *, has_categories: bool) -> None:
        """Give panels what is asked for.

        Raises:
            ValueError: x shows words, which have no scale and no limits.
        """
        if has_categories and (self.log_x or self.x_limits):
            raise ValueError(
                "a logarithmic x, and limits of x, are for numbers; x shows words here. Leave out "
                "logx and xlim."
            )
        for axis in axes:
            if self.log_x:
                _log_x(axis)
            if self.x_limits:
                axis.set_xlim(self.x_limits)
            if self.y_limits:
                axis.set_ylim(self.y_limits)


AS_NEEDED = Scales()


def _log_x(axis: Axes) -> None:
    least, least_positive = axis.dataLim.x0, axis.dataLim.minposx
    if least == 0 and np.isfinite(least_positive):
        # step 0 has a place as well
        axis.set_xscale("symlog", linthresh=least_positive)
        axis.set_xlim(0, None)
    else:
        axis.set_xscale("log")
