"""How every figure looks: one colour, marker and dash for each normalization, the same everywhere.

Twelve colours cannot all be told apart by everyone, so marker and dash differ too, and the four
most compared (none, batch, layer, group) have the four colours farthest apart under every common
colour blindness (from Okabe & Ito 2008; none is dark grey).
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import matplotlib.colors
import seaborn as sns

from normlab import metrics


@dataclass(frozen=True, kw_only=True)
class Look:
    """How one level of a factor is drawn."""

    color: str
    marker: str = "o"
    dash: tuple[float, ...] = ()
    """Lengths of ink and gap in points; empty: a solid line."""

    @property
    def linestyle(self) -> Any:
        return (0, self.dash) if self.dash else "-"


NORM_LOOKS: dict[str, Look] = {
    "none": Look(color="#4d4d4d", marker="o"),
    "batch": Look(color="#0072b2", marker="s"),
    "batch_noisy": Look(color="#56b4e9", marker="X", dash=(4, 1.5)),
    "noise": Look(color="#a6a6a6", marker="x", dash=(1, 1.5)),
    "batch_ghost": Look(color="#332288", marker="P", dash=(6, 1.5, 1, 1.5)),
    "batch_renorm": Look(color="#44aabb", marker="p", dash=(2.5, 1)),
    "layer": Look(color="#d55e00", marker="^"),
    "instance": Look(color="#cc79a7", marker="v", dash=(4, 1.5)),
    "group": Look(color="#009e73", marker="D"),
    "rms": Look(color="#e69f00", marker="<", dash=(5, 1)),
    "lp": Look(color="#882255", marker="*", dash=(3, 1, 1, 1)),
    "batch_channel": Look(color="#999933", marker=">", dash=(6, 2)),
}

VARIANT_LOOKS: dict[str, Look] = {
    "lp p=1": Look(color="#e08bb0", marker="^", dash=(3, 1, 1, 1)),
    "lp p=2": Look(color="#b0357a", marker="*", dash=(4, 1.5)),
    "lp p=inf": Look(color="#5e0f38", marker="v", dash=(1.5, 1)),
}
"""Variants of one norm, shades of its colour, where a figure sets them side by side; the figure's
`norm` column then names them."""

STAND_IN_LOOKS: dict[str, Look] = {
    "SkipInit": Look(color="#a6761d", marker="^", dash=(4, 1.5)),
    "Fixup": Look(color="#e7298a", marker="D", dash=(1.5, 1)),
}
"""What stands in for a normalization, named in the figure's `norm` column in the same way."""

_NAMED_LOOKS = NORM_LOOKS | VARIANT_LOOKS | STAND_IN_LOOKS

NORM_COLORS: dict[str, str] = {norm: look.color for norm, look in NORM_LOOKS.items()}

_OTHERS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#4d4d4d", "#882255")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "p", "h")
_DASHES: tuple[tuple[float, ...], ...] = ((), (4, 1.5), (1, 1.2), (6, 1.5, 1, 1.5), (2.5, 1))

REFERENCE_COLOR = "#777777"
PUBLISHED_COLOR = "#000000"
STRIP_COLOR = "#eeeeee"
DIVERGED_MARKER = "x"
STUCK_MARKER = "o"

_SETTINGS: dict[str, Any] = {
    "figure.dpi": 150,
    "savefig.dpi": 150,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.07,
    "figure.constrained_layout.h_pad": 0.06,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.title_fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.edgecolor": "#444444",
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    # the same figure gives the same bytes
    "svg.hashsalt": "normlab",
}


@contextmanager
def styled() -> Iterator[None]:
    """Everything drawn or saved inside looks like normlab; settings outside stay as they are."""
    settings: Any = {**sns.axes_style("whitegrid"), **_SETTINGS}
    with mpl.rc_context(settings):
        yield


def looks(factor: str | None, levels: Sequence[Any]) -> dict[Any, Look]:
    """A look for each level: norms have their own, numbers a ramp from light to dark.

    A variant of a norm is written after a comma ("group, standardized weights") and has the norm's
    color, lighter and dotted.
    """
    if factor == "norm" and all(_norm_of(level) in _NAMED_LOOKS for level in levels):
        return {level: _norm_look(level) for level in levels}
    if len(levels) > 1 and all(_is_number(level) for level in levels):
        ramp = [
            mpl.colors.to_hex(mpl.colormaps["viridis"](0.85 - 0.8 * i / (len(levels) - 1)))
            for i in range(len(levels))
        ]
        return {
            level: Look(color=ramp[i], marker=_MARKERS[i % len(_MARKERS)])
            for i, level in enumerate(levels)
        }
    return {
        level: Look(
            color=_OTHERS[i % len(_OTHERS)],
            marker=_MARKERS[i % len(_MARKERS)],
            dash=_DASHES[i // len(_OTHERS) % len(_DASHES)],
        )
        for i, level in enumerate(levels)
    }


def dashes(levels: Sequence[Any]) -> dict[Any, tuple[float, ...]]:
    """A dash for each level of the factor that `style` shows."""
    return {level: _DASHES[i % len(_DASHES)] for i, level in enumerate(levels)}


def table_colors() -> Any:
    """White to a light blue: black text stands on all of it."""
    return sns.light_palette("#56b4e9", as_cmap=True)


def ordered(factor: str | None, levels: Sequence[Any]) -> list[Any]:
    """Levels in the order they are shown: norms as in the registry above, numbers by size."""
    if factor == "norm":
        places = {norm: place for place, norm in enumerate(_NAMED_LOOKS)}
        return sorted(levels, key=lambda one: (places.get(_norm_of(one), 99), str(one)))
    if all(_is_number(level) for level in levels):
        return sorted(levels)
    # conv10 comes after conv2
    return sorted(levels, key=lambda one: [*map(_numeral, re.split(r"(\d+)", str(one)))])


MODEL_NAMES: Mapping[str, str] = {
    "vgg11": "VGG-11",
    "vgg16": "VGG-16",
    "deep_linear": "linear network",
}
"""Networks as titles call them."""

SETTING_LABELS: Mapping[str, str] = {
    "model": "network",
    "norm": "normalization",
    "init": "initialization",
    "optimizer.lr": "learning rate",
    "batch_size": "batch size [samples]",
    "dropout": "dropout rate",
    "depth": "depth [weight layers]",
    "init.scale": "scale of the initial weights",
    "norm.groups": "groups of channels",
    "norm.ghost_size": "normalization batch size [samples]",
    "regularizer.l1": "strength of L1",
    "regularizer.l2": "strength of L2",
    "noise.input": "deviation of the inputs' noise",
    "noise.activation": "deviation of the activations' noise",
}
"""Settings as axes call them; others are called what they are on the command line."""


def axis_text(name: str) -> str:
    """A metric's label and unit from the registry, or what a setting is called."""
    try:
        return metrics.axis_text(name)
    except ValueError:
        return SETTING_LABELS.get(name, name)


def level_text(level: Any, digits: int = 3) -> str:
    """A level as a reader wants it: 0.000185, not 0.00018478; `unset` for what is missing."""
    if _is_number(level):
        return f"{level:.{max(digits, len(str(level))) if level == int(level) else digits}g}"
    if level is None or (isinstance(level, float) and math.isnan(level)):
        return "unset"
    return str(level)


def level_texts(levels: Sequence[Any]) -> dict[Any, str]:
    """A text for each level, with as many digits as it takes to tell them apart."""
    for digits in (3, 5, 8, 17):
        texts = {level: level_text(level, digits) for level in levels}
        if len(set(texts.values())) == len(texts):
            break
    return texts


def require(name: str, known: Sequence[str], what: str) -> None:
    """Refuse a name that is not among `known`.

    Raises:
        ValueError: with the nearest and all of `known`.
    """
    if name in known:
        return
    nearest = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    raise ValueError(
        f"{name!r} is no {what} of these runs; there are: {', '.join(known) or 'none'}.{hint}"
    )


def _norm_of(level: Any) -> str:
    return str(level).partition(",")[0]


def _norm_look(level: Any) -> Look:
    look = _NAMED_LOOKS[_norm_of(level)]
    if level in _NAMED_LOOKS:
        return look
    lighter = mpl.colors.to_hex(sns.blend_palette([look.color, "white"], 5)[2])
    return Look(color=lighter, marker=look.marker, dash=(1.5, 1))


def _numeral(part: str) -> tuple[int, str]:
    return (int(part), "") if part.isdigit() else (-1, part)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)
