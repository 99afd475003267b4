"""Policy iteration: what one improvement gains, how fast many converge, when they end.

Every side is a Fraction or an integer. The chain on which each improvement mends one more state
attains both rates.
"""

from fractions import Fraction
from typing import NamedTuple

import flint
import numpy as np
from numpy.typing import NDArray

from rltheory.tabular.mdp import DiscountedMDP
from rltheory.tabular.policies import one_hot
from rltheory.tabular.policy_iteration import policy_iteration
from rltheory.theory import exact, instances
from rltheory.theory.records.bellman import OneVector, sample_residual, sample_subharmonic
from rltheory.theory.sides import Side, supremum
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Start(NamedTuple):
    """An MDP, the actions (S,) of a first policy, a number of improvements."""

    mdp: DiscountedMDP
    actions: NDArray[np.int64]
    steps: int


def chain_sides(instance: OneVector) -> tuple[Side, Side]:
    """Return V, T V, T_pi^2 V, V^pi below T V, T_pi^2 V, V^pi, V*, for the greedy pi."""
    mdp, values = instance
    q = exact.action_values(mdp, values)
    policy = exact.last_greedy(q)
    image = q.max(axis=1)
    twice = exact.policy_backup(mdp, policy, image)
    attained, best = exact.policy_values(mdp, policy), exact.optimal_values(mdp)
    return exact.join(values, image, twice, attained), exact.join(image, twice, attained, best)


DOMINATION = Theorem(
    id="policy-iteration/dominates-value-iteration",
    title="Each sweep of modified policy iteration gains on the last, up to the policy's value",
    source=(
        "Puterman and Shin (1978); Puterman (1994), section 6.5, and Proposition 6.4.1 for "
        "policy iteration"
    ),
    statement=(r"TV \ge V,\; T_\pi V = TV \implies V \le TV \le T_\pi^2 V \le V^\pi \le V^*"),
    hypotheses=(r"$TV \ge V$, as for every $V = V^{\pi_0}$", r"$\pi$ is greedy for $V$"),
    kind="inequality",
    sample=sample_subharmonic,
    sides=chain_sides,
    control=Control(
        name="any starting vector",
        explanation="The hypothesis T V >= V is dropped; V is any vector.",
        sample=sample_residual,
    ),
    notes=r"With $V = V^{\pi_0}$ it is policy improvement, and that it beats value iteration.",
    sharpness=0.999,
)


def mending_chain(discount: float, states: int) -> Start:
    """Return the chain that policy iteration mends one state at a time, and its worst start.

    State 0 pays 1 for its second action; from the others the second action walks down. A walk is
    worth nothing until the state below has been mended.
    """
    transitions = np.zeros((states, 2, states))
    for s in range(states):
        transitions[s, 0, s] = transitions[s, 1, max(s - 1, 0)] = 1.0
    rewards = np.zeros((states, 2))
    rewards[0, 1] = 1.0
    return Start(
        DiscountedMDP(transitions, rewards, discount), np.zeros(states, dtype=np.int64), states
    )


def sample_start(tape: Tape, size: int) -> Start:
    """Draw the mending chain a third of the time, else a random model and a random policy."""
    steps = tape.integer(1, size)
    if tape.integer(0, 2) == 0:
        return mending_chain(instances.discount(tape, low=1), size)._replace(steps=steps)
    model = instances.mdp(tape, size, tape.integer(2, 4), instances.discount(tape, low=1))
    actions = np.array([tape.integer(0, model.actions - 1) for _ in range(size)])
    return Start(model, actions, steps)


def improve(mdp: DiscountedMDP, actions: NDArray[np.int64], *, single: bool) -> NDArray[np.int64]:
    """Return the actions after one improvement, changed only where that is strictly better.

    single: change only the state of largest advantage, as the simplex method does.
    """
    values = exact.policy_values(mdp, one_hot(actions, mdp.actions))
    q = exact.action_values(mdp, values)
    gain = q.max(axis=1) - values
    change = gain > 0
    if single:
        change &= np.arange(mdp.states) == gain.argmax()
    return np.where(change, q.argmax(axis=1), actions)


def _rate(instance: Start, *, single: bool) -> tuple[Side, Side]:
    mdp, actions, steps = instance
    best = exact.optimal_values(mdp)
    before = supremum(best - exact.policy_values(mdp, one_hot(actions, mdp.actions)))
    for _ in range(steps):
        actions = improve(mdp, actions, single=single)
    after = supremum(best - exact.policy_values(mdp, one_hot(actions, mdp.actions)))
    return after, Fraction(mdp.discount) ** steps * before


def rate_sides(instance: Start) -> tuple[Side, Side]:
    """Return the loss after some improvements and discount ** steps times the first loss."""
    return _rate(instance, single=False)


RATE = Theorem(
    id="policy-iteration/geometric-rate",
    title="Howard's policy iteration converges at the rate of the discount",
    source=(
        "Howard (1960); Puterman (1994), section 6.4; the rate is unimprovable: Johnson, "
        "Pike-Burke and Rebeschini (2023), section 4"
    ),
    statement=r"\|V^* - V^{\pi_k}\|_\infty \le \gamma^k\, \|V^* - V^{\pi_0}\|_\infty",
    hypotheses=("every state with a positive advantage changes its action at each step",),
    kind="inequality",
    sample=sample_start,
    sides=rate_sides,
    control=Control(
        name="one state at a time",
        explanation="Only the state of largest advantage is changed, the simplex method's rule.",
        sides=lambda instance: _rate(instance, single=True),
    ),
    notes="Attained at every step by a chain whose states are mended one after the other.",
    sharpness=0.999,
)


def rounds(discount: float) -> int:
    """Return ceil(log(1 / (1 - g)) / (1 - g)), certified by ball arithmetic; 0 < g < 1."""
    exact_discount = Fraction(discount)
    horizon = 1 / (1 - exact_discount)
    ball = flint.arb(flint.fmpq(horizon.numerator, horizon.denominator))
    ceiling = (ball * ball.log()).ceil().unique_fmpz()
    if ceiling is None:
        raise ValueError(f"discount is {discount}; the ceiling is too close to call")
    return int(ceiling)


def _length(instance: Start, pairs: int) -> tuple[Side, Side]:
    mdp, actions, _ = instance
    solution = policy_iteration(mdp, arithmetic="rational", initial_policy=actions)
    return solution.iterations - 1, pairs * rounds(mdp.discount)


def length_sides(instance: Start) -> tuple[Side, Side]:
    """Return the number of improvements until the optimum and Scherrer's bound."""
    mdp = instance.mdp
    return _length(instance, mdp.states * (mdp.actions - 1))


def _states_forgotten(instance: Start) -> tuple[Side, Side]:
    mdp = instance.mdp
    return _length(instance, mdp.states + mdp.actions - 3)


LENGTH = Theorem(
    id="policy-iteration/strongly-polynomial",
    title="Policy iteration ends within n (A - 1) horizons, whatever the numbers in the model",
    source="Scherrer (2016), for Howard's rule, after Ye (2011) and Hansen et al. (2013)",
    statement=(
        r"\#\{\text{improvements}\} \le n\,(A-1)\left\lceil \frac{1}{1-\gamma}"
        r"\log\frac{1}{1-\gamma} \right\rceil"
    ),
    hypotheses=(
        "$n$ states with $A$ actions each; Howard's rule, from any deterministic policy",
        r"$0 < \gamma < 1$",
    ),
    kind="inequality",
    sample=sample_start,
    sides=length_sides,
    control=Control(
        name="pairs added",
        explanation="The factor n (A - 1) is replaced by (n - 1) + (A - 2).",
        sides=_states_forgotten,
    ),
    notes=(
        r"The formula as printed gives 0 at $\gamma = 0$, where one improvement may be needed. "
        r"The chain attains the bound with equality while the ceiling is 1, $\gamma \le 3/8$ on "
        "this grid; at larger discounts no instance comes near."
    ),
    sharpness=0.999,
)


THEOREMS = (DOMINATION, RATE, LENGTH)
