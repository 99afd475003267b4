"""Confidence sets of critics: the optimum stays, wrong ones may, and how many targets there are.

A critic is kept while its squared loss against its own backup's targets is within a threshold of
the best of the class.
"""

from fractions import Fraction
from math import ceil, comb, floor
from typing import NamedTuple

import numpy as np

from rltheory.tabular.mdp import EpisodicMDP
from rltheory.theory import actor_critic_instances as actors
from rltheory.theory import balls, exact, linear_instances
from rltheory.theory.balls import precise
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

_SETS = "GOLF's confidence set: Jin, Liu and Miryoosefi (2021)"


class Kept(NamedTuple):
    """Probability k / 16 of target 1, else 0; wrong guesses less the mean; rounds; a threshold."""

    sixteenths: int
    errors: tuple[Fraction, ...]
    rounds: int
    threshold: Fraction


def sample_kept(tape: Tape, size: int) -> Kept:
    """Draw wrong guesses at least 1/64 off, up to 64 rounds and a threshold of at least 1/1024.

    Half of the time an even coin and all rounds: the bounds are for walks of much variance.
    """
    errors = tuple(Fraction(tape.choice((-1, 1)) * tape.integer(1, 24), 64) for _ in range(size))
    threshold = Fraction(tape.integer(1, 2 ** tape.integer(0, 11)), 1024)
    if tape.integer(0, 1):
        return Kept(8, errors, 64, threshold)
    return Kept(tape.integer(1, 15), errors, tape.integer(1, 64), threshold)


def crossed(kept: Kept, share: Fraction) -> Fraction:
    """Return the probability that some guess, e off the mean, crosses the threshold some time.

    By 2 e (ones - t mean) - share t e^2; with a share of 1 that is the loss of the mean less that
    of the guess, after t rounds. By counting the paths of ones and zeros that have not crossed yet.
    """
    mean = Fraction(kept.sixteenths, 16)
    paths, total = {0: 1}, Fraction(0)
    for t in range(1, kept.rounds + 1):
        high, low = t + 1, -1
        for error in kept.errors:
            crossing = (kept.threshold + share * t * error**2) / (2 * error) + t * mean
            if error > 0:
                high = min(high, ceil(crossing))
            else:
                low = max(low, floor(crossing))
        grown: dict[int, int] = {}
        for ones, count in paths.items():
            for more in (ones, ones + 1):
                grown[more] = grown.get(more, 0) + count
        paths = {}
        for ones, count in grown.items():
            if low < ones < high:
                paths[ones] = count
            else:
                total += count * mean**ones * (1 - mean) ** (t - ones)
    return total


def _crossed(kept: Kept, share: Fraction, rate: int) -> tuple[Side, Side]:
    bound = len(kept.errors) * balls.ball(-rate * kept.threshold).exp()
    return crossed(kept, share), balls.to_bounds(bound)


@precise
def kept_sides(kept: Kept) -> tuple[Side, Side]:
    """Return the probability that the truth is ever dropped, and its bound."""
    return _crossed(kept, Fraction(1), 2)


@precise
def _twice_the_rate(kept: Kept) -> tuple[Side, Side]:
    return _crossed(kept, Fraction(1), 4)


KEPT = Theorem(
    id="actor-critic/set-keeps-the-optimum",
    title="The optimal critic stays in its confidence set at all times, with a small threshold",
    source=(
        "Derived here by Hoeffding's lemma and Ville's inequality; Jin, Liu and Miryoosefi (2021) "
        "with an unspecified constant and a logarithm of the rounds"
    ),
    statement=(
        r"\mathbb{P}\Bigl(\exists\, t \le T:\ L_t(Q^*_h, Q^*_{h+1}) - \min_{g \in G} L_t(g, "
        r"Q^*_{h+1}) \ge \beta\Bigr) \le |G|\,e^{-2\beta/\Delta^2}"
    ),
    hypotheses=(
        r"targets $r + \max_a Q^*_{h+1}$ of width $\Delta$ with mean $Q^*_h$, pairs chosen in any "
        r"way; $G$ finite",
        r"drawn with $\Delta = 1$: two targets in one pair; the probability is exact",
    ),
    kind="inequality",
    sample=sample_kept,
    sides=kept_sides,
    control=Control(
        name="twice the rate",
        explanation=r"$e^{-4\beta/\Delta^2}$, half the threshold for the same confidence.",
        sides=_twice_the_rate,
    ),
    sizes=(1, 2),
    cost=2.0,
    sharpness=0.9,
    notes=(
        r"So $\beta = \frac{H^2}{2}\log(H|G|/\delta)$ keeps the optimum with probability $1 - "
        r"\delta$ over all steps and all episodes at once, with no union over critics nor time: "
        "the targets are those of the optimum. Critics that move, as those of the policy do, need "
        "the union over all that may be aimed at."
    ),
)


@precise
def members_sides(kept: Kept) -> tuple[Side, Side]:
    """Return the probability that some guess hides its error at some time, and its bound."""
    return _crossed(kept, Fraction(1, 2), 1)


@precise
def _members_twice_the_rate(kept: Kept) -> tuple[Side, Side]:
    return _crossed(kept, Fraction(1, 2), 2)


MEMBERS = Theorem(
    id="actor-critic/members-have-small-residuals",
    title="Critics in the confidence set have small Bellman errors on the data, at all times",
    source=(
        "Derived here by Hoeffding's lemma and Ville's inequality; Jin, Liu and Miryoosefi (2021) "
        "with an unspecified constant and a logarithm of the rounds"
    ),
    statement=(
        r"\mathbb{P}\Bigl(\exists\, t \le T, f \in F:\ \sum_{i \le t}(f_h - T_hf_{h+1})^2(z_i) \ge "
        r"2\bigl(L_t(f_h, f_{h+1}) - L_t(T_hf_{h+1}, f_{h+1})\bigr) + 2\gamma\Bigr) \le |F|\,e^{-"
        r"\gamma/\Delta^2}"
    ),
    hypotheses=(
        r"targets $r + \max_a f_{h+1}$ of width at most $\Delta$, pairs $z_i$ chosen in any way; "
        "$F$ finite",
        r"drawn with $\Delta = 1$: two targets in one pair; the probability is exact",
    ),
    kind="inequality",
    sample=sample_kept,
    sides=members_sides,
    control=Control(
        name="twice the rate",
        explanation=r"$e^{-2\gamma/\Delta^2}$, half the margin for the same confidence.",
        sides=_members_twice_the_rate,
    ),
    sizes=(1, 2),
    cost=2.0,
    sharpness=0.9,
    notes=(
        r"In a complete class the excess loss of a member is at most $\beta$. With $\beta = "
        r"\frac{H^2}{2}\log(H|F|/\delta)$, as in actor-critic/set-keeps-the-optimum, its squared "
        r"errors add up to at most $2\beta + 2H^2\log(H|F|/\delta) = 6\beta$."
    ),
)


class Trap(NamedTuple):
    """The reward behind the right action, and how often the class has been tested."""

    worth: Fraction
    rounds: int


def sample_trap(tape: Tape, size: int) -> Trap:
    """Draw a reward and a number of episodes."""
    return Trap(Fraction(tape.integer(1, 16), 16), tape.integer(1, 100 * size))


def trap_model(trap: Trap) -> actors.Model:
    """Return two steps: the first leads to the second state; there the second action pays."""
    kernels = np.zeros((2, 2, 2, 2))
    kernels[:, :, :, 1] = 1.0
    rewards = np.zeros((2, 2, 2))
    rewards[1, 1, 1] = float(trap.worth)
    return actors.exact(EpisodicMDP(kernels, rewards, np.eye(2)[0]))


def trapped(trap: Trap, *, complete: bool) -> tuple[Fraction, Fraction, Fraction]:
    """Return what the wrong critic promises, really earns, and its excess loss on its own data.

    The class is the optimal critic and the wrong one, which differs from it only in what the
    second action pays: nothing. `complete` adds the backup of the wrong one.
    """
    model = trap_model(trap)
    best = linear_instances.solve(model.kernels, model.rewards).action_values
    wrong = best.copy()
    wrong[1, 1] = Fraction(0)
    rows = linear_instances.greedy(wrong)
    seen = trap.rounds * actors.visits(model, rows)
    backed = actors.backup(model, wrong)
    members = [best, wrong, backed] if complete else [best, wrong]
    excess = Fraction(0)
    for h in range(2):
        # Transitions are certain: targets are the backup.
        losses = [(seen[h] * (member[h] - backed[h]) ** 2).sum() for member in members]
        excess += losses[1] - min(losses)
    return actors.claimed(model, wrong), actors.value(model, rows), Fraction(excess)


def _trap(trap: Trap, *, complete: bool) -> tuple[Side, Side]:
    promised, earned, excess = trapped(trap, complete=complete)
    best = actors.value(trap_model(trap))
    error = trap.rounds * trap.worth**2
    claims = exact.join(error, best, best)
    return Fraction(999, 1000) * claims, exact.join(error - excess, best - earned, promised)


def trap_sides(trap: Trap) -> tuple[Side, Side]:
    """Return 0.999 of (n squared errors, V*, V*), and (what the test misses, regret, promise)."""
    return _trap(trap, complete=False)


TRAP = Theorem(
    id="actor-critic/incomplete-class-keeps-the-wrong-critic",
    title="Without completeness a wrong critic survives every test and its regret is linear",
    source=f"Derived here; completeness in {_SETS}",
    statement=(
        r"Q^* \in F:\quad n\,(f_1 - T_1 f_2)^2 - \bigl(L_n(f_1, f_2) - \min_{g \in F} L_n(g, f_2)"
        r"\bigr) > 0.999\,n\,(f_1 - T_1f_2)^2,\qquad V^* - V^{\pi_f},\ f_1(s_1) > 0.999\,V^*"
    ),
    hypotheses=(
        "two steps, deterministic; the second action of the second step pays, and the wrong critic "
        "denies it at that step and promises it at the first",
        r"$F$ holds $Q^*$ and $f$, and all data are those of the greedy policy of $f$",
    ),
    kind="counterexample",
    sample=sample_trap,
    sides=trap_sides,
    control=Control(
        name="the backup added",
        explanation=r"$F$ holds $Tf$ as well, and the excess loss is all of the error.",
        sides=lambda trap: _trap(trap, complete=True),
    ),
    sizes=(1, 2),
    cost=8.0,
    sharpness=0.998,
    notes=(
        "The test misses all of the error, and the regret is all there is to gain. The wrong "
        "critic promises as much as the optimum, so that optimism does not tell them apart; at "
        "the second step it is right about all that it sees. The optimal critic's loss on the "
        "wrong one's targets is no smaller: that is the only test which the class offers."
    ),
)


class Critics(NamedTuple):
    """Critics as integers (n, A), and the number of updates."""

    critics: tuple[tuple[int, ...], ...]
    updates: int


def sample_critics(tape: Tape, size: int) -> Critics:
    """Draw a few critics of integers; large ones seldom have sums in common."""
    top = tape.choice((1, 40))
    found = tuple(tuple(tape.integer(0, top) for _ in range(3)) for _ in range(size))
    return Critics(found, tape.integer(1, 7 - size))


def _policies(critics: Critics) -> int:
    """Return the number of policies met by any sequence of critics, by following them all."""
    met: set[tuple[int, ...]] = {(0, 0, 0)}
    for _ in range(critics.updates):
        sums = [
            tuple(x + y for x, y in zip(a, b, strict=True)) for a in met for b in critics.critics
        ]
        # A softmax does not change with a constant added to its logits.
        met = {tuple(x - row[0] for x in row) for row in sums}
    return len(met)


def _covered(critics: Critics, fewer: int) -> tuple[Side, Side]:
    count, updates = len(critics.critics) - fewer, critics.updates
    return _policies(critics), comb(updates + count - 1, updates)


def covered_sides(critics: Critics) -> tuple[Side, Side]:
    """Return the number of softmax policies met, and that of multisets of critics."""
    return _covered(critics, 0)


POLICIES = Theorem(
    id="actor-critic/policies-are-multisets",
    title="How many policies an actor can be at, with finitely many critics",
    source="Derived here; what a critic of the policy has to be uniform over",
    statement=(
        r"\bigl|\{\pi \propto e^{\eta(f^{(1)} + \dots + f^{(t)})} : f^{(i)} \in F\}\bigr| \le "
        r"\binom{t + |F| - 1}{t} \le (t+1)^{|F|-1}"
    ),
    hypotheses=("one step size for all updates, a uniform start; $t$ updates",),
    kind="inequality",
    sample=sample_critics,
    sides=covered_sides,
    control=Control(
        name="one critic fewer",
        explanation=r"The multisets are those of $|F| - 1$ critics.",
        sides=lambda critics: _covered(critics, 1),
    ),
    sizes=(2, 3),
    sharpness=0.95,
    notes=(
        r"The order of the critics does not matter, so that the logarithm is at most $\min(t\log|F|"
        r", (|F|-1)\log(t+1))$: for a class that is small against the number of updates the price "
        "of targets that follow the policy grows with the logarithm of the updates only."
    ),
)


THEOREMS = (KEPT, MEMBERS, TRAP, POLICIES)
