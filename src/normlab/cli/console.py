"""The terminal: where text for people goes, and how values look in its tables."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from normlab.records.flatten import written

PIPED_WIDTH = 160
MISSING = "·"


def make_console() -> Console:
    """A console that does not fold what is piped or logged to a narrow terminal's width."""
    console = Console()
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
