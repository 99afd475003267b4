"""Learning under constraints: the mean of dual ascent, and one advantage for reward and cost."""

from fractions import Fraction
from typing import NamedTuple

from rltheory.analysis.arrays import FloatArray
from rltheory.theory import dual, exact
from rltheory.theory.constrained_exact import (
    Limited,
    behaviour,
    dual_minimum,
    response,
    sample_limited,
    table,
)
from rltheory.theory.exact import fractions
from rltheory.theory.records.occupancy import advantages
from rltheory.theory.records.policy_gradient import (
    Direction,
    moving_policy,
    performance,
    sample_direction,
)
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


def _ascended(instance: Limited, *, per_state: bool) -> tuple[Side, Side]:
    """Return the two claims on the mean of T best responses; start at multiplier 0."""
    mdp, cost, budget, step, count = instance
    found = table(mdp, cost)
    price, chosen, squares = Fraction(0), [], Fraction(0)
    for _ in range(count):
        chosen.append(response(found, price))
        excess = found.costs[chosen[-1]] - budget
        squares += excess**2
        price = max(price + step * excess, Fraction(0))
    flows = found.occupancies[chosen]
    if per_state:
        policy = behaviour(flows).sum(axis=0) / count
    else:
        policy = behaviour(flows.sum(axis=0) / count)
    start = fractions(mdp.initial)
    earned = start @ exact.policy_values(mdp, policy)
    spent = start @ exact.policy_values(mdp.replace(rewards=cost), policy)
    best = dual_minimum(found, budget)[0]
    least = best + (price**2 - step**2 * squares) / (2 * step * count)
    return exact.join(spent - budget, least), exact.join(price / (step * count), earned)


def ascended_sides(instance: Limited) -> tuple[Side, Side]:
    """Return (excess, guaranteed value) and (its bound, value) of the policy of the mean."""
    return _ascended(instance, per_state=False)


AVERAGES = Theorem(
    id="constrained/averaged-iterates",
    title="What the mean occupancy of dual ascent spends and earns, by its last multiplier",
    source="Nedic and Ozdaglar (2009), Proposition 1, for an MDP and with the exact terms kept",
    statement=(
        r"V_c^{\bar\pi} - b \le \frac{\lambda_T}{\eta T},\qquad V_r^{\bar\pi} \ge V^* + "
        r"\frac{\lambda_T^2}{2\eta T} - \frac{\eta}{2T}\sum_{t<T}(V_c^{\pi_t} - b)^2,\qquad "
        r"\lambda_{t+1} = \bigl[\lambda_t + \eta\,(V_c^{\pi_t} - b)\bigr]_+,\ \lambda_0 = 0"
    ),
    hypotheses=(
        r"$\pi_t$ a deterministic best response to $\lambda_t$, maximising $V_r - \lambda_t V_c$",
        r"$\bar\pi$ the policy whose occupancy is the mean of those of $\pi_0, \dots, \pi_{T-1}$",
    ),
    kind="inequality",
    sample=sample_limited,
    sides=ascended_sides,
    control=Control(
        name="policies averaged state by state",
        explanation="The probabilities of actions are averaged instead of the occupancies.",
        sides=lambda instance: _ascended(instance, per_state=True),
    ),
    notes=(
        "The first is met while no multiplier is clipped, the second where moreover all "
        "multipliers but the first are best."
    ),
    sizes=(2, 3),
    sharpness=0.999,
    cost=2.0,
)


class Penalised(NamedTuple):
    """An MDP, a policy and a direction, a cost (S, A) and its multiplier."""

    direction: Direction
    cost: FloatArray
    multiplier: Fraction


def sample_penalised(tape: Tape, size: int) -> Penalised:
    """Draw a cost and a multiplier of k / 8, at most 4."""
    direction = sample_direction(tape, size)
    cost = tape.dyadic(direction.mdp.rewards.shape)
    return Penalised(direction, cost, Fraction(tape.integer(1, 32), 8))


def _combined(instance: Penalised, shrink: Fraction) -> tuple[Side, Side]:
    """Return the slope of the Lagrangian over 1 + l, and that of advantages A_r / shrink - ..."""
    direction, cost, price = instance
    mdp = direction.mdp
    charged, policy = mdp.replace(rewards=cost), moving_policy(direction)
    slope = performance(mdp, policy).slope - price * performance(charged, policy).slope
    current = direction.weights / direction.weights.sum(axis=1, keepdims=True)
    credit = advantages(mdp, current) / shrink - price * advantages(charged, current) / (1 + price)
    visited = exact.visits(mdp, current) / (1 - Fraction(mdp.discount))
    return slope / (1 + price), visited @ (dual.slopes_of(policy) * credit).sum(axis=1)


def combined_sides(instance: Penalised) -> tuple[Side, Side]:
    """Return the derivative by dual numbers and by the combined advantage."""
    return _combined(instance, 1 + instance.multiplier)


COMBINED = Theorem(
    id="constrained/combined-advantage",
    title="The combined advantage of safe RLHF follows the Lagrangian, at a bounded scale",
    source="Dai, Pan, Sun, Ji, Xu, Liu, Wang and Yang (2024), the update of the policy",
    statement=(
        r"\frac{1}{1+\lambda}\,\nabla_\theta\bigl(V_r^{\pi_\theta}(\rho) - \lambda\,"
        r"V_c^{\pi_\theta}(\rho)\bigr) = \frac{1}{1-\gamma}\sum_s d^{\pi_\theta}_\rho(s)\sum_a "
        r"\nabla_\theta\pi_\theta(a|s)\,\frac{A_r - \lambda A_c}{1+\lambda}(s, a)"
    ),
    hypotheses=(
        r"$\pi_\theta(a|s) = \theta_{sa} / \sum_b \theta_{sb}$, $\theta > 0$",
        r"$\lambda > 0$; the derivative is taken along a random direction",
    ),
    kind="identity",
    sample=sample_penalised,
    sides=combined_sides,
    control=Control(
        name="only the cost is scaled",
        explanation=r"The advantage is $A_r - \frac{\lambda}{1+\lambda} A_c$.",
        sides=lambda instance: _combined(instance, Fraction(1)),
    ),
    notes=(
        "The weights of the two advantages add up to one, so that steps stay bounded as the "
        "multiplier grows; the direction is that of the Lagrangian."
    ),
)


THEOREMS = (AVERAGES, COMBINED)
