"""Colours as those see them who lack the green cones (6 % of men see so, or nearly)."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from normlab.config import choices
from normlab.config.look import Look
from normlab.figures.style import (
    PALETTES,
    SPARE_LOOKS,
    UNSET_LOOK,
    looks,
    norm_looks,
    stand_in_looks,
)

# Machado, Oliveira & Fernandes (2009), deuteranomaly of severity 1.0, of linear RGB
DEUTERANOPIA = np.array(
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
)
# Ottosson (2020): linear sRGB to OKLab, in which distances are about as one sees them
TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
APART = 0.09
"""Black and white are 1 apart; two shades of a ramp of 12 about this."""


def seen(color: str) -> NDArray[np.float64]:
    """A colour in OKLab, as it is seen without green cones."""
    srgb = np.array(to_rgb(color))
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return np.asarray(TO_LAB @ np.cbrt(TO_LMS @ np.clip(DEUTERANOPIA @ linear, 0, 1)))


def distance(one: Look, other: Look) -> float:
    return float(np.linalg.norm(seen(one.color) - seen(other.color)))


def confused(found: Mapping[Any, Look]) -> list[tuple[Any, Any]]:
    """Pairs with one marker whose colours look alike."""
    return [
        (first, second)
        for (first, one), (second, other) in itertools.combinations(found.items(), 2)
        if one.marker == other.marker and distance(one, other) < APART
    ]


def looks_of_norms() -> dict[str, Look]:
    """Of all that a column `norm` may name, with one variant of each."""
    names = list(norm_looks())
    variants = [
        f"{name} {variant}" for name in names for variant in choices("norm")[name].VARIANT_LOOKS
    ]
    dotted = [f"{name}, standardized weights" for name in names]
    found = looks("norm", [*names, *variants, *dotted, *stand_in_looks()])
    spare = {f"spare {number}": look for number, look in enumerate(SPARE_LOOKS)}
    return {**found, **spare, "unset": UNSET_LOOK}


def test_the_simulation_confuses_what_deuteranopes_confuse() -> None:
    red, green, blue = (Look(color=color) for color in ("#c00000", "#5f5f00", "#0000c0"))
    assert distance(red, green) < 0.06 < 0.3 < distance(red, blue)


def test_norms_of_one_marker_are_told_apart_by_colour() -> None:
    assert confused(looks_of_norms()) == []


def test_norms_of_like_colours_have_another_marker_and_another_dash() -> None:
    """A line between two markers has no marker."""
    alike = [
        (first, second)
        for (first, one), (second, other) in itertools.combinations(norm_looks().items(), 2)
        if distance(one, other) < 0.05 and (one.marker == other.marker or one.dash == other.dash)
    ]
    assert alike == []


@pytest.mark.parametrize("palette", [None, *PALETTES])
@pytest.mark.parametrize(
    "levels", [[f"level {i}" for i in range(40)], [float(i) for i in range(40)]]
)
def test_forty_levels_of_one_marker_and_dash_are_told_apart_by_colour(
    levels: Sequence[Any], palette: str | None
) -> None:
    found = looks("factor", levels, palette)
    by_dash: dict[Any, dict[Any, Look]] = {}
    for level, look in found.items():
        by_dash.setdefault(look.dash, {})[level] = look
    assert [confused(own) for own in by_dash.values() if confused(own)] == []
