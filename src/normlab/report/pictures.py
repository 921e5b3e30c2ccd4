"""Pictures inside a page, made smaller where all of them together would make it too large."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat

MOST_BYTES = 2_300_000
"""Of all pictures of a page, before base64 adds a third."""
NUM_COLORS = 64
SHRINK = 0.8
SMALLEST = 0.3
NUM_THREADS = 2


def fitted(pictures: Sequence[bytes], most_bytes: int = MOST_BYTES) -> list[bytes]:
    """The PNGs as they are where they fit; else with fewer colours, then with fewer pixels.

    A chart is a few colours on white, so a palette costs it next to nothing.
    """
    made, scale = list(pictures), 1.0
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        while sum(map(len, made)) > most_bytes and scale > SMALLEST:
            made = list(pool.map(_smaller, pictures, repeat(scale)))
            scale *= SHRINK
    return made


def _smaller(picture: bytes, scale: float) -> bytes:
    from PIL import Image

    with Image.open(io.BytesIO(picture)) as opened:
        image = opened.convert("RGB")
    if scale < 1.0:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    palette = image.quantize(NUM_COLORS, method=Image.Quantize.FASTOCTREE)
    palette.save(buffer, format="PNG", compress_level=9)
    smaller = buffer.getvalue()
    return smaller if len(smaller) < len(picture) else picture


def data_url(picture: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(picture).decode()
