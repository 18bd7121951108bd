"""What an exported model.py is made of: the source of those of these functions that a network needs is copied there.

So they stand alone: NumPy, the standard library and Pillow, no other part of nnscratch. `Array` is np.ndarray there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nnscratch.nn.compute.buffers import Array


def as_examples(x: Array, shape: tuple[int, ...]) -> Array:
    """x as (N, *shape), from one example or many. Raises ValueError for what is neither.

    The numbers of an example may stand in one row, and of grey pictures the last axis may be missing. Channels may come
    first.
    """
    accepted = [shape, (int(np.prod(shape)),)] + ([shape[:2]] if len(shape) == 3 and shape[2] == 1 else [])
    if x.shape in accepted or x.shape[1:] in accepted or (x.ndim == 1 and shape == (1,)):
        return x.reshape(-1, *shape)
    first = (shape[2], *shape[:2]) if len(shape) == 3 else ()
    if first and first in (x.shape, x.shape[1:]):
        return np.moveaxis(x.reshape(-1, *first), 1, -1)
    many = ", ".join(map(str, ("N", *shape)))
    raise ValueError(f"shape {x.shape} is neither one example {shape} nor many ({many})")


def flatten(x: Array) -> Array:
    """y = x as (N, D)."""
    return x.reshape(len(x), int(np.prod(x.shape[1:])))


def dense(x: Array, W: Array, b: Any) -> Array:
    """y = x W + b            x (N, D), W (D, units), b (units,)."""
    return np.asarray(x @ W + b)


def conv(x: Array, W: Array, b: Any, stride: int, rows: tuple[int, int], columns: tuple[int, int]) -> Array:
    """y[n, i, j, k] = b_k + sum_abc x[n, i s + a, j s + b, c] W[a, b, c, k]    s the stride.

    x is given so many rows and columns of zeros before and after it.
    """
    x = np.pad(x, ((0, 0), rows, columns, (0, 0)))
    kernel, _, _, channels = W.shape
    height, width = ((size - kernel) // stride + 1 for size in x.shape[1:3])
    y = np.zeros((len(x), height, width, channels), np.float32)
    for i in range(kernel):
        for j in range(kernel):
            y += x[:, i : i + (height - 1) * stride + 1 : stride, j : j + (width - 1) * stride + 1 : stride] @ W[i, j]
    return y + np.float32(b) if np.ndim(b) == 0 else y + b


def grouped_conv(
    x: Array, W: Array, b: Any, groups: int, stride: int, rows: tuple[int, int], columns: tuple[int, int]
) -> Array:
    """As conv, with the channels in and out cut into equal parts, each output part from the input part of its own.

    y[n, i, j, k] = b_k + sum_abc x[n, i s + a, j s + b, o + c] W[a, b, c, k]    o the first channel of k's group.
    """
    x = np.pad(x, ((0, 0), rows, columns, (0, 0)))
    kernel, _, size, channels = W.shape
    height, width = ((pixels - kernel) // stride + 1 for pixels in x.shape[1:3])
    x, W = x.reshape(*x.shape[:3], groups, size), W.reshape(kernel, kernel, size, groups, channels // groups)
    y = np.zeros((len(x), height, width, groups, channels // groups), np.float32)
    for i in range(kernel):
        for j in range(kernel):
            seen = x[:, i : i + (height - 1) * stride + 1 : stride, j : j + (width - 1) * stride + 1 : stride]
            y += np.einsum("nijgc,cgk->nijgk", seen, W[i, j])
    y = y.reshape(len(x), height, width, channels)
    return y + np.float32(b) if np.ndim(b) == 0 else y + b


def max_pool(x: Array, size: int, stride: int) -> Array:
    """y = the largest x in each window of size x size pixels, one every `stride` pixels."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), (1, 2))
    return np.asarray(windows[:, ::stride, ::stride].max(axis=(4, 5)))


def average_pool(x: Array, size: int, stride: int) -> Array:
    """y = the mean of x in each window of size x size pixels, one every `stride` pixels."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), (1, 2))
    return np.asarray(windows[:, ::stride, ::stride].mean(axis=(4, 5)))


def global_average_pool(x: Array) -> Array:
    """y_c = the mean of x over all pixels."""
    return np.asarray(x.mean(axis=(1, 2)))


def batch_norm(x: Array, gamma: Any, beta: Any, mu: Array, v: Array, epsilon: float) -> Array:
    """y = gamma (x - mu) / sqrt(v + epsilon) + beta    mu and v the running averages: y = a x + c."""
    a = gamma / np.sqrt(v.astype(np.float64) + epsilon)
    c = beta - a * mu
    return np.asarray(x * a.astype(np.float32) + c.astype(np.float32))


def layer_norm(x: Array, gamma: Array, beta: Array, epsilon: float) -> Array:
    """y = gamma (x - mu) / sqrt(v + epsilon) + beta    mu and v of each example (of images: each pixel) itself."""
    mu, v = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    return np.asarray(gamma * ((x - mu) / np.sqrt(v + epsilon)) + beta)


def scale(x: Array, factor: float) -> Array:
    """y = factor x."""
    return x * np.float32(factor)


def relu(x: Array) -> Array:
    """y = max(x, 0)."""
    return np.maximum(x, 0)


def leaky_relu(x: Array, slope: float) -> Array:
    """y = max(x, slope x)."""
    return np.maximum(x, x * np.float32(slope))


def sigmoid(x: Array) -> Array:
    """y = 1 / (1 + e^-x)."""
    return 1 / (1 + np.exp(np.minimum(-x, np.float32(80))))


def tanh(x: Array) -> Array:
    """y = tanh x."""
    return np.tanh(x)


def gelu(x: Array) -> Array:
    """y = x (1 + tanh u) / 2,  u = sqrt(2 / pi) (x + 0.044715 x^3)."""
    u = np.float32(np.sqrt(2 / np.pi)) * (x + np.float32(0.044715) * x * x * x)
    return np.asarray(x * (1 + np.tanh(u)) / 2)


def silu(x: Array) -> Array:
    """y = x / (1 + e^-x)."""
    return np.asarray(x / (1 + np.exp(np.minimum(-x, np.float32(80)))))


def softmax(x: Array) -> Array:
    """y_i = e^x_i / sum_j e^x_j."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def positive_share(y: Array) -> Array:
    """p = max(y, 0) / sum; where no output is positive, y - min y in its place; of equals, all are equally likely."""
    lowest, highest = y.min(axis=1, keepdims=True), y.max(axis=1, keepdims=True)
    p = np.where(highest > 0, np.maximum(y, 0), y - lowest)
    p[~(p > 0).any(axis=1)] = 1
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def view(x: Array, pixels: int, is_flipped: bool) -> Array:
    """The images moved down and right by that many pixels, the edge reflected, and then perhaps mirrored."""
    if pixels:
        around = abs(pixels)
        padded = np.pad(x, ((0, 0), (around, around), (around, around), (0, 0)), mode="reflect")
        start = around - pixels
        x = padded[:, start : start + x.shape[1], start : start + x.shape[2]]
    return x[:, :, ::-1] if is_flipped else x


def read_picture(
    path: str, height: int, width: int, channels: int, white: float | None = None, may_be_negative: bool = False
) -> Array:
    """The picture in a file as bytes (1, height, width, channels): upright, on white, resized.

    Of more than 8 bits, `white` becomes 255, and a fifth more, too; None: what its largest number says.
    """
    from PIL import Image, ImageOps

    with Image.open(path) as opened:
        opened.draft(None, (2 * max(width, height),) * 2)
        is_deep_colour = any(";16" in str(tile[3]) for tile in getattr(opened, "tile", ())) and opened.mode[0] != "I"
        picture: Any = opened
        picture.load()
    if is_deep_colour or picture.mode[0] in "IF":
        values, unit = np.asarray(picture), 257 if is_deep_colour else 1  # of a colour Pillow has the upper 8 bits
        if not np.isfinite(values.max()):
            raise ValueError("it holds NaN or infinity")
        has_alpha, is_whole = picture.mode[-1] == "A", bool(np.all(values == np.rint(values)))

        def white_of(peak: float, reach: float) -> float:
            if reach > 1 and reach < peak <= 16 * reach:
                return peak
            return next((each for each in (1, 255, 1023, 4095, 16383, 65535) if peak <= each * reach), peak)

        colours, reach = values[..., :-1] if has_alpha else values, 1 if is_whole else 1.05
        low, peak = float(colours.min()), float(colours.max()) * unit
        by_itself = white_of(peak, reach)
        if (low < 0 and not may_be_negative) or (white is not None and peak > 1.2 * white):
            raise ValueError(f"pixels from {low:g} to {peak:g}, not 0..{white or by_itself:g}")
        scaled = values * (unit * 255 / (white or by_itself))
        if has_alpha:  # which has a range of its own
            scaled[..., -1] = values[..., -1] * (unit * 255 / white_of(float(values[..., -1].max()) * unit, 1))
        eight = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
        exif, mode = picture.getexif(), "L" if eight.ndim == 2 else picture.mode
        picture = Image.frombytes(mode, picture.size, eight.tobytes())
        picture.getexif().update(exif)
    picture = ImageOps.exif_transpose(picture)
    if picture.has_transparency_data:
        colours = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours)
    picture = picture.convert("L" if channels == 1 else "RGB")
    if picture.size != (width, height):
        shrinks = picture.width >= width and picture.height >= height
        picture = picture.resize((width, height), Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC)
    return np.array(picture, np.uint8).reshape(1, height, width, channels)


def read_table(path: str, names: list[str]) -> dict[str, Any]:
    """The rows of a CSV file as text by column, by `path:line`; `names` are its columns where it does not name them.

    What is wrong with a row that has other cells. A last row called Total is none, nor is a remark below it.
    """
    import csv
    import io
    import re

    data = Path(path).read_bytes()
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        if re.search(rb"[\x80-\xff]{3}", data):  # which Latin letters hardly have
            raise ValueError("no UTF-8, and not of Latin letters: save it as UTF-8") from None
        text = data.decode("cp1252" if re.search(rb"[\x80-\x9f]", data) else "latin-1")
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t|", key=text.partition("\n")[0].count))
    found, begin = {}, 1
    for cells in lines:
        if any(cell.strip() for cell in cells):
            found[f"{path}:{begin}"] = cells
        begin = lines.line_num + 1
    if not names and found:
        names = [cell.strip() for cell in found.pop(next(iter(found)))]
        if twice := [name for name in names if name and names.count(name) > 1]:
            raise ValueError(f"two columns are called {twice[0]!r}")
    while found and is_below(list(found.values())):
        found.popitem()
    if not found:
        raise ValueError("no rows in it")
    ragged = [place for place, cells in found.items() if len(cells) != len(names)]
    if 2 * len(ragged) > len(found):
        raise ValueError(f"{ragged[0]} has {len(found[ragged[0]])} cells, not {len(names)}")
    return {
        place: dict(zip(names, cells, strict=True))
        if len(cells) == len(names)
        else f"{len(cells)} cells, not {len(names)}"
        for place, cells in found.items()
    }


def is_below(rows: list[list[str]]) -> bool:
    """Whether the last of the rows is none, but a total or a remark below them."""
    import re

    *others, last = rows
    first = next(cell.strip() for cell in last if cell.strip())
    if any(cell.strip().startswith(first) for cells in others for cell in cells[:1]):
        return False
    total = r"(grand |sub)?totals?\b|(sums?|summe|gesamt|average|mean):?$"
    is_total = len(last) > 1 and re.match(total, first, re.IGNORECASE) and last[0].strip() in ("", first)
    return bool(is_total) or (
        len(last) == 1 < max(map(len, others), default=0) - 1 and bool(re.search(r"[^\W\d]{2}", first))
    )


def read_rows(path: str, names: list[str], has_header: bool) -> dict[str, Any]:
    """The numbers in the columns of those names, or what is wrong, for each row of a CSV file by `path:line`."""
    rows = read_table(path, [] if has_header else names)
    for place, row in rows.items():
        try:
            rows[place] = row if isinstance(row, str) else np.array([float(row[name]) for name in names])
        except ValueError as error:
            rows[place] = str(error)
        except KeyError as error:
            raise ValueError(f"no column {error}") from None
    return rows
