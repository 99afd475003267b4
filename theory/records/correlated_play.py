"""What small regrets of several kinds prove about joint play, in games of any sum.

Play is a sequence of profiles of a two-player game, given exactly; nothing is assumed about how
it came about. Every side is a Fraction.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.theory import game_instances as games
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

TIGHT = 0.999


class Play(NamedTuple):
    """Payoffs (2, A, B) and what was played: rows (T, A) and columns (T, B)."""

    payoffs: FractionArray
    rows: FractionArray
    columns: FractionArray


def drawn(tape: Tape, payoffs: FractionArray) -> Play:
    """Return up to four rounds of a game, pure and mixed."""
    rounds = tape.integer(1, 4)
    played = [fractions(tape.simplex((rounds, count))) for count in payoffs.shape[1:]]
    return Play(payoffs, *played)


def _any_play(tape: Tape, size: int) -> Play:
    return drawn(tape, games.matrix(tape, 2, size, tape.integer(2, 3)))


def switching(payoffs: FractionArray, played: FractionArray, other: FractionArray) -> FractionArray:
    """Return (A, A): what playing b whenever a was played earns per round, summed over time.

    payoffs: (A, B), the player's own; played (T, A), other (T, B).
    """
    values = other @ payoffs.T
    own = (played * values).sum(axis=0)
    return np.asarray((played.T @ values - own[:, None]) / Fraction(len(played)))


def switching_gains(instance: Play) -> list[FractionArray]:
    """Return each player's average gains of switching, (A, A) and (B, B)."""
    first, second = instance.payoffs
    return [
        switching(first, instance.rows, instance.columns),
        switching(second.T, instance.columns, instance.rows),
    ]


def external(gain: FractionArray) -> Fraction:
    """Return what the best single action earns over what was played."""
    return Fraction(gain.sum(axis=0).max())


def _swap(gain: FractionArray) -> Fraction:
    return Fraction(gain.max(axis=1).sum())


def _joint_gains(tensors: FractionArray, joint: FractionArray) -> list[FractionArray]:
    """Return what switching earns each player when a mediator draws from joint (A, B)."""
    first, second = tensors
    result = []
    for payoffs, weights in ((first, joint), (second.T, joint.T)):
        earned = weights @ payoffs.T
        result.append(earned - np.diagonal(earned)[:, None])
    return result


def _mediated(instance: Play, joint: FractionArray) -> tuple[Side, Side]:
    regrets, gained = switching_gains(instance), _joint_gains(instance.payoffs, joint)
    left = [f(gain) for gain in regrets for f in (external, _swap)]
    return fractions(left), fractions([f(gain) for gain in gained for f in (external, _swap)])


def mediator_sides(instance: Play) -> tuple[Side, Side]:
    """Return external and swap regrets of both, and what leaving or disobeying earns, (4,)."""
    joint = instance.rows.T @ instance.columns / Fraction(len(instance.rows))
    return _mediated(instance, np.asarray(joint))


def _independent_mediator(instance: Play) -> tuple[Side, Side]:
    return _mediated(instance, np.outer(instance.rows.mean(axis=0), instance.columns.mean(axis=0)))


MEDIATOR = Theorem(
    id="no-regret/joint-play-is-correlated",
    title="Regret is what leaving a mediator who draws from past play earns",
    source="Foster and Vohra (1997); Hart and Mas-Colell (2000); Blum and Mansour (2007)",
    statement=(
        r"\bar R_i = \max_b \sum_{a} J(a)\bigl(u_i(b, a_{-i}) - u_i(a)\bigr),\qquad \bar R^{"
        r"\mathrm{swap}}_i = \sum_{a_i} \max_b \sum_{a_{-i}} J(a)\bigl(u_i(b, a_{-i}) - u_i(a)"
        r"\bigr),\qquad J = \frac1T \sum_{t \le T} \prod_i \sigma^t_i"
    ),
    hypotheses=("two players, any payoffs, any sequence of profiles",),
    kind="identity",
    sample=_any_play,
    sides=mediator_sides,
    control=Control(
        name="product of averages",
        explanation="The mediator draws both parts independently from the average strategies.",
        sides=_independent_mediator,
    ),
    sizes=(2, 3),
    notes=(
        "No regret is a coarse correlated equilibrium, no swap regret a correlated one, whatever "
        "the sums of payoffs. A single profile has external and swap regret equal to its gain: "
        "Nash equilibria are both."
    ),
)


class Steps(NamedTuple):
    """One learner's strategies and payoffs, both (T, A)."""

    played: FractionArray
    payoffs: FractionArray


def sample_steps(tape: Tape, size: int) -> Steps:
    """Draw rounds; or each action is played once, while all the others or the next pay more."""
    family = tape.integer(0, 2)
    if family:
        one = fractions(np.eye(size))
        others = 1 - one if family == 1 else np.roll(one, 1, axis=1)
        return Steps(one, others + one * games.matrix(tape, low=0, high=1))
    rounds = tape.integer(1, 4)
    payoffs = games.matrix(tape, rounds, size, low=0, high=1)
    return Steps(fractions(tape.simplex((rounds, size))), payoffs)


def _kinds(instance: Steps) -> tuple[Fraction, Fraction, Fraction]:
    """Return external, internal and swap regret, summed over time."""
    values = instance.payoffs
    gain = instance.played.T @ values - (instance.played * values).sum(axis=0)[:, None]
    return external(gain), Fraction(gain.max()), _swap(gain)


def kinds_sides(instance: Steps) -> tuple[Side, Side]:
    """Return external and swap regret, and A - 1 and A times internal regret, (2,)."""
    external, internal, swap = _kinds(instance)
    count = instance.payoffs.shape[1]
    return fractions([external, swap]), fractions([(count - 1) * internal, count * internal])


def _external_for_internal(instance: Steps) -> tuple[Side, Side]:
    external, _, swap = _kinds(instance)
    count = instance.payoffs.shape[1]
    return swap, count * max(external, Fraction(0))


KINDS = Theorem(
    id="no-regret/internal-bounds-external",
    title="Small internal regret bounds external and swap regret",
    source="Stoltz and Lugosi (2005), section 1; Blum and Mansour (2007), section 2",
    statement=(
        r"R^{\mathrm{ext}} \le (A - 1)\,R^{\mathrm{int}},\qquad R^{\mathrm{swap}} \le A\, "
        r"R^{\mathrm{int}},\qquad R^{\mathrm{int}} = \max_{a,b} \sum_t x_t(a)\,(u_t(b) - u_t(a))"
    ),
    hypotheses=("any strategies and any payoffs of one learner",),
    kind="inequality",
    sample=sample_steps,
    sides=kinds_sides,
    control=Control(
        name="external for internal",
        explanation="Swap regret is held to A times external regret: regret of one kind only.",
        sides=_external_for_internal,
    ),
    sizes=(2, 3, 4),
    notes="Both attained by playing each action once, at the moment when all others pay more.",
    sharpness=TIGHT,
)


class Plan(NamedTuple):
    """Payoffs (2, A, B) and a distribution (A, B) of what a mediator tells the players."""

    payoffs: FractionArray
    joint: FractionArray


def chicken() -> Plan:
    """Return chicken (dare, yield) with the fair plan that never lets both dare."""
    rows = to_fractions([[0, 7], [2, 6]])
    joint = to_fractions([[0, 1], [1, 2]]) / Fraction(4)
    return Plan(np.stack([rows, rows.T]), joint)


def obeyed(plan: Plan) -> bool:
    """Whether nobody gains by disobeying: the plan is a correlated equilibrium."""
    return not any(_swap(gain) for gain in _joint_gains(plan.payoffs, plan.joint))


def welfare_sides(plan: Plan) -> tuple[Side, Side]:
    """Return the best sum of payoffs in any Nash equilibrium, and that of the plan."""
    total = plan.payoffs.sum(axis=0)
    best = max(x @ total @ y for x, y in games.equilibria(plan.payoffs))
    return Fraction(best), Fraction((plan.joint * total).sum())


def _public_coin(tape: Tape, size: int) -> Plan:
    plan = chicken()
    found = games.equilibria(plan.payoffs)
    weights = games.strategy(tape, len(found))
    joint = sum(w * np.outer(x, y) for w, (x, y) in zip(weights, found, strict=True))
    return plan._replace(joint=np.asarray(joint))


SEPARATION = Theorem(
    id="correlated/beyond-nash",
    title="A correlated equilibrium outside the convex hull of the Nash equilibria",
    source="Aumann (1974), section 9: chicken",
    statement=(
        r"\max_{\sigma \in \mathrm{Nash}} \sum_i u_i(\sigma) < \max_{J \in \mathrm{CE}} \sum_i "
        r"u_i(J)"
    ),
    hypotheses=(
        "payoffs (0, 0) if both dare, (7, 2) if one does, (6, 6) if both yield",
        r"$J$ has both yield with probability 1/2 and either dare alone with 1/4",
    ),
    kind="separation",
    sample=lambda tape, size: chicken(),
    sides=welfare_sides,
    admissible=obeyed,
    control=Control(
        name="a coin that all see",
        explanation="The plan mixes Nash equilibria: their convex hull.",
        sample=_public_coin,
    ),
    sizes=(2,),
    notes=(
        "28/3 in the mixed equilibrium against 21/2: the sum of payoffs is linear in the plan, so "
        "that no mixture of the three equilibria reaches it."
    ),
    sharpness=0.888,
    cost=4.0,
)


THEOREMS = (MEDIATOR, KINDS, SEPARATION)
