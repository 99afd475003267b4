"""Petal processes with petals left out or edges known with errors: what the value loses.

Processes are drawn as such, with values in [0, 1], and solved backwards in Fractions. Source: Jia,
Li, Rakhlin, Sekhari and Srebro (2023), for the analysis that this makes exact.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Process(NamedTuple):
    """A petal process: transitions (D + 1, D), rewards (D + 1,), which petals are followed (D,)."""

    transitions: FractionArray
    rewards: FractionArray
    followed: FractionArray


def process_values(transitions: FractionArray, rewards: FractionArray) -> FractionArray:
    """Return the values (D + 1,) of a process, backwards along its petals."""
    values = rewards.copy()
    for node in reversed(range(len(values) - 1)):
        values[node] = values[node] + transitions[node, node:] @ values[node + 1 :]
    return values


def visits(transitions: FractionArray) -> FractionArray:
    """Return the probabilities (D + 1,) of coming by the start and the petals."""
    found = np.full(len(transitions), Fraction(0), dtype=object)
    found[0] = Fraction(1)
    for node in range(len(transitions) - 1):
        found[node + 1 :] = found[node + 1 :] + found[node] * transitions[node, node:]
    return found


def sample_process(tape: Tape, size: int) -> Process:
    """Draw a process whose returns are in [0, 1], and the petals that are followed."""
    transitions = np.full((size + 1, size), Fraction(0), dtype=object)
    rewards = np.full(size + 1, Fraction(0), dtype=object)
    values = np.full(size + 1, Fraction(0), dtype=object)
    for node in reversed(range(size + 1)):
        row = fractions(tape.simplex(size - node + 1))
        transitions[node, node:] = row[1:]
        onward = transitions[node, node:] @ values[node + 1 :]
        # What is earned leaves the value at most 1; often all of it.
        share = min(Fraction(1), Fraction(tape.integer(0, 8), 4))
        rewards[node] = share * (1 - onward) * tape.integer(0, 1)
        values[node] = rewards[node] + onward
    followed = np.array([bool(tape.integer(0, 1)) for _ in range(size)])
    return Process(transitions, rewards, followed)


def _truncation(process: Process, factor: Fraction) -> tuple[Side, Side]:
    transitions, rewards, followed = process
    kept, paid = transitions.copy(), rewards.copy()
    kept[:, ~followed.astype(bool)] = Fraction(0)
    whole, part = process_values(transitions, rewards)[0], process_values(kept, paid)[0]
    # Petals left out end the walk: each is the first one left out, or not met at all.
    along = visits(kept)
    reach = sum(
        (along @ transitions[:, k] for k in np.flatnonzero(~followed.astype(bool))), Fraction(0)
    )
    return (
        np.array([part, whole], dtype=object),
        np.array([whole, part + factor * reach], dtype=object),
    )


TRUNCATION = Theorem(
    id="agnostic-learning/petals-left-out",
    title="Petals left out cost no more than the chance to meet one",
    source="Jia, Li, Rakhlin, Sekhari and Srebro (2023), of the analysis; derived here",
    statement=(
        r"V_I \le V \le V_I + \sum_{\bar s \notin I} d_I(\bar s),\qquad d_I(\bar s) = "
        r"\mathbb{P}(\bar s \text{ is the first petal met outside } I)"
    ),
    hypotheses=(r"values of all nodes in $[0,1]$; $V_I$ ends the process where it leaves $I$",),
    kind="inequality",
    sample=sample_process,
    sides=lambda process: _truncation(process, Fraction(1)),
    control=Control(
        name="half of the chance",
        explanation="The chance to meet a petal that was left out is halved.",
        sides=lambda process: _truncation(process, Fraction(1, 2)),
    ),
    notes="So with $D$ petals of reach below $\\theta$ each, a policy loses at most $D\\theta$.",
    sharpness=0.999,
)


class Estimated(NamedTuple):
    """A process and an estimate of it."""

    true: Process
    transitions: FractionArray
    rewards: FractionArray


def sample_estimated(tape: Tape, size: int) -> Estimated:
    """Draw a process and errors of its edges and rewards, all up or of any sign."""
    true = sample_process(tape, size)
    upwards = tape.integer(0, 1)

    def error(shape: tuple[int, ...]) -> FractionArray:
        drawn = fractions(tape.dyadic(shape, -1.0, 1.0))
        return np.abs(drawn) if upwards else drawn

    scale = Fraction(1, 2 ** tape.integer(2, 8))
    transitions = true.transitions + scale * np.triu(error(true.transitions.shape), 0)
    return Estimated(true, transitions, true.rewards + scale * error(true.rewards.shape))


def clipped_values(transitions: FractionArray, rewards: FractionArray) -> FractionArray:
    """Return the values (D + 1,) of an estimated process, each clipped to [0, 1]."""
    values = rewards.copy()
    for node in reversed(range(len(values))):
        total = values[node]
        if node < len(values) - 1:
            total = total + transitions[node, node:] @ values[node + 1 :]
        values[node] = min(Fraction(1), max(Fraction(0), total))
    return values


def _simulation(estimated: Estimated, all_nodes: bool) -> tuple[Side, Side]:
    true, transitions, rewards = estimated
    off, paid = transitions - true.transitions, rewards - true.rewards
    zero = np.full(off.shape, Fraction(0), dtype=object)
    up = paid + np.maximum(off, zero).sum(axis=1)
    down = paid + np.minimum(off, zero).sum(axis=1)
    rows = np.maximum(abs(up), abs(down))
    along = visits(true.transitions)
    bound = along @ rows if all_nodes else rows[0]
    gap = (
        clipped_values(transitions, rewards)[0] - process_values(true.transitions, true.rewards)[0]
    )
    return abs(gap), bound


SIMULATION = Theorem(
    id="agnostic-learning/petal-errors",
    title="Errors of edges add up along the visits of the true process",
    source="Derived here, a simulation lemma for processes whose estimated rows do not sum to one",
    statement=(
        r"|\hat V - V| \le \sum_s d(s)\,\max_{v \in [0,1]^D} \Bigl|\hat R_s - R_s + \sum_{s'} "
        r"(\hat P_{ss'} - P_{ss'})\,v_{s'}\Bigr|"
    ),
    hypotheses=(
        r"true values in $[0,1]$, estimated ones clipped to $[0,1]$ at every node",
        r"$d(s)$ the probability that the true process comes by $s$; edges go forward only",
    ),
    kind="inequality",
    sample=sample_estimated,
    sides=lambda estimated: _simulation(estimated, True),
    control=Control(
        name="errors of the first row only",
        explanation="Only the errors at the start are counted.",
        sides=lambda estimated: _simulation(estimated, False),
    ),
    notes=(
        "Clipping is what lets importance weights, whose rows may sum to more than one, be used "
        "without a factor that grows with the number of petals."
    ),
    sharpness=0.99,
)


THEOREMS = (TRUNCATION, SIMULATION)
