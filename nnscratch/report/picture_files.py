"""Pictures as files: PNG, PDF or SVG."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nnscratch.errors import UsageError
from nnscratch.files import write_atomically
from nnscratch.report.style import SMALLEST, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BEGINNINGS = {".png": b"\x89PNG\r\n\x1a\n", ".pdf": b"%PDF-", ".svg": b"<?xml"}
"""The formats of pictures by the suffix that chooses them, each with how its files begin."""


def picture_suffix(path: Path) -> str:
    """The suffix that says which format `path` gets: .png, .pdf or .svg. Raises UsageError for another."""
    suffix = path.suffix.lower()
    if suffix not in BEGINNINGS:
        raise UsageError(f"{path} is not the name of a picture", f"its end chooses the format: {', '.join(BEGINNINGS)}")
    return suffix


def to_bytes(figure: Figure, suffix: str) -> bytes:
    """The figure as .png, .pdf or .svg, the same bytes for the same figure; letters of a PDF stay letters."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    # savefig would draw everything twice, the first time for the layout alone: this takes a third of the time off.
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)
        figure.set_layout_engine("none")
        _fit_labels(figure)
    stream = io.BytesIO()
    if suffix == ".png":
        canvas = FigureCanvasAgg(figure)
        canvas.draw()  # type: ignore[no-untyped-call]  # matplotlib leaves it untyped
        # Opaque, a quarter of the numbers less; level 3 of zlib takes half the time of 6, for files as long.
        picture = Image.fromarray(np.asarray(canvas.buffer_rgba())[:, :, :3])  # type: ignore[no-untyped-call]  # likewise
        picture.save(stream, "png", compress_level=3, dpi=(figure.dpi, figure.dpi))
        return stream.getvalue()
    # These writers take what makes their files reproducible from the settings alone.
    with rc_context({"svg.hashsalt": "nnscratch", "pdf.fonttype": 42}):
        figure.savefig(stream, format=suffix[1:], metadata={"Date" if suffix == ".svg" else "CreationDate": None})
    return stream.getvalue()


def _fit_labels(figure: Figure) -> None:
    """Axes' labels that reach over the picture's edge, as of long columns, are made smaller, then shorter."""
    for label, low, high in (
        each for axes in figure.axes for each in ((axes.xaxis.label, "x0", "x1"), (axes.yaxis.label, "y0", "y1"))
    ):
        text = label.get_text()
        letters = len(text)
        while text and (share := _room(label.get_window_extent(), figure.bbox, low, high)) < 1 and letters > 1:
            smaller = max(float(label.get_fontsize()) * share, SMALLEST)
            letters -= smaller == label.get_fontsize()
            label.set_fontsize(smaller)
            label.set_text(plain(text, letters))


def _room(box: Any, around: Any, low: str, high: str) -> float:
    """How much longer a text may be that stays where its middle is."""
    middle = (getattr(box, low) + getattr(box, high)) / 2
    return float(1.98 * min(middle, getattr(around, high) - middle) / (getattr(box, high) - getattr(box, low)))


def save(figure: Figure, path: Path) -> Figure:
    """Write the figure to `path`, whose suffix chooses PNG, PDF or SVG, atomically, and hand it back."""
    write_atomically(path, to_bytes(figure, picture_suffix(path)))
    return figure
