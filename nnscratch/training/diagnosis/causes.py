"""Which of several findings is the cause: what follows from another is not advised upon, and no advice contradicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from nnscratch.training.diagnosis.findings import Finding, Remedy

BY_HEART = "one batch not learned"
NOTHING_LEARNED = (
    "one class always predicted",
    "training too short",
    "underfitting",
    "classes never predicted",
    BY_HEART,
)
STUCK = "vanishing gradients", "updates too small", *NOTHING_LEARNED
UNITS_LOST = "saturated outputs", "saturated units", "dead units", *STUCK
TOO_FAR = "exploding gradients", "updates too large", *UNITS_LOST
EDGE = "learning rate at the edge of divergence"
L2_HOLDS = "weights held down by l2"
UNMOVED = "weights that no update changes"
MEMORY = "learning by heart", "overfitting"

CONSEQUENCES: Mapping[str, tuple[str, ...]] = {
    "wrong gradient": ("diverged", EDGE, *TOO_FAR, *MEMORY),
    "no weights are trained": STUCK,
    UNMOVED: STUCK,
    "bounded outputs": STUCK,
    "units start alike": ("updates too large", "dead units", *STUCK),
    "unscaled inputs": ("loss at start far from guessing", "diverged", EDGE, *TOO_FAR),
    "loss at start far from guessing": ("diverged", EDGE, *TOO_FAR),
    "diverged": (EDGE, *TOO_FAR, *MEMORY),
    L2_HOLDS: (EDGE, *TOO_FAR),
    EDGE: (*TOO_FAR, *MEMORY),
    "exploding gradients": ("updates too large", *UNITS_LOST),
    "updates too large": UNITS_LOST,
    "saturated outputs": STUCK,
    "saturated units": STUCK,
    "dead units": STUCK,
    "vanishing gradients": ("updates too small", *NOTHING_LEARNED),
    "learning by heart": ("overfitting", "updates too small"),
    "overfitting": ("updates too small",),
    "updates too small": NOTHING_LEARNED,
    "one class always predicted": ("training too short", "underfitting", "classes never predicted"),
    "training too short": ("classes never predicted",),
    "underfitting": ("classes never predicted",),
    "classes never predicted": (),
    BY_HEART: (),
}
"""Every problem, causes first, and what else it makes a run show."""

OPPOSITES: tuple[tuple[frozenset[Remedy], frozenset[Remedy]], ...] = (
    (
        frozenset(
            {
                "smaller learning rate",
                "smaller learning rate at the start",
                "learning rate 3 to 10 times smaller",
                "far smaller learning rate",
            }
        ),
        frozenset({"larger learning rate"}),
    ),
    (frozenset({"smaller network", "fewer layers"}), frozenset({"larger network"})),
    (frozenset({"early stopping"}), frozenset({"more epochs"})),
    (frozenset({"l2", "dropout"}), frozenset({"less l2", "less dropout", "larger network"})),
    (frozenset({"clipping"}), frozenset({"less clipping"})),
    (frozenset({"he initialization"}), frozenset({"xavier initialization"})),
    (frozenset({"relu", "relu instead of sigmoid", "relu instead of tanh"}), frozenset({"leaky relu"})),
)
"""Remedies of which nobody should be told both."""


def causes(
    findings: Iterable[Finding], told: Sequence[Finding] = (), in_force: frozenset[Remedy] = frozenset()
) -> list[Finding]:
    """The findings that no other explains, the cause first; each names what follows from it.

    A remedy against one is left out of later ones when it contradicts an earlier one's, and of all when it is in force,
    unless it is the only one. What has been told before comes before all, and is not told again.
    """
    order = list(CONSEQUENCES)
    kept = list(told)
    for finding in sorted(findings, key=lambda each: order.index(each.problem)):
        cause = next((at for at, each in enumerate(kept) if finding.problem in CONSEQUENCES[each.problem]), None)
        given = {remedy for each in kept for remedy in each.remedies}
        new = tuple(each for each in finding.remedies if each not in in_force) or finding.remedies
        remedies = tuple(each for each in new if not _opposites(each) & given)
        if cause is None and remedies:
            kept.append(replace(finding, remedies=remedies))
        else:
            at = cause or 0
            kept[at] = replace(kept[at], consequences=(*kept[at].consequences, finding.named()))
    return kept[len(told) :]


def _opposites(remedy: Remedy) -> frozenset[Remedy]:
    pairs = [*OPPOSITES, *((right, left) for left, right in OPPOSITES)]
    return frozenset(other for ours, others in pairs if remedy in ours for other in others)
