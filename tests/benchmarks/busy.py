"""Time per update on a busy machine: all cores' threads against one thread, beside as many busy processes as cores.

    python tests/benchmarks/busy.py                    the quickstart's network and both reference networks
    python tests/benchmarks/busy.py cifar --neighbours 4

What counts is how much longer an update takes with all threads than with `--threads 1`, in the same minute, with the
same neighbours: 1.3x at most.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from dense import CASES, CORES, Case, nnscratch_work
from side_by_side import measure, serve

BUSY = {"quickstart": Case(3072, (256, 128), 128, 70, {}), "fashion": CASES["fashion"], "cifar": CASES["cifar"]}
MOST = 1.3


def compare(name: str, rounds: int) -> bool:
    """Prints one network's line; whether it stays within the bound."""
    case = BUSY[name]
    command = [sys.executable, __file__, name, "--threads"]
    commands = {f"{threads} threads": [*command, str(threads)] for threads in (CORES, 1)}
    many, one = measure(commands, case.updates, rounds)
    ratio = 1 / many.ratio_of(one)
    verdict = "within" if ratio <= MOST else "NOT within"
    times = f"{many.median:8.2f} ms with {many.name}, {one.median:8.2f} with one"
    print(f"  {name:12}{times}: {ratio:.2f}x, {verdict} {MOST}x")
    return ratio <= MOST


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", nargs="*", choices=[*BUSY, []], help="networks to compare; left out: all")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--neighbours", type=int, default=CORES, help="busy processes beside it")
    parser.add_argument("--threads", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.threads:
        serve(lambda: nnscratch_work(BUSY[options.case[0]], options.threads))
        return
    neighbours = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(options.neighbours)]
    try:
        print(f"{CORES} cores, {options.neighbours} busy neighbours")
        results = [compare(name, options.rounds) for name in options.case or BUSY]
    finally:
        for neighbour in neighbours:
            neighbour.kill()
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
