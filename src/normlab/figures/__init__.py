"""Drawing from the tidy table: a table in, a `Sheet` out, nothing else read and nothing kept."""

from normlab.figures.layout import draw_panels
from normlab.figures.references import Reference, draw_reference
from normlab.figures.sheet import Panel, Sheet

__all__ = ["Panel", "Reference", "Sheet", "draw_panels", "draw_reference"]
