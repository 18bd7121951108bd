"""What a network makes of data with one or two features, as pictures: of its best weights, and epoch by epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.losses.loss import one_hot
from nnscratch.results.space import FINER, Space
from nnscratch.runs.frames import read_frames
from nnscratch.runs.loaded import LoadedRun
from nnscratch.training.examples import Examples

MOST_POINTS = 1000
"""Examples that are drawn: of more, so many at random."""
EARLIER = 5
"""Epochs before the one whose weights count of which a curve is drawn, too."""


@dataclass(frozen=True)
class Seen:
    """A picture's name, what it says to who cannot see it, and how it and its film are drawn."""

    name: str
    alt: str
    caption: str
    draw: Callable[..., object]
    film: Callable[..., object] | None


def seen(loaded: LoadedRun, train: Examples) -> Seen | None:
    """The picture of data with one or two features; None of any other, and of several numbers over a plane."""
    space, coarse = (Space.of(train, loaded.outputs, finer) for finer in (FINER, 1))
    if space is None or coarse is None:
        return None
    kept = {each.epoch: each.array((*coarse.shape, loaded.outputs)) for each in read_frames(loaded.run)}
    frames = {epoch: _in_own_units(loaded, y) for epoch, y in kept.items() if y is not None}
    y = space.outputs(loaded.network, loaded.affine)
    if loaded.classes is not None:
        values = loaded.probabilities(y.reshape(-1, loaded.outputs)).reshape(y.shape)
    else:
        values = _in_own_units(loaded, y)
    features = loaded.feature_names or ("x1", "x2")
    if len(space.axes) == 1:
        return _along_a_line(loaded, train, (space, coarse), values, frames, features[0])
    if loaded.classes is None and loaded.outputs > 1:
        return None
    return _over_a_plane(loaded, train, (space, coarse), values, frames, (features[0], features[1]))


def _over_a_plane(
    loaded: LoadedRun,
    train: Examples,
    spaces: tuple[Space, Space],
    values: Array,
    frames: Mapping[int, Array],
    features: tuple[str, str],
) -> Seen:
    from nnscratch.report.film import film
    from nnscratch.report.plane import Plane, map_of

    rows = _shown_rows(train)
    targets = train.targets[rows].reshape(len(rows))
    offsets = _offsets(loaded)
    points = train.inputs[rows] + offsets
    fine, coarse = (
        Plane(space.axes[0] + offsets[0], space.axes[1] + offsets[1], points, targets, features, loaded.classes or ())
        for space in spaces
    )
    units = spaces[0].hidden(loaded.network, loaded.affine)
    what = "The class chosen" if loaded.classes is not None else "The number predicted"
    panels = f", and what each of {units[1].shape[-1]} units gives there" if units is not None else ""
    return Seen(
        name="boundary" if loaded.classes is not None else "surface",
        alt=f"{what} at every point of the plane of {features[0]} and {features[1]}{panels}",
        caption=f"{what} everywhere, and the training examples; the fainter, the less sure."
        if loaded.classes is not None
        else f"{what} everywhere, and the training examples in the colours of their own.",
        draw=partial(map_of, fine, values, units=units, title=_title(loaded)),
        film=partial(film, coarse, frames) if len(frames) > 1 else None,
    )


def _along_a_line(
    loaded: LoadedRun,
    train: Examples,
    spaces: tuple[Space, Space],
    values: Array,
    frames: Mapping[int, Array],
    feature: str,
) -> Seen:
    from nnscratch.report.curve import Line, curve_of
    from nnscratch.report.film import film

    rows = _shown_rows(train)
    targets, names = train.targets[rows], loaded.target_names
    if loaded.classes is not None:
        targets, names = one_hot(targets, len(loaded.classes)), loaded.classes
    offset = _offsets(loaded)[0]
    points = train.inputs[rows, 0] + offset
    fine, coarse = (
        Line(space.axes[0] + offset, points, targets, feature, names, loaded.classes is not None) for space in spaces
    )
    earlier = [epoch for epoch in frames if epoch < loaded.epoch]
    # Much happens at first: each twice as far as the one before, counted from the first.
    chosen = sorted({earlier[min(2**place, len(earlier)) - 1] for place in range(EARLIER)}) if earlier else []
    before = {epoch: frames[epoch] for epoch in chosen}
    return Seen(
        name="fit",
        alt=f"What the network gives for every {feature}, among the training examples",
        caption="The training examples, and what the network makes of them.",
        draw=partial(curve_of, fine, values, (coarse, before), epoch=loaded.epoch, title=_title(loaded)),
        film=partial(film, coarse, frames) if len(frames) > 1 else None,
    )


def _in_own_units(loaded: LoadedRun, y: Array) -> Array:
    """Probabilities as they are; numbers without the scaling of the targets."""
    if loaded.classes is not None:
        return y
    return loaded.target_affine.undo(y.reshape(-1, loaded.outputs)).reshape(y.shape)


def _offsets(loaded: LoadedRun) -> Array:
    """What makes features (2,) the numbers that stand in the file."""
    return loaded.encoding.offsets if loaded.encoding is not None else np.zeros(2)


def _shown_rows(train: Examples) -> Array:
    if len(train) <= MOST_POINTS:
        return train.rows
    return np.sort(np.random.default_rng(0).choice(train.rows, MOST_POINTS, replace=False))


def _title(loaded: LoadedRun) -> str:
    return f"{loaded.run.name}: epoch {loaded.epoch}"
