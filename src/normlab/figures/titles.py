"""Titles in as many lines as the width of their panels asks for."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

APART = "   "
"""What stands between the parts of a title."""


def add_words(figure: Figure, *, title: str | None = None, note: str = "") -> None:
    """Write a title above a figure, and a note below its panels."""
    if title:
        figure.suptitle(title, fontsize=10, x=0.02, ha="left")
    if note:
        figure.supxlabel(note, fontsize=7, color="#666666", x=0.02, ha="left")


def fit_titles(figure: Figure, axes: Iterable[Axes]) -> None:
    """Break titles that reach beyond their panel: between their parts, then between words.

    Where one is broken between its parts, all are, so that panels side by side look alike.
    """
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)  # the panels' sizes
    titles = [(axis.title, axis.bbox.width) for axis in axes]
    if any(_width(title) > room for title, room in titles):
        for title, _ in titles:
            title.set_text(title.get_text().replace(APART, "\n"))
    for title, room in titles:
        break_lines(title, room)
    if figure._suptitle is not None:  # type: ignore[attr-defined]
        break_lines(figure._suptitle, 0.96 * figure.bbox.width)  # type: ignore[attr-defined]


def break_lines(title: Text, room: float) -> None:
    """Break a text between its words where it is wider than the room it has, in pixels."""
    width = _width(title)
    if width <= room:
        return
    lines = title.get_text().splitlines()
    longest_word = max(map(len, title.get_text().split()))
    most_letters = max(longest_word, int(max(map(len, lines)) * room / width))
    # letters differ in width, so that a line of as many may still be too wide
    for num_letters in range(most_letters, longest_word - 1, -1):
        broken = [textwrap.wrap(line, num_letters, break_long_words=False) for line in lines]
        title.set_text("\n".join("\n".join(own) for own in broken))
        if _width(title) <= room:
            return


def _width(text: Text) -> float:
    return text.get_window_extent().width


def evenly(count: int, most: int) -> list[int]:
    """Places of at most so many of `count`, as far from each other and the first among them.

    >>> evenly(3, 5), evenly(9, 5)
    ([0, 1, 2], [0, 2, 4, 6, 8])
    """
    return list(range(0, count, -(-count // most)))
