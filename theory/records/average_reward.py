"""Average reward: brackets of the gain, and how the discounted problem approaches it.

Every side is a Fraction. Models send a sixteenth of every row to state 0, so that each policy has
one recurrent class, or all of it, so that the bias is what the first step earns.
"""

from fractions import Fraction
from itertools import product
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray, solve
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.tabular.policies import one_hot
from rltheory.theory import exact, instances
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side, supremum
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Guess(NamedTuple):
    """An MDP, whose discount is not used, and relative values (S,)."""

    mdp: DiscountedMDP
    values: FractionArray


def sample_unichain(tape: Tape, size: int, actions: int) -> DiscountedMDP:
    """Draw an MDP in which state 0 is reached from everywhere whatever one does."""
    model = instances.mdp(tape, size, actions, instances.discount(tape, low=1))
    home = np.eye(size)[0]
    share = 1.0 if tape.integer(0, 3) == 0 else 1 / 16
    # Exact in floats: 20 bits of probabilities times 4.
    return model.replace(transitions=(1 - share) * model.transitions + share * home)


def sample_model(tape: Tape, size: int) -> DiscountedMDP:
    """Draw a unichain MDP with up to three actions."""
    return sample_unichain(tape, size, tape.integer(1, 3))


def deviation(kernel: FractionArray) -> FractionArray:
    """Return (I - P + P*)^-1 - P*, the deviation matrix of a unichain kernel (S, S)."""
    limit = np.repeat(exact.stationary(kernel)[None], len(kernel), axis=0)
    system = exact.identity(len(kernel)) - kernel + limit
    columns = [solve(system, column) for column in exact.identity(len(kernel))]
    return np.asarray(np.stack(columns, axis=1) - limit)


def gain_and_bias(mdp: DiscountedMDP, policy: exact.Rows) -> tuple[Fraction, FractionArray]:
    """Return the gain of a policy and its bias (S,), of stationary mean 0; unichain."""
    kernel, reward = exact.policy_kernel(mdp, policy), exact.policy_rewards(mdp, policy)
    weights = exact.stationary(kernel)
    gain = Fraction(weights @ reward)
    system = exact.identity(mdp.states) - kernel + weights[None, :]
    return gain, solve(system, reward - gain)


def relative_backup(mdp: DiscountedMDP, values: FractionArray) -> FractionArray:
    """Return r + P values without discount, shape (S, A)."""
    transitions, rewards, _ = exact.model(mdp)
    return np.asarray(rewards + transitions @ values)


def optimal_gain(mdp: DiscountedMDP) -> tuple[Fraction, FractionArray]:
    """Return the optimal gain and the bias (S,) of a gain-optimal policy; unichain.

    Howard's policy iteration, changing only what strictly improves.
    """
    policy = exact.last_greedy(exact.model(mdp)[1])
    while True:
        gain, bias = gain_and_bias(mdp, policy)
        q = relative_backup(mdp, bias)
        better = q.max(axis=1) > (fractions(policy) * q).sum(axis=1)
        if not better.any():
            return gain, bias
        policy = np.where(better[:, None], exact.last_greedy(q), policy)


def sample_guess(tape: Tape, size: int) -> Guess:
    """Draw relative values; a third of the time the optimal bias, moved by a little."""
    model = sample_model(tape, size)
    values = fractions(instances.values(tape, size, -2.0, 2.0))
    if tape.integer(0, 2):
        return Guess(model, values)
    scale = Fraction(tape.integer(0, 1), 64)
    return Guess(model, optimal_gain(model)[1] + scale * values)


def _bracket(guess: Guess) -> tuple[Fraction, Fraction, FractionArray]:
    """Return the gain of the greedy policy, the optimal gain and the residual (S,)."""
    mdp, values = guess
    q = relative_backup(mdp, values)
    attained, _ = gain_and_bias(mdp, exact.last_greedy(q))
    return attained, optimal_gain(mdp)[0], q.max(axis=1) - values


def bracket_sides(guess: Guess) -> tuple[Side, Side]:
    """Return (min residual, greedy gain, optimal gain) and (greedy, optimal, max residual)."""
    attained, best, residual = _bracket(guess)
    return (
        exact.join(residual.min(), attained, best),
        exact.join(attained, best, residual.max()),
    )


def _mean_residual(guess: Guess) -> tuple[Side, Side]:
    attained, best, residual = _bracket(guess)
    mean = residual.sum() / guess.mdp.states
    return exact.join(residual.min(), attained, best), exact.join(attained, best, mean)


BRACKET = Theorem(
    id="average-reward/gain-bracket",
    title="The extreme residuals bracket the optimal gain and the greedy policy's",
    source="Odoni (1969); Puterman (1994), section 8.5",
    statement=(
        r"\min_s (Tv - v)(s) \le g^{\pi_v} \le g^* \le \max_s (Tv - v)(s),\qquad "
        r"Tv = \max_a \bigl\{r_a + P_a v\bigr\},\; \pi_v \text{ greedy}"
    ),
    hypotheses=("every policy has a single recurrent class", r"any $v \in \mathbb{R}^S$"),
    kind="inequality",
    sample=sample_guess,
    sides=bracket_sides,
    control=Control(
        name="mean residual",
        explanation="The upper end is the mean of the residual over the states, not its maximum.",
        sides=_mean_residual,
    ),
    notes="All four meet at the optimal bias.",
    sharpness=0.999,
)


def _approximation(mdp: DiscountedMDP, share: Fraction) -> tuple[Side, Side]:
    gain, bias = optimal_gain(mdp)
    short = 1 - Fraction(mdp.discount)
    error = supremum(short * exact.optimal_values(mdp) - gain)
    return error, share * short * exact.span(bias)


def approximation_sides(mdp: DiscountedMDP) -> tuple[Side, Side]:
    """Return the largest |(1 - g) V* - gain| and (1 - g) times the span of the optimal bias."""
    return _approximation(mdp, Fraction(1))


APPROXIMATION = Theorem(
    id="average-reward/discounted-approximation",
    title="The discounted optimum is within the span of the bias of the average one",
    source="Wei, Jafarnia-Jahromi, Luo, Sharma and Jain (2020), Lemma 2",
    statement=(
        r"\bigl\|(1-\gamma)V^*_\gamma - g^*\mathbf{1}\bigr\|_\infty \le (1-\gamma)\,"
        r"\operatorname{sp}(h^*)"
    ),
    hypotheses=(
        "every policy has a single recurrent class (the source: weakly communicating)",
        r"$h^*$ solves $g^* + h^* = Th^*$",
    ),
    kind="inequality",
    sample=sample_model,
    sides=approximation_sides,
    control=Control(
        name="half the span",
        explanation="Half the span stands in its place, the norm of the bias when centred.",
        sides=lambda mdp: _approximation(mdp, Fraction(1, 2)),
    ),
    notes="Attained where one step leads for ever to the state of least bias.",
    sharpness=0.999,
)


def sample_chain(tape: Tape, size: int) -> DiscountedMDP:
    """Draw a unichain reward process, an MDP with one action."""
    return sample_unichain(tape, size, 1)


def _laurent(mdp: DiscountedMDP, sign: int) -> tuple[Side, Side]:
    policy = np.ones((mdp.states, 1))
    matrix = deviation(exact.policy_kernel(mdp, policy))
    gain, bias = gain_and_bias(mdp, policy)
    values = exact.policy_values(mdp, policy)
    rate = (1 - Fraction(mdp.discount)) / Fraction(mdp.discount)
    terms = gain / rate + bias + sign * rate * (matrix @ bias)
    return values, (1 + rate) * terms + rate**2 * (matrix @ (matrix @ values))


def laurent_sides(mdp: DiscountedMDP) -> tuple[Side, Side]:
    """Return V^pi and three terms of its Laurent expansion with the exact remainder, (S,)."""
    return _laurent(mdp, -1)


LAURENT = Theorem(
    id="average-reward/laurent-expansion",
    title="The discounted value expands in gain, bias and powers of the deviation matrix",
    source="Miller and Veinott (1969); Puterman (1994), Theorem 8.2.3; remainder derived here",
    statement=(
        r"V_\gamma = (1+\rho)\Bigl(\frac{g}{\rho} + h - \rho Dh\Bigr) + \rho^2 D^2 V_\gamma,"
        r"\qquad \rho = \frac{1-\gamma}{\gamma},\; D = (I - P + P^*)^{-1} - P^*,\; h = Dr"
    ),
    hypotheses=(
        r"$0 < \gamma < 1$",
        r"one recurrent class; all rows of $P^*$ are its stationary distribution, $g = P^* r$",
    ),
    kind="identity",
    sample=sample_chain,
    sides=laurent_sides,
    control=Control(
        name="signs do not alternate",
        explanation=r"The third term has the sign of the second.",
        sides=lambda mdp: _laurent(mdp, 1),
    ),
)


def lap(size: int) -> DiscountedMDP:
    """Return a lap of `size` states: one pays 1 to who stays, the way back to it pays nothing."""
    transitions = np.zeros((size, 2, size))
    for s in range(1, size):
        transitions[s, :, s - 1] = 1.0
    transitions[0, 0, 0] = transitions[0, 1, size - 1] = 1.0
    rewards = np.zeros((size, 2))
    rewards[0, 0] = 1.0
    return DiscountedMDP(transitions, rewards, 0.5)


def sample_communicating(tape: Tape, size: int) -> DiscountedMDP:
    """Draw a lap a third of the time, else a model in which every state is within reach."""
    if tape.integer(0, 2) == 0:
        return lap(size)
    model = instances.mdp(tape, size, 2)
    # Exact in floats: a sixteenth of each row goes to every state.
    return model.replace(transitions=(1 - size / 16) * model.transitions + 1 / 16)


def hitting_times(mdp: DiscountedMDP, target: int) -> FractionArray:
    """Return the least expected time to the target from each state, (S,), over all policies.

    Policies are tried one by one; those that may never arrive are passed over.
    """
    best: FractionArray | None = None
    ones = fractions(np.ones(mdp.states))
    ones[target] = Fraction(0)
    for plan in product(range(mdp.actions), repeat=mdp.states):
        kernel = exact.policy_kernel(mdp, one_hot(np.array(plan), mdp.actions))
        kernel[target] = Fraction(0)
        try:
            times = exact.resolvent(kernel, Fraction(1), ones)
        except ZeroDivisionError:
            continue
        best = times if best is None else np.minimum(best, times)
    if best is None:
        raise ValueError(f"state {target} cannot be reached from everywhere")
    return best


def _diameter(mdp: DiscountedMDP, *, mean: bool) -> tuple[Side, Side]:
    times = np.stack([hitting_times(mdp, target) for target in range(mdp.states)])
    pairs = mdp.states * (mdp.states - 1)
    return exact.span(optimal_gain(mdp)[1]), times.sum() / pairs if mean else times.max()


def diameter_sides(mdp: DiscountedMDP) -> tuple[Side, Side]:
    """Return the span of the optimal bias and the diameter."""
    return _diameter(mdp, mean=False)


DIAMETER = Theorem(
    id="average-reward/bias-diameter",
    title="The span of the optimal bias is at most the diameter",
    source="Bartlett and Tewari (2009); Jaksch, Ortner and Auer (2010)",
    statement=(
        r"\operatorname{sp}(h^*) \le D = \max_{s \ne s'} \min_\pi \mathbb{E}^\pi\bigl[\min\{t : "
        r"s_t = s'\} \mid s_0 = s\bigr]"
    ),
    hypotheses=(
        "rewards in $[0, 1]$",
        "every state can be reached from every other; every policy has one recurrent class",
    ),
    kind="inequality",
    sample=sample_communicating,
    sides=diameter_sides,
    control=Control(
        name="mean distance",
        explanation="The mean over pairs of states takes the place of the maximum.",
        sides=lambda mdp: _diameter(mdp, mean=True),
    ),
    notes="Attained by a lap of which only one state pays: whoever left it has the whole way back.",
    sizes=(2, 3, 4),
    sharpness=0.999,
    cost=3.0,
)


THEOREMS = (BRACKET, APPROXIMATION, LAURENT, DIAMETER)
