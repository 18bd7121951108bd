"""Schedules: known factors at known steps."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from nnscratch.component import catalogue
from nnscratch.nn.equations import in_turn
from nnscratch.training.schedules import (
    ConstantRate,
    Cosine,
    Exponential,
    Linear,
    OneCycle,
    ReduceOnPlateau,
    Schedule,
    StepDecay,
    Triangular,
)


def factors(schedule: Schedule, steps: list[int], total: int = 100, per_epoch: int = 10) -> list[float]:
    return [schedule(step, total, per_epoch) for step in steps]


def test_constant_is_one() -> None:
    assert factors(ConstantRate(), [0, 50, 99]) == [1, 1, 1]


def test_cosine_starts_at_one_is_a_half_in_the_middle_and_ends_near_its_final_factor() -> None:
    assert factors(Cosine(), [0, 50, 100]) == pytest.approx([1, 0.5, 0])
    assert factors(Cosine(final=0.1), [0, 50, 100]) == pytest.approx([1, 0.55, 0.1])


def test_step_decay_drops_every_so_many_epochs() -> None:
    assert factors(StepDecay(every=2, gamma=0.5), [0, 19, 20, 40]) == pytest.approx([1, 1, 0.5, 0.25])


def test_exponential_multiplies_by_gamma_each_epoch() -> None:
    assert factors(Exponential(gamma=0.5), [0, 10, 15]) == pytest.approx([1, 0.5, 0.5**1.5])


def test_one_cycle_rises_to_one_at_its_peak_and_falls_to_its_final_factor() -> None:
    schedule = OneCycle(peak=0.3, start=0.1, final=0.0)
    assert factors(schedule, [0, 15, 30, 65, 100]) == pytest.approx([0.1, 0.55, 1, 0.5, 0])


def test_triangular_is_linear_on_both_sides() -> None:
    schedule = Triangular(peak=0.2, start=0.2, final=0.1)
    assert factors(schedule, [0, 10, 20, 60, 100]) == pytest.approx([0.2, 0.6, 1, 0.55, 0.1])


def test_linear_falls_evenly_from_one_to_its_final_factor() -> None:
    assert factors(Linear(), [0, 25, 100]) == pytest.approx([1, 0.75, 0])
    assert factors(Linear(final=0.2), [0, 50, 100]) == pytest.approx([1, 0.6, 0.2])


def test_a_warm_up_rises_linearly_and_hands_over_at_one() -> None:
    rising = factors(ConstantRate(warmup_epochs=1), list(range(12)))
    assert rising[:10] == pytest.approx([(step + 1) / 11 for step in range(10)])
    assert rising[10:] == [1, 1]


@pytest.mark.parametrize(("epochs", "per_epoch"), [(1.1, 100), (0.07, 100), (0.29, 100), (1 / 3, 9)])
def test_a_warm_up_of_whole_steps_is_not_longer_by_a_rounding(epochs: float, per_epoch: int) -> None:
    steps = round(epochs * per_epoch)
    schedule = ConstantRate(warmup_epochs=epochs)
    rising = factors(schedule, list(range(steps + 1)), total=1000, per_epoch=per_epoch)
    assert rising == pytest.approx([*((step + 1) / (steps + 1) for step in range(steps)), 1])
    assert rising[steps] == 1


def test_a_warm_up_longer_than_the_training_is_cut_off_and_not_made_steeper() -> None:
    assert factors(Cosine(warmup_epochs=10), [0, 1, 7], total=8, per_epoch=4) == pytest.approx([1 / 41, 2 / 41, 8 / 41])


def test_a_warm_up_that_ends_within_a_step_includes_it() -> None:
    assert factors(ConstantRate(warmup_epochs=0.25), [0, 1, 2, 3]) == pytest.approx([1 / 4, 2 / 4, 3 / 4, 1])


def test_reduce_on_plateau_drops_after_each_patience_without_improvement() -> None:
    schedule = ReduceOnPlateau(patience=2, gamma=0.1)

    def factor(history: list[float]) -> float:
        return schedule(0, 100, 10, history)

    assert factor([]) == 1
    assert factor([3, 2, 2.5]) == 1
    assert factor([3, 2, 2.5, 2.5]) == pytest.approx(0.1)
    assert factor([3, 2, 2.5, 2.5, 1, 1, 1]) == pytest.approx(0.01)


@pytest.mark.parametrize("name", sorted(catalogue(Schedule)))
def test_every_schedule_stays_between_zero_and_one(name: str) -> None:
    values = factors(catalogue(Schedule)[name](warmup_epochs=0.5), list(range(100)))
    assert all(0 <= value <= 1 for value in values)
    assert max(values) > 0.9


@pytest.mark.parametrize(
    "schedule",
    [
        ConstantRate(),
        Cosine(final=0.2),
        Linear(final=0.1),
        StepDecay(every=3),
        Exponential(),
        OneCycle(final=0.1),
        Triangular(final=0.1),
    ],
)
def test_the_formula_of_a_schedule_in_the_book_is_what_it_computes(schedule: Schedule) -> None:
    for progress, epoch in ((0.0, 0.0), (0.1, 2.0), (0.4, 7.5), (1.0, 20.0)):
        known = {"progress": progress, "epoch": epoch, **asdict(schedule)}
        *_, last = in_turn(schedule.equations, known)
        assert last.name == "factor"
        assert last.value == pytest.approx(schedule.factor(progress, epoch, []))
