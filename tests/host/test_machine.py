"""What a run keeps of the machine and of the command, and what it does not."""

from __future__ import annotations

import sys

import pytest

from nnscratch.errors import without_password
from nnscratch.host.machine import blas_libraries, blas_threads_kept, command_line, set_blas_threads


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:secret@host:5432/sweeps", "postgresql://me:***@host:5432/sweeps"),
        ("postgresql+psycopg2://me:se/cr:et@host/x", "postgresql+psycopg2://me:***@host/x"),
        ("postgresql://me:sec@ret@host/x", "postgresql://me:***@host/x"),
        ("postgresql://:secret@host/x", "postgresql://:***@host/x"),
        (
            "postgresql://me@host/x?password=secret&sslmode=require",
            "postgresql://me@host/x?password=***&sslmode=require",
        ),
        ("postgresql://me@host:5432/x", "postgresql://me@host:5432/x"),
        ("postgresql://me:pa@S3CRET@host", "postgresql://me:***@host"),
        ("postgresql://me@host/x;password=S3CRET", "postgresql://me@host/x;password=***"),
        ("postgresql://me@host/x?sslpassword=S3;CRET&a=b", "postgresql://me@host/x?sslpassword=***&a=b"),
        ("host=here password=S3CRET user=me", "host=here password=*** user=me"),
        ("password = 'S3 CRET\\' x' user=me", "password = *** user=me"),
        ("--storage=password=S3CRET", "--storage=password=***"),
        ("PGPASSWORD=S3CRET nnscratch", "PGPASSWORD=*** nnscratch"),
        ("cannot reach https://me:S3CRET@host/a: no", "cannot reach https://***@host/a: no"),
        ("https://S3CRET@host/a", "https://***@host/a"),
        ("https://host/a?token=S3CRET&b=1", "https://host/a?token=***&b=1"),
        ("postgresql://me@server:pa@S3CRET@host/x", "postgresql://me@server:***@host/x"),
        ("postgresql://a/b:S3CRET@host/x", "postgresql://a/b:***@host/x"),
        ("postgresql:/me:S3CRET@host", "postgresql:/me:***@host"),
        ("//me:S3CRET@host/x", "//me:***@host/x"),
        ("http://me:S3CRET/x: no such host", "http://me:***/x: no such host"),
        ("http://me:S3CRET%40host/x", "http://me:***/x"),
        ("HTTPS://S3CRET@host/a", "HTTPS://***@host/a"),
        ("https://host/a?private_token=S3CRET&b=1", "https://host/a?private_token=***&b=1"),
        ("https://host/a?X-Amz-Signature=S3CRET#auth=S3CRET", "https://host/a?X-Amz-Signature=***"),
        ("https://host/a?pass%77ord=S3CRET", "https://host/a?pass%77ord=***"),
        ("password=x&S3CRET user=me", "password=*** user=me"),
        ('password="S3 CRET" user=me', "password=*** user=me"),
        ("password=x\\ S3CRET user=me", "password=*** user=me"),
        ("passphrase={S3 CRET};user=me", "passphrase=***;user=me"),
        ("WANDB_API_KEY=S3CRET nnscratch", "WANDB_API_KEY=*** nnscratch"),
        ("{'password': 'S3CRET', 'user': 'me'}", "{'password': ***, 'user': 'me'}"),
        ("http://127.0.0.1:8000/a", "http://127.0.0.1:8000/a"),
        ("http://127.0.0.1:8000: refused", "http://127.0.0.1:8000: refused"),
        ("(see http://[::1]:8000)", "(see http://[::1]:8000)"),
        ("model.layers.0.key=3", "model.layers.0.key=3"),
        ("training.epochs=3", "training.epochs=3"),
        ("data.path=a:b@c", "data.path=a:b@c"),
    ],
)
def test_a_password_is_stars_and_nothing_else_is(text: str, shown: str) -> None:
    assert without_password(text) == shown


@pytest.mark.parametrize("words", [["--storage", "{url}"], ["--storage={url}"]])
def test_the_command_that_a_run_keeps_has_no_password(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    typed = [word.replace("{url}", "postgresql://me:secret@host/x") for word in words]
    monkeypatch.setattr(sys, "argv", ["/usr/bin/nnscratch", "sweep", "sweep.yaml", *typed])
    kept = [word.replace("{url}", "postgresql://me:***@host/x") for word in words]
    assert command_line() == ["nnscratch", "sweep", "sweep.yaml", *kept]


def test_the_first_of_two_trainings_to_end_leaves_the_threads_of_the_other_alone() -> None:
    def threads() -> set[int]:
        return {library["num_threads"] for library in blas_libraries()}

    before = max(threads())
    set_blas_threads(2)
    first, second = blas_threads_kept(), blas_threads_kept()
    first.__enter__()
    set_blas_threads(1)
    second.__enter__()
    first.__exit__(None, None, None)
    assert threads() == {1}
    second.__exit__(None, None, None)
    assert threads() == {2}
    set_blas_threads(before)
