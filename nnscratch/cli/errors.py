"""Every error as one that the user can act on: what is wrong, what to do next, the exit code."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from traceback import walk_tb
from typing import Any

import typer

from nnscratch.errors import Interrupted, UsageError, UserError, cause, did_you_mean, without_password

# Newer versions of typer carry click under a name of their own, so its base class is reached through typer's.
CommandLineError: Any = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")


def as_user_error(error: BaseException) -> UserError:
    """The error itself when the user can fix it; else what can be said of it, with the place of its traceback."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, CommandLineError):
        return _usage_error(error)
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return Interrupted("interrupted")
    if isinstance(error, MemoryError):
        said = f": {error}" if str(error) else ""
        return UserError(f"not enough memory{said}", "make the network or the batch smaller")
    if isinstance(error, OSError):
        said = f"{error.filename}: {cause(error)}" if error.filename and error.strerror else str(error)
        culprit = _plugin_at_fault(error)
        return UserError(said, f"raised in {culprit}" if culprit else None)
    said = _missing_method(error) or f"unexpected {type(error).__name__}: {error}".removesuffix(": ")
    return UserError(without_password(said), _where_traceback_is(error))


def _missing_method(error: BaseException) -> str | None:
    """Which method a class lacks, when that of its kind, which is there to be written anew, was called."""
    if not isinstance(error, NotImplementedError) or str(error):
        return None
    frame = [frame for frame, _ in walk_tb(error.__traceback__)][-1]
    if "self" not in frame.f_locals or not str(frame.f_globals.get("__name__")).startswith("nnscratch."):
        return None
    code, owner = frame.f_code, type(frame.f_locals["self"])
    arguments = ", ".join(code.co_varnames[: code.co_argcount])
    return f"{owner.__name__} has no method {code.co_name}({arguments})"


def as_meant(words: Sequence[str]) -> list[str]:
    """The words with `~/` behind a `=` led home, where the shell leaves it as it is, and `+a.b=value` without its +."""
    home = str(Path.home()).replace("\\", "/")
    plain = [re.sub(r"\A\+{1,2}(?=[\w.]+=)", "", word) for word in words]
    return [re.sub(r"\A([\w.\[\]-]+=)~(?=/)", lambda found: found[1] + home, word) for word in plain]


def refuse_slips(words: Sequence[str]) -> None:
    """Raises UsageError for what would be taken for something else than was meant.

    `-epochs 3` would be single letters, one of them -h, for help; `--data ""` the folder that one happens to be in.
    An input of `predict` has an answer of its own, whatever it is.
    """
    for before, word in zip(["", *words], words, strict=False):
        if not word.strip() and (words[0] == "predict" or "." in before):  # of a field of the config it is null
            continue
        if not word.strip() or re.fullmatch(r"--[a-z-]+=\s*", word):
            before = word.rstrip("= ") or before
            what = f"the argument behind {before} is empty" if before else "the first argument is empty"
            raise UsageError(what, "a variable of the shell that has no value?")
    known = words[: words.index("--") if "--" in words else None]
    for before, word in zip(["", *known], known, strict=False):
        if before.startswith("--") and "=" not in before:
            continue  # it may be what that option takes
        name = word.partition("=")[0]
        if re.fullmatch(r"-[a-z][a-z_.-]+", name) and not set(name) <= {"-", "q", "v"} and name[:2] != "-o":
            raise UsageError(f"no such option: {name}; did you mean -{word}?")


def _usage_error(error: Any) -> UsageError:
    """Typer's words in our style: `missing argument 'run'`."""
    said = error.format_message().rstrip(".").replace(". Did you mean", "; did you mean")
    if getattr(error, "possibilities", None):
        said = error.message + did_you_mean(error.option_name, error.possibilities)
    context = getattr(error, "ctx", None)
    hint = None if context is None else f"`{context.command_path} --help` shows how it is used"
    return UsageError(said[:1].lower() + said[1:], hint)


def _where_traceback_is(error: BaseException) -> str:
    """A fault of ours or of a library: says where its traceback was written, or is it when that cannot be."""
    import tempfile

    from nnscratch.host.trouble import traceback_of

    culprit = _plugin_at_fault(error) or _library_at_fault(error) or "nnscratch"
    notes: list[str] = getattr(error, "__notes__", [])
    if notes:
        return f"this is a fault in {culprit}; {notes[-1]}"
    text = traceback_of(error)
    try:
        with tempfile.NamedTemporaryFile(prefix="nnscratch-", suffix=".txt", delete=False) as file:
            file.write(text.encode("utf-8", "backslashreplace"))
    except OSError:
        return f"this is a fault in {culprit}:\n{text}"
    return f"this is a fault in {culprit}; its traceback is in {file.name}"


def _library_at_fault(error: BaseException) -> str | None:
    """The library that cannot be imported, in words; None when it is nnscratch's own, or something else is wrong."""
    library = (error.name or "").partition(".")[0] if isinstance(error, ImportError) else ""
    return f"{library}, how it is installed, or how nnscratch uses it" if library not in ("", "nnscratch") else None


def _plugin_at_fault(error: BaseException) -> str | None:
    from nnscratch.config.plugins import fault_of_a_plugin

    return fault_of_a_plugin(error)
