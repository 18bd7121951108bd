"""How somebody laid their pictures out: which folders are splits, which are classes, and what is neither."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nnscratch.datasets.description import Guess
from nnscratch.datasets.formats.folder import HIDDEN, is_hidden, subfolders, walk
from nnscratch.datasets.formats.images import SUFFIXES
from nnscratch.errors import DataError

WORDS_OF = {
    "train": frozenset({"train", "training"}),
    "val": frozenset({"val", "valid", "validation", "dev"}),
    "test": frozenset({"test", "testing"}),
}
"""What a folder's name has in it that is a split: `Training`, `seg_train`, `training_set`."""


TABLES = (".csv", ".tsv", ".txt", ".xlsx", ".json", ".parquet")
"""Files in which people list pictures with their classes."""


@dataclass(frozen=True)
class Listing:
    """The pictures of a split and their labels, in the order of the classes and then of the names."""

    files: Sequence[Path]
    labels: Sequence[int]
    names: Sequence[str]
    """The path of each below the folder of its class."""

    def take(self, rows: Sequence[int]) -> Listing:
        """Some of them."""
        files, labels, names = self.files, self.labels, self.names
        return Listing([files[row] for row in rows], [labels[row] for row in rows], [names[row] for row in rows])


@dataclass
class PictureFolders:
    """A folder of pictures: the folder of each split there is (train always), its classes, and what was left out."""

    folders: dict[str, Path]
    classes: tuple[str, ...] = ()
    listings: dict[str, Listing] = field(default_factory=dict)
    guesses: list[Guess] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def find(cls, folder: Path) -> PictureFolders:
        """What lies there. Raises DataError when it is not pictures in a folder for each class."""
        inner = folder
        while len(inside := subfolders(inner)) == 1 and not _pictures_in(inner) and _class_parent(inside[0]):
            inner = inside[0]
        found = cls(_splits(inner))
        if found.folders["train"] != folder:
            found.guesses.append(Guess("splits", found._told(folder), "what the folders are called and hold in common"))
        if found.folders["train"] != inner:
            found._leave_out_beside(inner)
        found._list()
        return found

    def _told(self, folder: Path) -> str:
        return ", ".join(f"{split}: {path.relative_to(folder)}/" for split, path in self.folders.items())

    def _leave_out_beside(self, folder: Path) -> None:
        used = set(self.folders.values()) | {parent for path in self.folders.values() for parent in path.parents}
        for entry in folder.iterdir():
            if entry not in used:
                self.left_out[_kind(entry, "pictures beside the splits")] += 1
                if (
                    not is_hidden(entry.name)
                    and entry.is_dir()
                    and any(reason == "" and is_picture(file) for file, reason in walk(entry))
                ):
                    self.warnings.append(f"{entry.name}/ holds pictures but no classes of the others: it is not read")

    def _list(self) -> None:
        train = self.folders["train"]
        by_class = {path.name: self.pictures(path) for path in subfolders(train)}
        self.classes = tuple(name for name, files in by_class.items() if files)
        empty = [name for name, files in by_class.items() if not files]
        if len(self.classes) < 2:
            found = f"only {self.classes[0]!r}" if self.classes else "none"
            without = f"; no pictures in {', '.join(f'{name}/' for name in empty)}" if empty else ""
            table = next((each.name for each in sorted(train.iterdir()) if each.suffix.lower() in TABLES), None)
            unread = "" if table is None else f"{table} is not read for the classes of pictures: "
            raise DataError(
                f"{train}: a folder per class is needed, at least two; found {found}{without}",
                f"{unread}lay the pictures out as {train}/cat/1.png, {train}/dog/2.png; read are {' '.join(SUFFIXES)}",
            )
        if empty:
            self.warnings.append(f"no pictures in {', '.join(f'{name}/' for name in empty)}: no class is made of them")
        self.leave_out_loose()
        if loose := self.left_out["pictures in no class folder"]:
            self.warnings.append(f"{loose:,} pictures in {train.name}/ lie in no class folder: they are not read")
        inside = _splits_inside(train, by_class) if set(self.folders) == {"train"} else {}
        if len(inside) > 1 and "train" in inside and "" not in inside:
            self._list_inside(train, inside)
            return
        if len(inside.keys() - {""}) > 1:
            self.warnings.append("some pictures lie in folders called like splits, others do not: all count alike")
        self.warnings += _classes_like_splits(self.classes) if set(self.folders) == {"train"} else []
        self.listings["train"] = _listing(train, by_class, self.classes)
        for split in [each for each in self.folders if each != "train"]:
            self._list_beside(split)

    def leave_out_loose(self) -> None:
        """Counts what lies beside the folders of the classes."""
        for entry in self.folders["train"].iterdir():
            if is_hidden(entry.name) or not entry.is_dir():
                self.left_out[_kind(entry, "pictures in no class folder")] += 1

    def _list_inside(self, folder: Path, inside: Mapping[str, Mapping[str, list[Path]]]) -> None:
        """Splits that are folders in those of the classes: cat/train/1.png, cat/test/2.png."""
        told = ", ".join(f"{split}: {self.classes[0]}/{split}/" for split in WORDS_OF if split in inside)
        self.guesses.append(Guess("splits", f"{told} and so on", "what the folders in those of the classes are called"))
        for split, by_class in inside.items():
            if absent := [name for name in self.classes if not by_class.get(name)]:
                self.warnings.append(f"no pictures of {', '.join(absent)} for {split}")
            self.listings[split] = _listing(folder, by_class, self.classes)

    def _list_beside(self, split: str) -> None:
        """Another split, whose classes are those of training: what it has more is left out, what it lacks is said."""
        folder = self.folders[split]
        by_class = {path.name: self.pictures(path) for path in subfolders(folder)}
        extra = {name: len(files) for name, files in by_class.items() if files and name not in self.classes}
        absent = [name for name in self.classes if not by_class.get(name)]
        if extra:
            names = ", ".join(f"{name} ({count:,})" for name, count in extra.items())
            self.warnings.append(f"{folder.name}/ has classes that training has not; they are left out: {names}")
            self.left_out[f"pictures of classes that only {folder.name}/ has"] += sum(extra.values())
        if absent:
            self.warnings.append(f"{folder.name}/ has no pictures of {', '.join(absent)}")
        self.listings[split] = _listing(folder, by_class, self.classes)
        if not self.listings[split].files:
            raise DataError(
                f"{folder}: no pictures of the classes in {self.folders['train']}",
                f"the classes are {', '.join(self.classes[:20])}",
            )

    def pictures(self, folder: Path) -> list[Path]:
        """Those in it and below; whatever else lies there counts as left out."""
        files = []
        for file, reason in walk(folder):
            if reason or not is_picture(file):
                self.left_out[reason or _kind(file)] += 1
            else:
                files.append(file)
        return files


def _splits_inside(folder: Path, by_class: Mapping[str, list[Path]]) -> dict[str, dict[str, list[Path]]]:
    """The pictures of each split by class, by the folder in that of the class; "" for those in none called so."""
    found: dict[str, dict[str, list[Path]]] = {}
    for name, files in by_class.items():
        for file in files:
            *between, _ = file.relative_to(folder / name).parts
            role = _role(between[0]) if between else None
            found.setdefault(role or "", {}).setdefault(name, []).append(file)
    return found


def is_picture(file: Path) -> bool:
    """Whether its suffix is that of a picture."""
    return file.suffix.lower() in SUFFIXES


def _kind(entry: Path, picture: str = "") -> str:
    """What is left out, in a word or two."""
    if is_hidden(entry.name):
        return HIDDEN
    if entry.is_dir():
        return f"{entry.name}/"
    if picture and is_picture(entry):
        return picture
    return f"{entry.suffix.lower()} files" if entry.suffix else "files without suffix"


def _listing(folder: Path, by_class: Mapping[str, list[Path]], classes: tuple[str, ...]) -> Listing:
    pairs = [(file, label) for label, name in enumerate(classes) for file in by_class.get(name, ())]
    names = [file.relative_to(folder / classes[label]).as_posix() for file, label in pairs]
    return Listing([file for file, _ in pairs], [label for _, label in pairs], names)


def _pictures_in(folder: Path) -> list[Path]:
    """The pictures that lie right in a folder."""
    return [entry for entry in folder.iterdir() if not is_hidden(entry.name) and is_picture(entry) and entry.is_file()]


def _splits(folder: Path) -> dict[str, Path]:
    """The folders of the splits, train first; the folder itself as the only one when it holds none."""
    named: dict[str, list[Path]] = {}
    has_unlabelled = False
    for entry in subfolders(folder):
        role = _role(entry.name)
        inner = _class_parent(entry)
        if role is not None and inner is not None:
            named.setdefault(role, []).append(inner)
        has_unlabelled |= role == "test" and inner is None
    if not named:
        return {"train": folder}
    found = {role: paths[0] for role, paths in named.items() if len(paths) == 1}
    names = {role: {each.name for each in subfolders(path)} for role, path in found.items()}
    fits = "train" in found and len(found) == len(named) > (0 if has_unlabelled else 1)
    if fits and all(names["train"] & names[role] for role in names):
        return {role: found[role] for role in WORDS_OF if role in found}
    told = ", ".join(f"{path.relative_to(folder)}/" for paths in named.values() for path in paths)
    raise DataError(
        f"{folder}: {told}: folders of folders are no classes, and no two splits with the same classes in them; "
        "what is read is train/CLASS/*.png, with test/CLASS and val/CLASS beside it, or CLASS/*.png",
        "name the splits train/, test/ and val/, or set data.path to the training folder: data.dataset.test and "
        "data.validation hold pictures out of it; a class that is called like a split needs its pictures right in it, "
        "or another name",
    )


def _classes_like_splits(classes: Sequence[str]) -> list[str]:
    """What is to be said of classes whose whole name is that of a split."""
    called_so = [name for name in classes if any(name.lower() in known for known in WORDS_OF.values())]
    return [
        f"{name}/ is taken as a class, as pictures lie in it and not a folder for each class; "
        f"{name}/CLASS/*.png, and train/CLASS/*.png beside it, would make a split of it"
        for name in called_so
    ]


def _role(name: str) -> str | None:
    words = set(re.findall("[a-z]+", name.lower()))
    return next((role for role, known in WORDS_OF.items() if words & known), None)


def _class_parent(folder: Path) -> Path | None:
    """The folder that holds the class folders: this one, or the only one in it; None when pictures lie here."""
    if _pictures_in(folder):
        return None
    inside = subfolders(folder)
    if len(inside) == 1 and subfolders(inside[0]) and not _pictures_in(inside[0]):
        return _class_parent(inside[0])
    return folder if inside else None
