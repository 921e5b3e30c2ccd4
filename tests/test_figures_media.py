"""Figures on paper: a column's width, titles that fit, fonts, palettes; the same SVG each time."""

import itertools

import pytest
from matplotlib.patches import Circle
from matplotlib.text import Text
from support.tidy import table_of

from normlab.figures.facets import plot
from normlab.figures.sheet import Sheet
from normlab.figures.style import COLUMN, MEDIA, PALETTES, SCREEN, Medium, looks

GRID = {"optimizer.lr": [0.001, 0.1, 0.5], "regularizer.l2": [0.0001, 0.001, 0.01, 1.0]}


def grid(medium: Medium = SCREEN) -> Sheet:
    table = table_of(("none", "batch"), GRID, seeds=(0,))
    return plot(table, hue="norm", row="optimizer.lr", col="regularizer.l2", medium=medium)


@pytest.mark.parametrize("medium", MEDIA.values(), ids=MEDIA)
def test_titles_of_rows_and_columns_do_not_overlap(medium: Medium) -> None:
    figure = grid(medium).figure
    figure.draw_without_rendering()
    boxes = [axis.title.get_window_extent() for axis in figure.axes]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    parts = figure.axes[0].get_title().split("regularizer.l2")
    assert [" ".join(part.split()) for part in parts] == ["optimizer.lr = 0.001", "= 0.0001"]
    assert parts[0].endswith("\n")


def test_a_title_beyond_the_figure_is_broken_between_words() -> None:
    title = "what a normalization does to the training of a deep network " * 2
    figure = plot(table_of(), hue="norm", title=title, medium=COLUMN).figure
    figure.draw_without_rendering()
    assert figure._suptitle is not None  # type: ignore[attr-defined]
    assert figure._suptitle.get_window_extent().x1 <= figure.bbox.x1  # type: ignore[attr-defined]
    assert figure._suptitle.get_text().split() == title.split()  # type: ignore[attr-defined]


def test_a_figure_for_a_column_is_as_wide_and_its_letters_can_be_read() -> None:
    """At least 7 points where the figure is set in at its own size; the legend does not overlap."""
    table = table_of(("none", "batch", "layer"), {"init": ["he", "xavier"]})
    for col, style in (("init", None), (None, "init"), (None, None)):
        figure = plot(table, hue="norm", col=col, style=style, medium=COLUMN).figure
        assert figure.get_figwidth() == 5.5
        drawn = [one for one in figure.findobj(Text) if isinstance(one, Text) and one.get_text()]
        assert min(float(one.get_fontsize()) for one in drawn) >= 7
        figure.draw_without_rendering()
        (legend,) = figure.legends
        for axis in figure.axes:
            panel = axis.get_tightbbox()
            assert panel is not None
            assert panel.y0 >= legend.get_window_extent().y1
            assert axis.bbox.height > 0.8 * COLUMN.panel_inches[1] * figure.dpi - 70


def test_fonts_in_a_pdf_are_truetype() -> None:
    pdf = plot(table_of(seeds=(0,)), hue="norm").picture("pdf")
    assert b"/Type3" not in pdf
    assert b"/FontFile2" in pdf


def test_a_clip_path_that_is_no_rectangle_has_the_same_name_each_time() -> None:
    drawn = []
    for _ in range(2):
        sheet = plot(table_of(seeds=(0,)), hue="norm")
        axis = sheet.figure.axes[0]
        for line in axis.lines:
            line.set_clip_path(Circle((0.5, 0.5), 0.5, transform=axis.transAxes))
        drawn.append(sheet.picture("svg"))
    assert drawn[0] == drawn[1]
    assert b"url(#clip1)" in drawn[0]
    assert b'<clipPath id="clip1"' in drawn[0]


@pytest.mark.parametrize("name", PALETTES)
@pytest.mark.parametrize("factor", ["norm", "optimizer.lr"])
def test_a_palette_that_is_asked_for_colours_every_level_apart(name: str, factor: str) -> None:
    levels = ["none", "batch", "layer"] if factor == "norm" else [0.1, 0.2, 0.5]
    found = looks(factor, levels, name)
    assert list(found) == levels
    assert len({look.color for look in found.values()}) == len(levels)
    # a ramp of numbers is viridis anyway
    assert (found == looks(factor, levels)) == ((name, factor) == ("viridis", "optimizer.lr"))
    assert list(looks(factor, levels[:1], name)) == levels[:1]


def test_a_palette_that_there_is_not_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"no palette 'virids'; there are: .*'viridis'"):
        plot(table_of(), hue="norm", colors="virids")
