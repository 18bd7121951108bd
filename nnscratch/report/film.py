"""Pictures that move: what a network makes of its features, epoch by epoch, as an animated GIF."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nnscratch.files import write_atomically
from nnscratch.report.style import INK, TITLE, add_legend, legend_columns, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from PIL.Image import Image

Values = NDArray[Any]

INCHES, DOTS = 5.0, 80
SECONDS, SLOWEST, LAST = 6.0, 0.3, 2.5
"""How long all frames take together, one of them at most, and the last one."""
COLOURS = 128
"""Of the palette that all frames share."""
NEARLY_WHITE = 244


class Scene(Protocol):
    """What a film shows: axes with what stays, and what is painted anew in every frame."""

    @property
    def height(self) -> float:
        """Of the picture, by its width."""

    @property
    def labels(self) -> tuple[str, ...]:
        """What the legend explains."""

    def dress(self, axes: Axes) -> list[Any]:
        """Puts what stays into the axes, and gives the artists for the legend."""

    def paint(self, axes: Axes, outputs: Values) -> list[Any]:
        """Puts a frame into the axes, and gives the artists, by which it is taken away again."""


def film(scene: Scene, frames: Mapping[int, Values], path: Path) -> None:
    """The frames by their epochs, in order, as a GIF that begins again when it has ended."""
    pictures = _with_one_palette([_image(pixels) for pixels in _pixels(scene, frames)])
    each = 1000 * min(SECONDS / len(pictures), SLOWEST)
    stream = io.BytesIO()
    pictures[0].save(
        stream, format="GIF", save_all=True, append_images=pictures[1:], loop=0, optimize=True, disposal=1,
        duration=[*(round(each) for _ in pictures[1:]), round(1000 * LAST)],
    )  # fmt: skip
    write_atomically(path, stream.getvalue())


def _pixels(scene: Scene, frames: Mapping[int, Values]) -> Iterator[Values]:
    figure = new_figure(INCHES * scene.height + 0.9, INCHES)
    figure.set_dpi(DOTS)
    axes = figure.add_subplot()
    handles, labels = scene.dress(axes), scene.labels
    if len(handles) > 1:
        add_legend(figure, handles, labels, columns=legend_columns(max(map(len, labels)), INCHES))
    title = axes.set_title("epoch 0", loc="left", fontsize=TITLE, color=INK, fontweight="bold")
    above = [title, *axes.collections, *axes.spines.values()]
    for artist in above:
        artist.set_animated(True)  # not drawn with the rest: most of the time goes into ticks and legend
    canvas: Any = figure.canvas
    canvas.draw()
    ground = canvas.copy_from_bbox(figure.bbox)
    for epoch, outputs in frames.items():
        title.set_text(f"epoch {epoch}")
        made = scene.paint(axes, outputs)
        canvas.restore_region(ground)
        for artist in sorted([*made, *above], key=lambda each: each.get_zorder()):
            axes.draw_artist(artist)
        yield np.asarray(canvas.buffer_rgba())[..., :3].copy()
        for artist in made:
            artist.remove()


def _image(pixels: Values) -> Image:
    from PIL import Image

    return Image.fromarray(pixels)


def _with_one_palette(pictures: list[Image]) -> list[Image]:
    """The pictures in colours that suit the first, the last and some between them, more of the earlier ones."""
    from PIL import Image

    chosen = [pictures[place] for place in (0, len(pictures) // 16, len(pictures) // 8, len(pictures) // 4, -1)]
    sample = Image.fromarray(np.concatenate([np.asarray(each) for each in chosen]))
    found = sample.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).getpalette() or []
    colours = np.array(found).reshape(-1, 3)
    colours[(colours > NEARLY_WHITE).all(axis=1)] = 255  # the paper stays white
    palette = Image.new("P", (1, 1))
    palette.putpalette(colours.ravel().tolist())
    return [each.quantize(palette=palette, dither=Image.Dither.NONE) for each in pictures]
