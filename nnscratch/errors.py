"""The errors a user can fix, each with its exit code; the command line prints them without a traceback."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches


class UserError(Exception):
    """Something the user can fix: what is wrong (message) and what to do next (hint)."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n  {self.hint}"


class UsageError(UserError):
    """The command line asks for something that does not exist or does not fit together."""

    exit_code = 2


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a config: where (field path, line, column from 1), what, and the source line."""

    path: str
    message: str
    source: str | None = None  # file name, or "override" for a command-line value
    line: int | None = None
    column: int | None = None
    excerpt: str | None = None  # the offending line as the user wrote it

    def __str__(self) -> str:
        on_the_command_line = self.line is None and self.excerpt is not None  # the excerpt is all of it
        parts = () if on_the_command_line else (self.source, self.line, self.column)
        place = ":".join(str(part) for part in parts if part is not None)
        head = "  ".join(
            part for part in (place, f"{self.path}: {self.message}" if self.path else self.message) if part
        )
        if self.excerpt is None or self.column is None:
            return head
        return f"{head}\n    {self.excerpt}\n    {' ' * (self.column - 1)}^"


class ConfigError(UserError):
    """A config that cannot be used; all of its problems at once."""

    exit_code = 2

    def __init__(self, problems: Iterable[Problem], hint: str | None = None) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems), hint)


class ShapeError(UserError):
    """A layer was given an input it cannot take; names the layer and both shapes.

    `layer` is the layer's path (3.residual.1.conv), and `position` the way to it from the network, by fields and places
    in them ("layers", 3, "layers", 1); both are filled in by the chains that hold the layer.
    """

    exit_code = 2

    def __init__(
        self, reason: str, hint: str | None = None, layer: str | None = None, position: tuple[str | int, ...] = ()
    ) -> None:
        super().__init__(reason if layer is None else f"layer {layer}: {reason}", hint)
        self.reason, self.layer, self.position = reason, layer, position

    def inside(self, field: str, index: int, layer: str) -> ShapeError:
        """The same error, of the layer at that index of that field, or of one that this layer holds."""
        return ShapeError(self.reason, self.hint, self.layer or layer, (field, index, *self.position))


class SettingError(UserError):
    """A component's setting that does not go with the data it is given; names the field."""

    exit_code = 2

    def __init__(self, field: str, reason: str, hint: str | None = None) -> None:
        super().__init__(f"{field} {reason}", hint)
        self.field, self.reason = field, reason


class ContractError(UserError):
    """A component does not do what its kind must; says which one, by file and line."""


class DivergenceError(UserError):
    """The loss or a gradient stopped being finite; says where and when first."""

    exit_code = 3


class DataError(UserError):
    """Data that is missing, cut short or not what it claims to be.

    `field` is that of the config which asks for what the data does not give; who has the config says where it is.
    """

    exit_code = 4

    def __init__(self, reason: str, hint: str | None = None, field: str | None = None) -> None:
        super().__init__(reason if field is None else f"{field}: {reason}", hint)
        self.reason, self.field = reason, field


class ProcessKilled(UserError):
    """Another process that does a part of the work was killed from outside; what was saved can be gone on from."""


class Interrupted(UserError):
    """The user or the system asked the program to stop; what was done is saved."""

    exit_code = 130


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """'; did you mean X?' for the closest allowed name, or '' when none is close."""
    known, parts = list(allowed), set(name.lower().split("_"))
    # `val_f1` is `val_macro_f1` rather than `val_r2`, which differs from it in fewer letters.
    matches = [each for each in known if len(parts) > 1 and parts < set(each.split("_"))]
    matches = matches or get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    return f"; did you mean {matches[0]}?" if matches else ""


def listed(names: Iterable[object], most: int) -> str:
    """'a, b and 3 more': the first `most` of them, and how many there are besides."""
    told = [str(each) for each in names]
    return ", ".join(told[:most]) + (f" and {len(told) - most:,} more" if len(told) > most else "")


def cause(error: OSError) -> str:
    """Why the system refused, in its own words where they say enough: `No space left on device`.

    Of a symbolic link that leads to itself it says what to do.
    """
    if error.errno == errno.ELOOP:
        return (
            "a symbolic link in place of a file, or links that lead back to themselves; `ls -l` shows them: "
            "remove them, or name the file itself"
        )
    return error.strerror or str(error)


_SECRET = r"(?:pass(?:word|wd|phrase|code|wort)?|pwd|token|jwt|secret(?:_access)?(?:_key)?|(?:api|access|private)_?key)"
_PARAMETER = rf"[\w.~-]*(?:{_SECRET}|key|sig|auth|credential)[\w.~-]*|[^=&;\s]*%[^=&;\s]*"
"""The name of an address's parameter that may be a secret; one with % in it may be any."""
_QUOTED = r"""'(?:[^'\\]|\\.|'')*'?|"(?:[^"\\]|\\.)*"?|\{[^}]*\}?"""
_HIDDEN = (
    (r"(\bhttps?://)(?:[^\s/?#]*|[^\s/?#:]*:\S*)@", r"\1***@"),
    (r"((?://|\b(?:postgres(?:ql)?|mysql|mariadb):/?)[^:\s]*):\S*@", r"\1:***@"),
    # What stands where a port belongs and is none: somebody forgot the @ and what follows it.
    (r"(://[^\s/?#@:\[\]]*):(?!\*\*\*@|\d{0,5}(?:[^\w%+-]|$))[^\s/?#]+", r"\1:***"),
    (rf"([?&;#](?:{_PARAMETER})=)[^&;\s]+", r"\1***"),
    (rf"((?:\b|_|ssl|pg){_SECRET}(?:['\"]?\s*=|['\"]\s*:)\s*)(?:{_QUOTED}|(?:\\.|(?!&[\w.%-]+=)\S)+)", r"\1***"),
)


def without_password(text: str) -> str:
    """The text with *** for every password in it, for messages and for what a run keeps of its command.

    Of addresses (`postgresql://user:***@host/database`; of the web, where a name alone may be a key, both), of their
    parameters, of a database's connection string and of variables (`host=... password=***`). Where a password may end
    is taken generously: too much is hidden rather than too little.
    """
    for pattern, shown in _HIDDEN:
        text = re.sub(pattern, shown, text, flags=re.IGNORECASE)
    return text
