"""Self-play preference optimisation: one learner against itself and the minimax winner.

Preferences are exact; Hedge is enclosed in balls of 128 bits, everything else is a Fraction.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.games.normal_form.preference import borda_trap
from rltheory.theory import balls
from rltheory.theory import game_instances as games
from rltheory.theory.balls import precise
from rltheory.theory.exact import fractions
from rltheory.theory.records.learning_dynamics import divergence
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class SelfPlay(NamedTuple):
    """Preferences (K, K) and the policies (T, K) that were played."""

    preferences: FractionArray
    played: FractionArray


class Step(NamedTuple):
    """Preferences (K, K) with an interior winner (K,), a policy (K,) and a step size."""

    preferences: FractionArray
    winner: FractionArray
    policy: FractionArray
    step: Fraction


class Hedged(NamedTuple):
    """Preferences (K, K), a number of rounds and a step size."""

    preferences: FractionArray
    rounds: int
    step: Fraction


def preferences(tape: Tape, responses: int) -> FractionArray:
    """Return antisymmetric preferences (K, K), multiples of 1/8 in [-1, 1]."""
    upper = np.triu(games.matrix(tape, responses, responses, low=-1, high=1, bits=3), 1)
    return to_fractions(upper - upper.T)


def _played(tape: Tape, responses: int) -> FractionArray:
    return fractions(tape.simplex((tape.integer(1, 6), responses)))


def sample_play(tape: Tape, size: int) -> SelfPlay:
    """Draw preferences and any policies at all."""
    return SelfPlay(preferences(tape, size), _played(tape, size))


def _sample_biased(tape: Tape, size: int) -> SelfPlay:
    """Draw a judge who leans to the response shown first, more in some pairs than in others."""
    lean = games.matrix(tape, size, size, low=0, high=1, bits=3)
    return SelfPlay(preferences(tape, size) + lean, _played(tape, size))


def self_play_sides(instance: SelfPlay) -> tuple[Side, Side]:
    """Return the duality gap of the average and 2 regret / T."""
    matrix, played = instance
    average = played.sum(axis=0) / len(played)
    gap = games.gains(games.zero_sum(matrix), (average, average)).sum()
    earned = sum(p @ matrix @ p for p in played)
    regret = max((played @ matrix.T).sum(axis=0)) - earned
    return Fraction(gap), Fraction(2 * regret / len(played))


SELF_PLAY = Theorem(
    id="spo/gap-is-twice-the-regret",
    title="One learner against itself: the gap of the average is twice its mean regret",
    source="Swamy et al. (2024), the reduction to one player; derived here as an identity",
    statement=(
        r"\max_x P(x, \bar p) - \min_y P(\bar p, y) = \frac{2}{T}\Bigl(\max_x \sum_t P(x, p_t) - "
        r"\sum_t P(p_t, p_t)\Bigr),\qquad \bar p = \frac{1}{T}\sum_t p_t"
    ),
    hypotheses=(r"antisymmetric preferences $P(x,y) = -P(y,x)$", r"any policies $p_1,\dots,p_T$"),
    kind="identity",
    sample=sample_play,
    sides=self_play_sides,
    control=Control(
        name="a judge with a bias for position",
        explanation="The response shown first is favoured: preferences are not antisymmetric.",
        sample=_sample_biased,
    ),
    notes="A second learner is not needed: its regret would be the same number.",
)


def sample_hedged(tape: Tape, size: int) -> Hedged:
    """Draw one response that beats all others, the rest tied, for long; or any preferences."""
    step = Fraction(2) ** -tape.integer(0, 4)
    if tape.integer(0, 1):
        matrix = fractions(np.zeros((size, size)))
        matrix[0, 1:], matrix[1:, 0] = Fraction(1), Fraction(-1)
        return Hedged(matrix, int(tape.integer(1, 5) / step), step)
    return Hedged(preferences(tape, size), tape.integer(1, 16), step)


def _hedged(instance: Hedged, players: int) -> tuple[Side, Side]:
    matrix, rounds, step = instance
    exact, pace = balls.balls(matrix), balls.ball(step)
    logits = balls.balls(np.zeros(len(matrix)))
    total = logits
    for _ in range(rounds):
        policy = balls.softmax(logits[None])[0]
        total = total + policy
        logits = logits + pace * (exact @ policy)
    gap = 2 * balls.largest(exact @ total) / rounds
    bound = balls.ball(len(matrix)).log() / (pace * rounds) + pace / 2
    return balls.to_bounds(gap), balls.to_bounds(players * bound)


@precise
def hedged_sides(instance: Hedged) -> tuple[Side, Side]:
    """Return the duality gap of Hedge's average and its bound."""
    return _hedged(instance, 2)


@precise
def _one_regret(instance: Hedged) -> tuple[Side, Side]:
    return _hedged(instance, 1)


HEDGED = Theorem(
    id="spo/hedge-gap",
    title="Hedge in self-play comes to the minimax winner by its average",
    source="Swamy et al. (2024) with Freund and Schapire (1997); constants derived here",
    statement=(
        r"\max_x P(x,\bar p_T) - \min_y P(\bar p_T, y) \le 2\Bigl(\frac{\log K}{\eta\,T} + "
        r"\frac{\eta}{2}\Bigr),\qquad p_{t+1} \propto p_t\,e^{\eta P p_t}"
    ),
    hypotheses=(r"antisymmetric $P$ with entries in $[-1,1]$, uniform $p_1$, any $\eta > 0$",),
    kind="inequality",
    sample=sample_hedged,
    sides=hedged_sides,
    control=Control(
        name="one regret",
        explanation="The factor 2 is dropped, as if the opponent were not learning too.",
        sides=_one_regret,
    ),
    sizes=(2, 3, 4),
    cost=3.0,
    sharpness=0.85,
    notes=(
        r"The best step $\eta = \sqrt{2 \log K/T}$ gives $2\sqrt{2 \log K / T}$. Nearly met where "
        r"one response beats all others and $\eta$ is small: the logarithm is then all that it "
        "costs to find it."
    ),
)


def sample_step(tape: Tape, size: int) -> Step:
    """Draw preferences with an interior winner, and a policy, half of the time near it."""
    winner = games.interior(tape, size)
    drawn = preferences(tape, size)
    lost = drawn @ winner
    matrix = drawn - lost[:, None] + lost[None]
    policy = games.interior(tape, size)
    if tape.integer(0, 1):
        policy = np.asarray((15 * winner + policy) / 16)
    return Step(matrix, winner, policy, Fraction(2) ** -tape.integer(0, 5))


def moving(instance: Step) -> bool:
    """Whether the rewards differ by 1/1000 at least: else the step moves nothing to be told."""
    rewards = instance.preferences @ instance.policy
    return bool(max(rewards) - min(rewards) >= Fraction(1, 1000))


def _receding(instance: Step, pull: Fraction) -> tuple[Side, Side]:
    matrix, winner, policy, step = instance
    here = balls.log(balls.balls(policy))
    there = balls.log(balls.balls(winner))
    keep = balls.ball(1 - pull)
    logits = keep * here + balls.ball(pull) * there + balls.balls(step * (matrix @ policy))
    before = divergence(winner, balls.balls(policy))
    after = divergence(winner, balls.softmax(logits[None])[0])
    return balls.to_bounds(before), balls.to_bounds(after)


@precise
def receding_sides(instance: Step) -> tuple[Side, Side]:
    """Return the divergence of the winner from the policy before and after a step."""
    return _receding(instance, Fraction(0))


@precise
def _pulled(instance: Step) -> tuple[Side, Side]:
    return _receding(instance, Fraction(1, 2))


RECEDING = Theorem(
    id="spo/last-iterate-recedes",
    title="The last iterate of Hedge in self-play moves away from the minimax winner",
    source="Bailey and Piliouras (2018), for one learner of a symmetric game",
    statement=(
        r"\mathrm{KL}(p^*\|p_t) \le \mathrm{KL}(p^*\|p_{t+1}),\qquad p_{t+1} \propto p_t\,"
        r"e^{\eta P p_t}"
    ),
    hypotheses=(
        r"antisymmetric $P$ with a minimax winner $p^*$ of full support; $\eta > 0$",
        r"the rewards $P p_t$ are not all equal",
    ),
    kind="inequality",
    sample=sample_step,
    sides=receding_sides,
    admissible=moving,
    control=Control(
        name="pulled to the winner",
        explanation="The step is pulled half way to the winner, as INPO pulls to its reference.",
        sides=_pulled,
    ),
    sizes=(3, 4, 5),
    sharpness=0.99,
)


def sample_condorcet(tape: Tape, size: int) -> FractionArray:
    """Draw preferences in which the last response beats every other one."""
    matrix = preferences(tape, size)
    wins = fractions(tape.dyadic(size - 1, 0.125, 1.0, 3))
    matrix[-1, :-1], matrix[:-1, -1] = wins, -wins
    return matrix


def condorcet_sides(matrix: FractionArray) -> tuple[Side, Side]:
    """Return the minimax winner by an exact program and the Condorcet winner."""
    return games.optimal_rows(matrix), games.pure(len(matrix) - 1, len(matrix))


def _borda(matrix: FractionArray) -> tuple[Side, Side]:
    best = int(np.argmax(matrix.sum(axis=1)))
    return games.optimal_rows(matrix), games.pure(best, len(matrix))


CONDORCET = Theorem(
    id="spo/condorcet-winner",
    title="Where a Condorcet winner exists it is the minimax winner",
    source="Kreweras (1965); Fishburn (1984)",
    statement=r"P(c, y) > 0 \text{ for all } y \ne c \;\Rightarrow\; p^* = \delta_c",
    hypotheses=(r"antisymmetric $P$", r"$p^*$ a minimax winner, from a linear program"),
    kind="identity",
    sample=sample_condorcet,
    sides=condorcet_sides,
    control=Control(
        name="the Borda winner",
        explanation="The response of the largest mean preference takes the winner's part.",
        sides=_borda,
    ),
    cost=1.5,
)


def _trap(tape: Tape, size: int) -> FractionArray:
    return fractions(borda_trap(weak=3, margin=0.5).matrix)


def _rate_of(matrix: FractionArray, response: int) -> Fraction:
    """The response's chance to win against the minimax winner."""
    return Fraction((1 + matrix[response] @ games.optimal_rows(matrix)) / 2)


def trap_sides(matrix: FractionArray) -> tuple[Side, Side]:
    """Return the Borda winner's win rate against the minimax winner, and one half."""
    return _rate_of(matrix, int(np.argmax(matrix.sum(axis=1)))), Fraction(1, 2)


def _copeland(matrix: FractionArray) -> tuple[Side, Side]:
    beaten = (matrix > 0).sum(axis=1) - (matrix < 0).sum(axis=1)
    return _rate_of(matrix, int(np.argmax(beaten))), Fraction(1, 2)


BORDA = Theorem(
    id="spo/borda-winner-loses",
    title="The response of the best mean score can lose to the minimax winner",
    source="Classical (Borda against Condorcet); the instance is ours",
    statement=(r"\mathbb{P}(b \succ p^*) < \tfrac12,\qquad b = \arg\max_x \tfrac1K\sum_y P(x,y)"),
    hypotheses=(
        "five responses, three of them weak: the score rewards winning high against these",
    ),
    kind="counterexample",
    sample=_trap,
    sides=trap_sides,
    control=Control(
        name="the Copeland winner",
        explanation="The response that beats the most others takes the Borda winner's part.",
        sides=_copeland,
    ),
    notes="The win rate is 1/4; a reward model fitted to uniform pairs ranks by such means.",
)


THEOREMS = (SELF_PLAY, HEDGED, RECEDING, CONDORCET, BORDA)
