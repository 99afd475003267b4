"""Penalised Kullback-Leibler over a whole horizon: the entropic risk of the return, path by path.

One side weighs every path by an exponential; the other never sees a path, but lets the adversary
tilt one row at a time and pay for it.
"""

from fractions import Fraction
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.theory import balls, instances
from rltheory.theory.balls import BallArray, precise
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Horizon(NamedTuple):
    """A kernel (S, A, S), rewards (S, A), a discount in (0, 1], a penalty and a number of steps."""

    transitions: FractionArray
    rewards: FractionArray
    discount: Fraction
    penalty: Fraction
    steps: int


def sample_horizon(tape: Tape, size: int) -> Horizon:
    """Draw two actions, a discount k / 16 and a penalty 2^k; three rewards, two from size 3 on."""
    model = instances.mdp(tape, size, 2, 0.0, rewards=(-2.0, 2.0))
    return Horizon(
        fractions(model.transitions),
        fractions(model.rewards),
        Fraction(tape.integer(1, 16), 16),
        Fraction(2) ** tape.integer(-2, 3),
        3 if size == 2 else 2,
    )


def path_risk(instance: Horizon, plan: tuple[int, ...], start: int) -> Any:
    """Return -penalty log E exp(-return / penalty) of a plan of actions (steps, S), a ball.

    The expectation is a sum over all paths from `start`.
    """
    transitions, rewards, discount, penalty, steps = instance
    size = len(rewards)
    total = balls.ball(0)
    for rest in product(range(size), repeat=steps - 1):
        path = (start, *rest)
        chosen = [plan[t * size + s] for t, s in enumerate(path)]
        chance = Fraction(1)
        for t, following in enumerate(rest):
            chance *= transitions[path[t], chosen[t], following]
        if chance:
            earned = sum(discount**t * rewards[s, chosen[t]] for t, s in enumerate(path))
            total += balls.ball(chance) * balls.ball(-earned / penalty).exp()
    return -balls.ball(penalty) * total.log()


def best_risk(instance: Horizon) -> BallArray:
    """Return the largest entropic risk of the return from each state, all plans tried, (S,)."""
    size, actions = instance.rewards.shape
    plans = list(product(range(actions), repeat=instance.steps * size))
    found = [
        balls.largest(np.array([path_risk(instance, plan, s) for plan in plans], dtype=object))
        for s in range(size)
    ]
    return np.array(found, dtype=object)


def paid_row(nominal: FractionArray, values: BallArray, price: Fraction) -> Any:
    """Return q . values + price KL(q, p) at the tilt q ~ p exp(-values / price), a ball."""
    support = nominal > 0
    row, reached, cost = balls.balls(nominal[support]), values[support], balls.ball(price)
    tilt = row * balls.exp(-reached / cost)
    member = tilt / tilt.sum()
    return member @ reached + cost * (member @ balls.log(member / row))


def robust_values(instance: Horizon, *, growing: bool) -> BallArray:
    """Return the robust values (S,) of the horizon; the price of a tilt grows as it recedes."""
    transitions, rewards, discount, penalty, steps = instance
    values = balls.balls(np.zeros(len(rewards)))
    for t in reversed(range(steps)):
        price = penalty / discount ** (t + 1) if growing else penalty
        following = [[paid_row(row, values, price) for row in rows] for rows in transitions]
        q = balls.balls(rewards) + balls.ball(discount) * np.array(following, dtype=object)
        values = np.array([balls.largest(row) for row in q], dtype=object)
    return values


@precise
def risk_sides(instance: Horizon) -> tuple[Side, Side]:
    """Return the best entropic risk over plans and paths, and the robust values, each (S,)."""
    return balls.to_bounds(best_risk(instance)), balls.to_bounds(
        robust_values(instance, growing=True)
    )


@precise
def _one_price(instance: Horizon) -> tuple[Side, Side]:
    return balls.to_bounds(best_risk(instance)), balls.to_bounds(
        robust_values(instance, growing=False)
    )


ENTROPIC_RISK = Theorem(
    id="robust/kl-is-entropic-risk",
    title="An adversary who pays for Kullback-Leibler makes the return's entropic risk the value",
    source=(
        "Howard and Matheson (1972) for the risk-sensitive recursion; Petersen, James and Dupuis "
        "(2000) and Osogami (2012) for its robust reading"
    ),
    statement=(
        r"\max_\pi -\lambda \log \mathbb{E}^{\pi} \exp\Bigl(-\tfrac1\lambda \sum_{t<H} \gamma^t "
        r"r_t\Bigr) = V_0,\qquad V_t(s) = \max_a r(s,a) + \gamma \min_{q} \Bigl\{ q \cdot V_{t+1} "
        r"+ \frac{\lambda}{\gamma^{t+1}}\,\mathrm{KL}(q \,\|\, p(s,a))\Bigr\}"
    ),
    hypotheses=(
        r"$V_H = 0$, $0 < \gamma \le 1$, $\lambda > 0$; $\pi$ Markov and deterministic",
        "left: all policies and all paths; right: backwards, at the tilted rows and what they cost",
    ),
    kind="identity",
    sample=sample_horizon,
    sides=risk_sides,
    control=Control(
        name="one price for all times",
        explanation=(
            r"The price of a tilt is $\lambda$ at every step, as in the stationary penalised "
            "Bellman equation: that nests entropic risks, and is no risk of the discounted return."
        ),
        sides=_one_price,
    ),
    sizes=(2, 3),
    cost=8.0,
    notes=(
        r"The adversary pays $\lambda\,\mathrm{KL}$ at every step, undiscounted, while rewards are "
        r"discounted; seen from time $t$ the price has grown by $\gamma^{-t}$. Undiscounted, the "
        "two prices are one. The minimiser of a row is that of regularised/gibbs-principle with "
        r"$-V$ for the scores. A randomised policy would carry risk of its own on the left only."
    ),
)


THEOREMS = (ENTROPIC_RISK,)
