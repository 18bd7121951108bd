"""Timings that can be compared: every contender in a process of its own, taking turns in one run.

A contender is a function that, given the case, returns a callable doing a number of updates. The parent asks one
contender at a time to work while the others sleep, round after round, so that a slow minute of the machine slows all of
them; what counts is the median of the ratios within a round.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Work = Callable[[int], None]
"""Does so many updates."""


@dataclass(frozen=True)
class Timing:
    """Milliseconds per update of one contender, one number a round."""

    name: str
    milliseconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.milliseconds)

    def ratio_of(self, other: Timing) -> float:
        """The median over the rounds of other / self: how many times faster this one is."""
        pairs = zip(other.milliseconds, self.milliseconds, strict=True)
        return statistics.median(theirs / ours for theirs, ours in pairs)


def serve(make: Callable[[], Work]) -> None:
    """The contender's side: prepares, then does and times what the parent asks for, line by line."""
    try:
        work = make()
    except ModuleNotFoundError as error:
        print(error)
        return
    print("ready", flush=True)
    for line in sys.stdin:
        updates = int(line)
        started = time.perf_counter()
        work(updates)
        print(json.dumps(time.perf_counter() - started), flush=True)


def measure(commands: Mapping[str, Sequence[str]], updates: int, rounds: int) -> list[Timing]:
    """Runs the contenders in turns; one that cannot start (its library is missing) is left out, and said so."""
    contenders: dict[str, subprocess.Popen[str]] = {}
    for name, command in commands.items():
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        answer = process.stdout.readline().strip()
        if answer != "ready":
            process.wait()
            print(f"left out: {name} did not start: {answer or 'see above'}", file=sys.stderr)
            continue
        contenders[name] = process
    for process in contenders.values():
        _ask(process, updates)  # compiles, warms caches, grows buffers
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, process in contenders.items():
            _ask(process, max(1, updates // 10))  # wakes its threads
            seconds[name].append(_ask(process, updates))
    for process in contenders.values():
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
    return [Timing(name, tuple(1e3 * each / updates for each in times)) for name, times in seconds.items()]


def _ask(process: subprocess.Popen[str], updates: int) -> float:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{updates}\n")
    process.stdin.flush()
    return float(json.loads(process.stdout.readline()))
