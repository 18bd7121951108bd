"""Work beside other work: it is repeated meanwhile, and none of it goes on afterwards."""

from __future__ import annotations

import threading
import time

import pytest

from nnscratch.host.repeating import repeated


def test_it_is_done_again_and_again_until_the_work_beside_it_ends_even_by_an_error() -> None:
    enough, done = threading.Event(), []

    def work() -> None:
        done.append(threading.current_thread().name)
        if len(done) == 3:
            enough.set()

    def work_beside_it() -> None:
        with repeated(work, 0.001, "looks"):
            assert enough.wait(10)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work_beside_it()
    count = len(done)
    time.sleep(0.01)
    assert len(done) == count
    assert set(done) == {"looks"}
    assert "looks" not in {thread.name for thread in threading.enumerate()}


def test_work_that_has_begun_is_waited_for_and_none_is_begun_before_its_time() -> None:
    begun, done = threading.Event(), []

    def work() -> None:
        begun.set()
        time.sleep(0.05)
        done.append(True)

    with repeated(work, 0.001, "slow"):
        assert begun.wait(10)
    assert done
    with repeated(lambda: done.clear(), 60, "never"):
        pass
    assert done
