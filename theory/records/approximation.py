"""How errors made at every iteration propagate through modified policy iteration.

Value iteration (one sweep) and policy iteration (all sweeps) are its two ends. Every side is a
Fraction; half of the instances are the deterministic chain that attains the bounds, with greedy
ties broken by the last action.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.rational import FractionArray, solve
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.theory import exact, instances
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side, supremum
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Run(NamedTuple):
    """An MDP, starting values (S,), the errors of each iteration (K - 1, S).

    sweeps: evaluation sweeps per iteration, 0 for exact evaluation.
    looped: how many of the last policies a non-stationary policy repeats.
    """

    mdp: DiscountedMDP
    start: FractionArray
    errors: FractionArray
    sweeps: int
    looped: int


def waiting_chain(
    discount: float, error: float, iterations: int
) -> tuple[DiscountedMDP, FloatArray]:
    """Return the chain on which iteration k + 1 is made to wait in state k, and its errors.

    Walking down to state 0 is free and optimal; waiting in state k costs just what the errors of
    iteration k, up in state k and down in state k - 1, make it seem to be worth.
    """
    count = iterations + 1
    transitions = np.zeros((count, 2, count))
    rewards = np.zeros((count, 2))
    for s in range(count):
        transitions[s, 0, max(s - 1, 0)] = 1.0
        transitions[s, 1, s] = 1.0
        rewards[s, 1] = -2 * error * sum(discount**j for j in range(1, s + 1))
    errors = np.zeros((iterations - 1, count))
    for k in range(1, iterations):
        errors[k - 1, k], errors[k - 1, k - 1] = error, -error
    return DiscountedMDP(transitions, rewards, discount), errors


def sample_run(tape: Tape, size: int) -> Run:
    """Draw the waiting chain half of the time, else a random model with random errors."""
    iterations, sweeps, looped = tape.integer(1, 4), tape.integer(0, 3), tape.integer(1, 3)
    if tape.integer(0, 1):
        # Coarse discounts, so that costs with three powers of them are floats exactly.
        discount = tape.integer(1, 15) / 16
        model, errors = waiting_chain(discount, 2.0 ** tape.integer(-2, 2), iterations)
        return Run(model, fractions(np.zeros(model.states)), fractions(errors), sweeps, looped)
    model = instances.mdp(tape, size, tape.integer(2, 3))
    scale = Fraction(1, 2 ** tape.integer(0, 6))
    errors = fractions(tape.dyadic((iterations - 1, size), -1, 1)) * scale
    start = exact.optimal_values(model) + fractions(instances.values(tape, size)) * scale
    return Run(model, start, errors, sweeps, looped)


def policies(run: Run) -> list[FloatArray]:
    """Return the greedy policies of iterations 1, ..., K, rows (S, A)."""
    values, chosen = run.start, []
    for error in [*run.errors, None]:
        policy = exact.last_greedy(exact.action_values(run.mdp, values))
        chosen.append(policy)
        if error is None:
            break
        if run.sweeps == 0:
            values = exact.policy_values(run.mdp, policy)
        for _ in range(run.sweeps):
            values = exact.policy_backup(run.mdp, policy, values)
        values = values + error
    return chosen


def _propagated(run: Run, first: Fraction) -> Fraction:
    """Return 2 (g - g^K) / (1 - g)^2 times the largest error plus 2 g^K / (1 - g) times `first`."""
    discount = Fraction(run.mdp.discount)
    last = discount ** (len(run.errors) + 1)
    horizon = 1 / (1 - discount)
    accumulated = 2 * (discount - last) * horizon**2 * supremum(run.errors)
    return accumulated + 2 * last * horizon * first


def _start_error(run: Run) -> Fraction:
    best = exact.optimal_values(run.mdp)
    residual = supremum(exact.bellman(run.mdp, run.start) - run.start)
    return min(supremum(best - run.start), residual)


def _final_loss(run: Run) -> Fraction:
    attained = exact.policy_values(run.mdp, policies(run)[-1])
    return supremum(exact.optimal_values(run.mdp) - attained)


def propagation_sides(run: Run) -> tuple[Side, Side]:
    """Return the loss of the last greedy policy and its bound."""
    return _final_loss(run), _propagated(run, _start_error(run))


def _one_sided(run: Run) -> tuple[Side, Side]:
    discount = Fraction(run.mdp.discount)
    last = discount ** (len(run.errors) + 1)
    once = (discount - last) / (1 - discount) ** 2 * supremum(run.errors)
    return _final_loss(run), _propagated(run, _start_error(run)) - once


PROPAGATION = Theorem(
    id="approximation/error-propagation",
    title="Errors at every iteration are amplified by the squared horizon",
    source=(
        "Scherrer, Ghavamzadeh, Gabillon, Lesner and Geist (2015), sup-norm bound; Bertsekas and "
        "Tsitsiklis (1996), Proposition 6.2 for policy iteration; attained: Scherrer and Lesner "
        "(2012)"
    ),
    statement=(
        r"\|V^* - V^{\pi_k}\|_\infty \le \frac{2(\gamma - \gamma^k)}{(1-\gamma)^2}\,\varepsilon "
        r"+ \frac{2\gamma^k}{1-\gamma}\min\{\|V^* - V_0\|_\infty, \|TV_0 - V_0\|_\infty\},\qquad "
        r"\pi_{j+1} \in \mathcal{G}V_j,\; V_j = (T_{\pi_j})^m V_{j-1} + \epsilon_j"
    ),
    hypotheses=(
        r"$\|\epsilon_j\|_\infty \le \varepsilon$; $\mathcal{G}V$: any policy greedy for $V$",
        r"$m \in \{1, 2, 3, \infty\}$ evaluation sweeps; $m = \infty$ evaluates exactly",
    ),
    kind="inequality",
    sample=sample_run,
    sides=propagation_sides,
    control=Control(
        name="errors counted once",
        explanation=(
            "The factor 2 of the errors' term is dropped: an error misleads both the policy "
            "that was overrated and the one that was passed over."
        ),
        sides=_one_sided,
    ),
    notes=(
        r"With $k \to \infty$ the classical $2\gamma\varepsilon/(1-\gamma)^2$. The chain attains "
        "the bound at every k and for every number of sweeps."
    ),
    sharpness=0.999,
)


def sample_value_iteration(tape: Tape, size: int) -> Run:
    """Draw a run of value iteration, one sweep per iteration."""
    return sample_run(tape, size)._replace(sweeps=1)


def looped_values(run: Run, order: int) -> FractionArray:
    """Return the value of repeating the last policies for ever, shape (S,).

    order: 1 plays the newest of them first, as the theorem wants, -1 the oldest.
    """
    discount = Fraction(run.mdp.discount)
    last = policies(run)[::-1][: run.looped][::order]
    kernel = exact.identity(run.mdp.states)
    reward = fractions(np.zeros(run.mdp.states))
    for k, policy in enumerate(last):
        reward = reward + discount**k * (kernel @ exact.policy_rewards(run.mdp, policy))
        kernel = kernel @ exact.policy_kernel(run.mdp, policy)
    system = exact.identity(run.mdp.states) - discount ** len(last) * kernel
    return solve(system, reward)


def _looped(run: Run, counted: int) -> tuple[Side, Side]:
    best, discount = exact.optimal_values(run.mdp), Fraction(run.mdp.discount)
    loss = supremum(best - looped_values(run, 1))
    bound = _propagated(run, supremum(best - run.start))
    return loss, (1 - discount) / (1 - discount**counted) * bound


def looped_sides(run: Run) -> tuple[Side, Side]:
    """Return the loss of repeating the last policies, newest first, and its bound."""
    return _looped(run, min(run.looped, len(run.errors) + 1))


def _one_policy_too_many(run: Run) -> tuple[Side, Side]:
    return _looped(run, min(run.looped, len(run.errors) + 1) + 1)


NON_STATIONARY = Theorem(
    id="approximation/non-stationary-policy",
    title="Repeating the last policies in turn loses less than the last one alone",
    source="Scherrer and Lesner (2012), Theorem 2",
    statement=(
        r"\|V^* - V^{(\pi_k\pi_{k-1}\cdots\pi_{k-m+1})^\infty}\|_\infty \le \frac{2}{1-\gamma^m}"
        r"\Bigl[\frac{\gamma-\gamma^k}{1-\gamma}\,\varepsilon + \gamma^k\|V^*-V_0\|_\infty\Bigr]"
    ),
    hypotheses=(
        r"value iteration $V_j = TV_{j-1} + \epsilon_j$, $\|\epsilon_j\|_\infty \le \varepsilon$",
        r"$\pi_{j+1}$ greedy for $V_j$; the newest policy is played first; $m \le k$",
    ),
    kind="inequality",
    sample=sample_value_iteration,
    sides=looped_sides,
    control=Control(
        name="one policy too many",
        explanation=r"The period in the bound is $m + 1$ while only $m$ policies are repeated.",
        sides=_one_policy_too_many,
    ),
    notes=(
        r"As $m$ grows the loss falls from $2\gamma\varepsilon/(1-\gamma)^2$ to "
        r"$2\gamma\varepsilon/(1-\gamma)$. Attained at $m = 1$ by the chain."
    ),
    sharpness=0.999,
)


THEOREMS = (PROPAGATION, NON_STATIONARY)
