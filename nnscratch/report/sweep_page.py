"""sweep.html: the trials of a sweep on one page, whether it still runs or is over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from nnscratch.report.elements import Head, Section, code_html, render_page, table_html, text_of
from nnscratch.report.sweep_drawings import (
    Dot,
    history_drawing,
    importance_drawing,
    parallel_drawing,
    scatter_drawing,
)
from nnscratch.report.tables import Table
from nnscratch.report.values import Goal


@dataclass(frozen=True)
class SweepContents(Head):
    """What the page shows: `trials` by number, each at the values of `parameters`, and how much these mattered."""

    metric: str = "value"
    goal: Goal = "maximize"
    trials: Sequence[Dot] = ()
    parameters: Sequence[str] = ()
    importances: Mapping[str, float] = field(default_factory=dict)
    leaderboard: Table | None = None
    config: str = ""


def render_sweep(contents: SweepContents) -> str:
    """The whole page as text, to be written as UTF-8."""
    return render_page(contents, "sweep", _sections(contents))


def _sections(contents: SweepContents) -> Iterator[Section]:
    metric, goal, trials = contents.metric, contents.goal, contents.trials
    yield Section("leaderboard", "Leaderboard", table_html(contents.leaderboard, "The best first"))
    valued = [trial for trial in trials if trial.value is not None]
    if not valued:
        return
    rated = sum(trial.status == "completed" for trial in valued)
    importance = [importance_drawing(contents.importances, rated)] if contents.importances else []
    heading = "History and importance" if importance else "History"
    yield Section("history", heading, _grid(history_drawing(trials, metric, goal), *importance))
    if contents.parameters:
        lines = parallel_drawing(trials, contents.parameters, metric, goal)
        yield Section("parallel", "Parallel coordinates", f'<div class="scroll wide">{lines}</div>')
        scatters = (scatter_drawing(trials, name, metric) for name in contents.parameters)
        yield Section("scatters", f"{text_of(metric)} against each parameter", _grid(*scatters))
    yield Section("configuration", "Configuration", code_html(contents.config, "The sweep file"))


def _grid(*drawings: str) -> str:
    return f'<div class="drawings">{"".join(drawings)}</div>'
