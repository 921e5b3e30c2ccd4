"""Pictures of a figure: the same figure gives the same bytes."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from normlab.figures.edges import drawn_near
from normlab.figures.titles import break_lines

DPI = 150
NOTE_INCHES, NOTE_LINE_INCHES = 0.22, 0.12
"""Height of a note's one line with the room around it, and of each further line."""

# no dates and no versions
_METADATA: Mapping[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
KINDS = tuple(_METADATA)


def pictures(
    figure: Figure, kinds: Iterable[str], dpi: int = DPI, note: str = ""
) -> dict[str, bytes]:
    """The bytes of a figure's pictures by kind, laid out once for all of them; a PNG has 256
    colours, at a third of the size.

    Args:
        note: a line below the figure, for which the pictures grow.
    """
    drawn = {}
    with _ready(figure, note) as area:
        for kind in kinds:
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, bbox_inches=area, dpi=dpi, metadata=_METADATA[kind])
            drawn[kind] = _refined(kind, buffer)
    return drawn


def save_picture(figure: Figure, file: Path | IO[bytes], kind: str | None, note: str = "") -> None:
    """Write a figure as a picture, `note` below it."""
    with _ready(figure, note) as area:
        figure.savefig(file, format=kind, bbox_inches=area)


@contextmanager
def _ready(figure: Figure, note: str) -> Iterator[Bbox]:
    """The figure laid out, with `note` below it in as many lines as it needs; and the area of both,
    in inches."""
    width, height = figure.get_size_inches()
    line = figure.text(0.004, 0, note, size=7, color="#666", va="center")
    break_lines(line, 0.992 * figure.bbox.width)
    num_more = line.get_text().count("\n")
    bottom = -(NOTE_INCHES + NOTE_LINE_INCHES * num_more) if note else 0.0
    line.set_y(0.5 * bottom / height)
    with _laid_out(figure), drawn_near(figure):
        yield Bbox([[0, bottom], [width, height]])
    line.remove()


def _refined(kind: str, buffer: io.BytesIO) -> bytes:
    if kind == "png":
        return _quantized(buffer)
    return _rounded(_with_numbered_clips(buffer.getvalue())) if kind == "svg" else buffer.getvalue()


@contextmanager
def _laid_out(figure: Figure) -> Iterator[None]:
    """Everything in its place, legends too: they would move into what a picture is larger by."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
    figure.set_layout_engine("none")
    inside = [legend for legend in figure.legends if legend.get_bbox_to_anchor() is figure.bbox]
    for legend in inside:
        legend.set_bbox_to_anchor((0, 0, 1, 1), figure.transFigure)
    yield
    for legend in inside:
        legend.set_bbox_to_anchor(None)
    figure.set_layout_engine(engine)


def _quantized(png: io.BytesIO) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    colours = Image.open(png).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    colours.save(buffer, "PNG", optimize=True, dpi=(DPI, DPI))
    return buffer.getvalue()


_CLIP_IDS = re.compile(rb'<clipPath id="([^"]+)"')


def _with_numbered_clips(svg: bytes) -> bytes:
    """Clip paths by number: matplotlib names one that is no rectangle by its place in memory."""
    for number, name in enumerate(dict.fromkeys(_CLIP_IDS.findall(svg)), start=1):
        svg = svg.replace(b'id="%s"' % name, b'id="clip%d"' % number)
        svg = svg.replace(b"url(#%s)" % name, b"url(#clip%d)" % number)
    return svg


_COORDINATES = re.compile(rb'(?<=\s)(?:d|x|y)="[^"]*"')
_DECIMALS = re.compile(rb"(\.\d\d)\d+")


def _rounded(svg: bytes) -> bytes:
    """The same picture with coordinates to a hundredth of a point, and without indentation."""
    rounded = _COORDINATES.sub(lambda found: _DECIMALS.sub(rb"\1", found.group()), svg)
    return re.sub(rb"\n +", b"\n", rounded)
