"""The terminal: where text for people goes, and how values look in its tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from normlab.records.flatten import written
from normlab.words import printable

PIPED_WIDTH = 160
MISSING = "·"


class SafeConsole(Console):
    """A console that shows control characters instead of sending them.

    Run names, settings and errors come from files that anyone may have written. Only what rich
    itself makes of styles and moves of the cursor is sent as it is.
    """

    def render_str(self, text: str, **options: Any) -> Text:
        """Here the widths are still to be measured."""
        return super().render_str(printable(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Here everything comes by, also what never was a plain text."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(printable(segment.text), segment.style)


def make_console() -> Console:
    """A console that does not fold what is piped or logged to a narrow terminal's width."""
    console = SafeConsole()
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    return console


def shown(value: Any, *, digits: int | None = 4) -> str:
    """A value as a table has it; what is missing (None, NaN) is a dot.

    Args:
        digits: of a float; None: as many as give the same value back.

    >>> shown(0.1234567), shown(0.1234567, digits=None), shown(True), shown(None)
    ('0.1235', '0.1234567', 'true', '·')
    """
    if value is None or value != value:
        return MISSING
    if digits is not None and isinstance(value, float):
        return f"{value:.{digits}g}"
    return written(value)
