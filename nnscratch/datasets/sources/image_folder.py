"""One's own pictures: a folder per class, `mine/cat/1.png`, or `mine/train/cat/1.png` and `mine/test/cat/2.png`."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from nnscratch import cpu
from nnscratch.component import setting
from nnscratch.datasets.dataset import Array, Dataset, Report
from nnscratch.datasets.description import Description, Guess
from nnscratch.datasets.download import Progress
from nnscratch.datasets.formats.folder import natural
from nnscratch.datasets.formats.images import Deep, Picture, quiet_pillow, read_picture
from nnscratch.datasets.formats.white import in_words, white_of
from nnscratch.datasets.separation import Separation, contradictions, numbered
from nnscratch.datasets.sources.own_data import LargeSource, TrainedOn, identity, required_path
from nnscratch.datasets.sources.picture_folders import Listing, PictureFolders
from nnscratch.datasets.sources.picture_names import GROUP, ORDER, parts_of, problem_of
from nnscratch.datasets.splits import hold_out
from nnscratch.datasets.storage import Storage
from nnscratch.errors import DataError, listed

NAMED_AT_ONCE = 20
"""Unreadable files that a message names."""
SPLITS = ("train", "val", "test")
MANY = 0.1
"""Of the pictures with more than 8 bits: so many that hold fractions are no dark ones among others."""


@dataclass
class ImageFolder(LargeSource):
    """Images (N, size, size, channels) uint8 and their folders' names as classes, in natural order."""

    name: ClassVar[str] = "image_folder"
    also_called: ClassVar[tuple[str, ...]] = ("images", "pictures", "folder", "imagefolder")
    summary: ClassVar[str] = "your own pictures: a folder per class, PNG, JPEG, TIFF, GIF, BMP, WebP and others"

    size: int = setting(32, "height and width; other sizes are resized, aspect ratio not kept", ge=1, le=1024)
    mode: Literal["rgb", "grey"] = setting("rgb", "three channels, or one")
    test: float = setting(0.2, "fraction held out as the test split when there is no folder test/", ge=0, lt=1)
    split_by: str | None = setting(
        None,
        "what the part {group} of the file names says, such as the patient, is in one split alone: '{group}_*' for "
        "p12_left.png; * and ? as in a shell; with a / the path in the class folder: '{group}/*' for p12/left.png",
    )
    split: Literal["random", "last"] = setting("random", "which pictures are held out, for test and for validation")
    order_by: str | None = setting(
        None,
        "the part {order} of the file names, as people count, says which pictures are last, such as a date: "
        "'*_{order}.png' for cam2_2024-03-01.png; null: the whole names",
    )
    seed: int = setting(0, "which pictures are held out", ge=0)
    unreadable: Literal["error", "skip"] = setting("error", "what a picture that cannot be read means")

    def contradictions(self) -> Iterator[tuple[str, str]]:
        yield from contradictions(self.split_by, self.split, self.order_by)
        for field, pattern, part in (("split_by", self.split_by, GROUP), ("order_by", self.order_by, ORDER)):
            if pattern is not None and (problem := problem_of(pattern, part)):
                yield field, problem

    def load(
        self,
        data_dir: Path,
        path: Path | None,
        report: Report,
        download: bool = True,
        progress: Progress | None = None,
        in_memory: bool | None = None,
        trained_on: TrainedOn | None = None,
    ) -> Dataset:
        """See `LargeSource.load`. `path` is the folder."""
        folder = required_path(path, self.name, "a folder with one folder of pictures per class")
        if not folder.is_dir():
            raise DataError(
                f"{folder} is a file", "it must be a folder with one folder of pictures per class", "data.path"
            )
        found = PictureFolders.find(folder)
        splits = self._with_test(found.listings)
        files = [file for listing in splits.values() for file in listing.files]
        report(f"reading {len(files):,} pictures from {folder}")
        reading = _Reading(files, self, report, progress)
        shape = (len(files), self.size, self.size, 3 if self.mode == "rgb" else 1)
        storage = Storage(in_memory, data_dir / "cache", download, report, folder)
        made_from = self._made_from(folder, files)
        pixels, seen = storage.rows(shape, np.uint8, made_from, reading.fill)
        if trained_on is None and seen["unlike"]:
            raise DataError(f"{folder}: {seen['unlike']}", "save all of them with the same range, from 0 on")
        if trained_on is not None and trained_on.white == seen["white_before"] != seen["white"]:
            before = partial(reading.fill, white=trained_on.white)
            pixels, seen = storage.rows(shape, np.uint8, f"{made_from};white {trained_on.white}", before)
        dataset = self._dataset(folder, found, splits, pixels, seen)
        return replace(dataset, one_white=trained_on is None or trained_on.one_white)

    def _with_test(self, listings: Mapping[str, Listing]) -> dict[str, Listing]:
        """The splits in the order of SPLITS, with a test split held out when there is none."""
        splits = dict(listings)
        if "test" not in splits and self.test > 0:
            labels, whole = splits["train"].labels, splits["train"]
            rng, separation = np.random.default_rng(self.seed), self._separation({"train": whole})
            parts = hold_out(
                np.array(labels), self.test, rng, stratify=True,
                groups=separation.groups.get("train"), order=separation.order, field="data.dataset.test",
            )  # fmt: skip
            for split, rows in zip(("train", "test"), parts, strict=True):
                splits[split] = whole.take(rows.tolist())
        return {split: splits[split] for split in SPLITS if split in splits}

    def _separation(self, listings: Mapping[str, Listing]) -> Separation:
        """What the names of the files say of it."""
        if self.split_by is not None:
            cells = {split: parts_of(each, self.split_by, GROUP) for split, each in listings.items()}
            return Separation(groups_from=f"'{self.split_by}'", groups=numbered(cells))
        if self.split != "last":
            return Separation()
        names = parts_of(listings["train"], self.order_by or ORDER, ORDER)
        place = {name: number for number, name in enumerate(sorted(set(names), key=natural))}
        by = "the file names" if self.order_by is None else f"'{self.order_by}'"
        return Separation(order_from=by, order=np.array([place[name] for name in names]))

    def _made_from(self, folder: Path, files: Sequence[Path]) -> str:
        """All that the pixels depend on: the folder, the pictures in their order, and the settings."""
        names = (f"{str(file.relative_to(folder))!r} {identity(file)}" for file in files)
        return f"{str(folder.resolve())!r};{self.mode};{self.unreadable};" + ";".join(names)

    def _dataset(
        self, folder: Path, found: PictureFolders, splits: Mapping[str, Listing], pixels: Array, seen: Mapping[str, Any]
    ) -> Dataset:
        skipped, start, row = frozenset(seen["skipped"]), 0, 0
        arrays: dict[str, tuple[Array, Array] | tuple[None, None]] = dict.fromkeys(SPLITS, (None, None))
        read: dict[str, Listing] = {}
        for split, listing in splits.items():
            kept = listing.take([index for index in range(len(listing.files)) if start + index not in skipped])
            arrays[split] = pixels[row : row + len(kept.files)], np.array(kept.labels, np.int64)
            start, row = start + len(listing.files), row + len(kept.files)
            read[split] = kept
        train, labels = arrays["train"]
        if train is None or labels is None or not len(train):
            raise DataError(f"{folder}: none of the training pictures can be read")
        description = self._description(found, read, seen)
        return Dataset(
            self.name,
            train,
            labels,
            test_inputs=arrays["test"][0],
            test_targets=arrays["test"][1],
            classes=found.classes,
            origin=str(folder),
            notes=_notes(description, found),
            description=description,
            validation_inputs=arrays["val"][0],
            validation_targets=arrays["val"][1],
            example_names={
                split: tuple(str(file.relative_to(folder)) for file in each.files) for split, each in read.items()
            },
            white=seen["white"],
            separation=self._separation(read),
        )

    def _description(
        self, found: PictureFolders, splits: Mapping[str, Listing], seen: Mapping[str, Any]
    ) -> Description:
        guesses, warnings, left_out = list(found.guesses), list(found.warnings), found.left_out.copy()
        if "test" in splits and "test" not in found.listings:
            taken = f"{len(splits['test'].files):,} pictures held out"
            guesses.append(Guess("test split", taken, "there is no folder test/", "data.dataset.test"))
        if "val" in splits:
            taken = f"{found.folders['val'].name}/" if "val" in found.folders else "val/ of every class"
            guesses.append(Guess("validation", taken, "in place of a share of training", "data.validation"))
        if seen["white"] is not None:
            why = f"the brightest of {seen['deep']:,} pictures with more than 8 bits holds {seen['peak']:.9g}"
            guesses.append(Guess("white", in_words(seen["white"], seen["peak"]), why))
        if seen["dark"]:
            warnings.append(f"where {seen['white']:g} is white, fractions are all but black: {seen['dark']}")
        if seen["skipped"]:
            left_out["unreadable pictures"] += len(seen["skipped"])
            named = _first(seen["reasons"])
            warnings.append(f"{len(seen['skipped']):,} pictures cannot be read and are left out: {named}")
        wanted = f"{self.size}x{self.size}"
        if set(seen["sizes"]) != {wanted}:
            guesses.append(Guess("size", wanted, "every picture is resized to it", "data.dataset.size"))
        facts = {
            "pictures": sum(seen["sizes"].values()),
            "sizes": _counted(seen["sizes"]),
            "colours": _counted(seen["colours"]),
        }
        return Description(tuple(guesses), (), dict(+left_out), tuple(warnings), facts)


class _Reading:
    """The pictures on their way into an array, on several threads, and what was seen of them."""

    def __init__(self, files: Sequence[Path], source: ImageFolder, report: Report, progress: Progress | None) -> None:
        self.files, self.source, self.report, self.progress = files, source, report, progress
        self.unreadable: dict[int, str] = {}
        self.done = itertools.count(1)
        self.started, self.told = time.monotonic(), 0.0

    def fill(self, images: Array, white: float | None = None) -> Mapping[str, Any]:
        """Reads every picture into its row; unreadable ones are an error, or leave no gap.

        Without `white` the numbers of all pictures with more than 8 bits say what it is.
        """

        def read(index: int) -> tuple[str, str, Deep | None] | None:
            try:
                picture = self._read(index, images, None)
            except DataError as error:
                self.unreadable[index] = error.message
                return None
            self._tell(next(self.done), images)
            return "{}x{}".format(*picture.size), picture.mode, picture.deep

        with quiet_pillow():
            # Pillow decodes without holding the interpreter's lock.
            seen = cpu.threaded_map(read, range(len(self.files)), min(8, cpu.usable_threads()))
            if self.told and self.progress is not None:
                self.progress("pictures", images.nbytes, images.nbytes)
            if self.unreadable and self.source.unreadable == "error":
                raise self._error()
            deep = {index: each[2] for index, each in enumerate(seen) if each is not None and each[2] is not None}
            peak = max((each.peak for each in deep.values()), default=0.0)
            if deep and white is None:
                white = white_of(peak, all(each.is_whole for each in deep.values()))
            for index, each in deep.items():
                if each.white != white:  # scaled by what it holds alone: its brightness would be lost
                    self._read(index, images, white)
        skipped = sorted(self.unreadable)
        return {
            "rows": _close_gaps(images, skipped),
            "skipped": skipped,
            "reasons": [self.unreadable[index] for index in skipped[:NAMED_AT_ONCE]],
            "white": white,
            # What was taken for white, in runs of then, before transparency and broken numbers were told apart.
            "white_before": white_of(max(each.peak_of_all for each in deep.values())) if deep else None,
            "unlike": self._unlike(deep),
            "dark": self._named(self._fractions(deep)),
            "peak": peak,
            "deep": len(deep),
            "sizes": dict(Counter(each[0] for each in seen if each is not None).most_common()),
            "colours": dict(Counter(each[1] for each in seen if each is not None).most_common()),
        }

    def _unlike(self, deep: Mapping[int, Deep]) -> str:
        """What is wrong with the ranges of the pictures' numbers, when something is."""
        negative = {index: each for index, each in deep.items() if each.low < 0}
        if negative:
            return f"pixels have no negative values: {self._named(negative)}"
        fractions = self._fractions(deep)
        if not fractions or len(fractions) < MANY * len(deep):  # a few may well be dark
            return ""
        others = {index: each for index, each in deep.items() if index not in fractions}
        named = f"{self._named(fractions)}; {self._named(others)}"
        return f"some pictures hold fractions of white, others whole numbers: {named}"

    def _fractions(self, deep: Mapping[int, Deep]) -> dict[int, Deep]:
        """All pictures of broken numbers, where none of them holds more than fractions do, and others whole numbers."""
        floats = {index: each for index, each in deep.items() if each.is_float}
        are_fractions = any(each.are_fractions for each in floats.values()) and len(floats) < len(deep)
        return floats if are_fractions and all(each.white == 1 for each in floats.values()) else {}

    def _named(self, deep: Mapping[int, Deep]) -> str:
        files = ((self.files[index], each) for index, each in deep.items())
        named = (f"{file.parent.name}/{file.name} from {each.low:.9g} to {each.peak:.9g}" for file, each in files)
        return listed(named, 3)

    def _read(self, index: int, images: Array, white: float | None) -> Picture:
        height, width, channels = images.shape[1:]
        picture = read_picture(self.files[index], height, width, channels, white)
        images[index] = picture.pixels
        return picture

    def _tell(self, done: int, images: Array) -> None:
        now = time.monotonic()
        if self.progress is not None and now - self.started > 2 and now - self.told > 0.2:
            self.told = now
            self.progress("pictures", done * images[0].nbytes, images.nbytes)

    def _error(self) -> DataError:
        reasons = [self.unreadable[index] for index in sorted(self.unreadable)]
        first = "\n  ".join(reasons[:NAMED_AT_ONCE])
        more = f"\n  and {len(reasons) - NAMED_AT_ONCE:,} more" if len(reasons) > NAMED_AT_ONCE else ""
        if len(reasons) > 1:
            first = f"{len(reasons):,} of {len(self.files):,} pictures cannot be read:\n  {first}{more}"
        return DataError(first, "replace or remove what is damaged, or set data.dataset.unreadable: skip")


def _close_gaps(images: Array, skipped: Sequence[int]) -> int:
    """Moves every row up over those that were skipped; how many rows are left."""
    end = 0
    for first, after in zip([-1, *skipped], [*skipped, len(images)], strict=True):
        for row in range(first + 1, after):
            if row != end:
                images[end] = images[row]
            end += 1
    return end


def _notes(description: Description, found: PictureFolders) -> tuple[str, ...]:
    """What a person should know before training, a line each."""
    told = [f"{guess.what}: {guess.taken} ({guess.why})" for guess in found.guesses]
    told += [f"{guess.what}: {guess.taken} ({guess.why})" for guess in description.guesses if guess.what == "white"]
    if description.left_out:
        told.append("not read: " + ", ".join(f"{count:,} {what}" for what, count in description.left_out.items()))
    return (*told, *description.warnings)


def _counted(counts: Mapping[str, int]) -> str:
    return listed((f"{name} ({count:,})" for name, count in counts.items()), 5)


def _first(reasons: Sequence[str]) -> str:
    return "; ".join(reasons[:5]) + (" ..." if len(reasons) > 5 else "")
