"""How every figure looks: one colour, marker and dash for each normalization, the same everywhere.

A normalization's look stands on its configuration (`NormConfig.LOOK`), so that adding one
recolours no other. Twelve colours cannot all be told apart by everyone, so marker and dash differ
too, and the four most compared (none, batch, layer, group) have the four colours farthest apart
under every common colour blindness (from Okabe & Ito 2008; none is dark grey).
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any

import matplotlib as mpl
import matplotlib.colors
import seaborn as sns

from normlab import metrics
from normlab.config import Look as Look
from normlab.config import choices
from normlab.words import abridged, did_you_mean

SPARE_LOOKS: Sequence[Look] = (
    Look(color="#7e57c2", marker="h", dash=(3, 1.5)),
    Look(color="#b22222", marker="d", dash=(1.5, 1.5)),
    Look(color="#7cb342", marker="8", dash=(5, 1.5)),
    Look(color="#6d4c41", marker="H", dash=(2, 1, 4, 1)),
    Look(color="#ff8a65", marker="d", dash=(3, 1.5)),
    Look(color="#607d8b", marker="8", dash=(1.5, 1.5)),
)
"""For normalizations that say nothing of their look; nothing above or in `norms/` has these."""

UNSET = "unset"
"""The level of runs that have no value of a factor, as tables and legends write it."""

UNSET_LOOK = Look(color="#bdbdbd", marker=".", dash=(1, 2))
"""Of the level of runs that have no value of a factor, whatever the factor."""

_OTHERS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#4d4d4d", "#882255")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "p", "h")
_DASHES: tuple[tuple[float, ...], ...] = ((), (4, 1.5), (1, 1.2), (6, 1.5, 1, 1.5), (2.5, 1))

PALETTES: Mapping[str, Sequence[str] | str] = {
    "okabe-ito": _OTHERS,
    "tol-bright": ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb"),
    "viridis": "viridis",
    "cividis": "cividis",
    "grey": "Greys",
}
"""Colours by the name one asks for them: a list, or matplotlib's map from light to dark."""

REFERENCE_COLOR = "#777777"
PUBLISHED_COLOR = "#000000"
STRIP_COLOR = "#eeeeee"
DIVERGED_MARKER = "x"

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
    # TrueType: venues refuse a PDF with Type 3 fonts, matplotlib's own choice
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
}


@dataclass(frozen=True, kw_only=True)
class Medium:
    """What a figure is made for: how large it is, and how large what is in it."""

    width_inches: float | None = None
    """Of the whole figure; None: as its panels need."""
    height_inches: float | None = None
    """Of the whole figure; None: as its panels need."""
    panel_inches: tuple[float, float] = (3.1, 2.35)
    """Width, where the figure has none of its own, and height of a panel."""
    most_columns: int = 4
    """Panels of one factor are laid out at most this many in a row."""
    is_legend_below: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    """In matplotlib's words, where they are not those of every figure."""


SCREEN = Medium()
COLUMN = Medium(
    width_inches=5.5,
    panel_inches=(2.6, 2.0),
    most_columns=3,
    is_legend_below=True,
    settings={
        "font.size": 8,
        "axes.titlesize": 8,
        "axes.labelsize": 8,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
        "legend.fontsize": 7,
        "legend.title_fontsize": 7,
        "lines.linewidth": 1.3,
        "figure.constrained_layout.w_pad": 0.04,
        "figure.constrained_layout.h_pad": 0.04,
    },
)
MEDIA: Mapping[str, Medium] = {"screen": SCREEN, "column": COLUMN}
"""By name: a page in a browser; the text of a paper, 5.5 inches wide, to be set in at that size."""


@contextmanager
def styled(medium: Medium = SCREEN) -> Iterator[None]:
    """Everything drawn or saved inside looks like normlab; settings outside stay as they are."""
    settings: Any = {**sns.axes_style("whitegrid"), **_SETTINGS, **medium.settings}
    with mpl.rc_context(settings):
        yield


def looks(factor: str | None, levels: Sequence[Any], palette: str | None = None) -> dict[Any, Look]:
    """A look for each level: norms have their own, numbers a ramp from light to dark, and what is
    unset one that leaves the others' as they are.

    A variant of a norm is written after a comma ("group, standardized weights") and has the norm's
    color, lighter and dotted. "lp p=1" is a setting that the norm gives a look of its own.

    Args:
        palette: colours of `PALETTES` instead, whatever the factor.

    Raises:
        ValueError: for a palette that there is not; the nearest is named.
    """
    known = [level for level in levels if not _is_unset(level)]
    if palette is not None:
        found = _asked_for(palette, known)
    elif factor == "norm":
        found = _looks_of_norms(known)
    elif len(known) > 1 and all(_is_number(level) for level in known):
        found = _ramp(known)
    else:
        found = _palette(known)
    return {level: UNSET_LOOK if _is_unset(level) else found[level] for level in levels}


def norm_looks() -> dict[str, Look]:
    """The look of every normalization there is, in the order in which they are shown."""
    names = list(choices("norm"))
    found = _looks_of_norms(names)
    return {name: found[name] for name in sorted(names, key=lambda one: (found[one].place, one))}


def stand_in_looks() -> dict[str, Look]:
    """The looks of what networks have in the place of a normalization, where a figure's `norm`
    column names it."""
    found: dict[str, Look] = {}
    for model in choices("model").values():
        found |= model.STAND_IN_LOOKS
    return found


def norm_color(norm: str) -> str:
    """What a normalization is drawn in everywhere."""
    return norm_looks()[norm].color


def dashes(levels: Sequence[Any]) -> dict[Any, tuple[float, ...]]:
    """A dash for each level of the factor that `style` shows."""
    return {level: _DASHES[i % len(_DASHES)] for i, level in enumerate(levels)}


def table_colors() -> Any:
    """White to a light blue: black text stands on all of it."""
    return sns.light_palette("#56b4e9", as_cmap=True)


def ordered(factor: str | None, levels: Sequence[Any]) -> list[Any]:
    """Levels in the order they are shown: norms as their looks say, numbers by size, and last what
    is unset."""
    known = [level for level in levels if not _is_unset(level)]
    unset = [level for level in levels if _is_unset(level)]
    if factor == "norm":
        found = _looks_of_norms(known)
        return sorted(known, key=lambda one: (found[one].place, str(one))) + unset
    if all(_is_number(level) for level in known):
        return sorted(known) + unset
    # conv10 comes after conv2
    return sorted(known, key=lambda one: [*map(_numeral, re.split(r"(\d+)", str(one)))]) + unset


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
        is_whole = float(level).is_integer()  # which infinity is not
        return f"{level:.{max(digits, len(str(level))) if is_whole else digits}g}"
    if _is_unset(level):
        return UNSET
    return abridged(str(level))


def level_texts(levels: Sequence[Any]) -> dict[Any, str]:
    """A text for each level, with as many digits as it takes to tell them apart."""
    for digits in (3, 5, 8, 17):
        texts = {level: level_text(level, digits) for level in levels}
        if len(set(texts.values())) == len(texts):
            break
    return texts


def require(name: str, known: Sequence[str], what: str, argument: str = "") -> None:
    """Refuse a name that is not among `known`.

    Args:
        argument: that was given the name, to be told with it.

    Raises:
        ValueError: with the nearest and all of `known`.
    """
    if name in known:
        return
    given = f"{argument}={name!r}" if argument else repr(name)
    raise ValueError(
        f"{given} is no {what} of these runs; there are: {', '.join(known) or 'none'}."
        + did_you_mean(name, known)
    )


def _ramp(levels: Sequence[Any]) -> dict[Any, Look]:
    """Light to dark, in the order of the levels."""
    shades = [0.85 - 0.8 * i / (len(levels) - 1) for i in range(len(levels))]
    return _shaded(mpl.colormaps["viridis"], shades, levels)


def _shaded(
    colours: matplotlib.colors.Colormap, shades: Sequence[float], levels: Sequence[Any]
) -> dict[Any, Look]:
    return {
        level: Look(color=mpl.colors.to_hex(colours(shade)), marker=_MARKERS[i % len(_MARKERS)])
        for i, (level, shade) in enumerate(zip(levels, shades, strict=True))
    }


def _asked_for(name: str, levels: Sequence[Any]) -> dict[Any, Look]:
    if name not in PALETTES:
        raise ValueError(
            f"there is no palette {name!r}; there are: {', '.join(PALETTES)}."
            + did_you_mean(name, list(PALETTES))
        )
    colours = PALETTES[name]
    if not isinstance(colours, str):
        return _palette(levels, colours)
    # neither end: white paper would swallow the one, and the other is the colour of text
    colormap, last = mpl.colormaps[colours], max(len(levels) - 1, 1)
    lightest, darkest = (0.35, 0.95) if name == "grey" else (0.85, 0.05)
    shades = [lightest + (darkest - lightest) * i / last for i in range(len(levels))]
    return _shaded(colormap, shades, levels)


def _palette(levels: Sequence[Any], colours: Sequence[str] = _OTHERS) -> dict[Any, Look]:
    return {
        level: Look(
            color=colours[i % len(colours)],
            marker=_MARKERS[i % len(_MARKERS)],
            dash=_DASHES[i // len(colours) % len(_DASHES)],
        )
        for i, level in enumerate(levels)
    }


def _looks_of_norms(levels: Sequence[Any]) -> dict[Any, Look]:
    """Of levels of a figure's `norm` column: norms, their variants, and what stands in for one."""
    declared: dict[str, Look] = stand_in_looks()
    silent: list[str] = []
    for name, norm in choices("norm").items():
        declared |= {f"{name} {variant}": look for variant, look in norm.VARIANT_LOOKS.items()}
        if norm.LOOK is None:
            silent.append(name)
        else:
            declared[name] = norm.LOOK
    unknown = {str(level).partition(",")[0] for level in levels} - declared.keys() - {*silent}
    declared |= _spare_looks([*sorted(silent), *sorted(unknown)])
    return {level: _look_of_variant(str(level), declared) for level in levels}


def _look_of_variant(level: str, declared: Mapping[str, Look]) -> Look:
    name, comma, _ = level.partition(",")
    look = declared[name]
    if not comma:
        return look
    lighter = mpl.colors.to_hex(sns.blend_palette([look.color, "white"], 5)[2])
    return replace(look, color=lighter, dash=(1.5, 1), on_dark=None)


def _spare_looks(names: Iterable[str]) -> dict[str, Look]:
    """A look for each name, which depends on the name alone where no other name has taken it."""
    found: dict[str, Look] = {}
    for name in names:
        start = zlib.crc32(name.encode()) % len(SPARE_LOOKS)
        turn = [*SPARE_LOOKS[start:], *SPARE_LOOKS[:start]]
        unused = [look for look in turn if look not in found.values()]
        found[name] = (unused or turn)[0]
    return found


def _numeral(part: str) -> tuple[int, str]:
    return (int(part), "") if part.isdigit() else (-1, part)


def _is_unset(level: Any) -> bool:
    if isinstance(level, str):
        return level == UNSET
    return level is None or (isinstance(level, float) and math.isnan(level))


def _is_number(value: Any) -> bool:
    """Python's or NumPy's, which a column of a table has."""
    return isinstance(value, Real) and not isinstance(value, bool) and not math.isnan(value)
