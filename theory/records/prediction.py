"""Values in two models compared, of a fixed policy and of a planned one; temporal differences.

Every side is a Fraction; half of the instances are those that attain the bounds.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.theory import exact, instances
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side, supremum
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class TwoChains(NamedTuple):
    """Kernels (S, S) and rewards (S,) in [0, 1] of one policy under two models."""

    kernels: tuple[FractionArray, FractionArray]
    rewards: tuple[FractionArray, FractionArray]
    discount: Fraction


class Chain(NamedTuple):
    """A policy's kernel with its stationary distribution, discount, mixing and a direction."""

    kernel: FractionArray
    weights: FractionArray
    discount: Fraction
    trace: Fraction
    difference: FractionArray


def _mix(first: FractionArray, second: FractionArray, weight: Fraction) -> FractionArray:
    return np.asarray((1 - weight) * first + weight * second)


def sample_chains(tape: Tape, size: int) -> TwoChains:
    """Draw a model and a perturbation; half of the time the one that drops out for ever."""
    discount = Fraction(instances.discount(tape, low=1))
    leak, drop = (Fraction(float(x)) for x in tape.dyadic(2))
    if tape.integer(0, 1):
        stay = exact.identity(2)
        leaving = stay.copy()
        leaving[0] = [1 - leak, leak]
        rewards = fractions(np.array([1.0, 0.0]))
        return TwoChains((stay, leaving), (rewards, (1 - drop) * rewards), discount)
    kernels = fractions(tape.simplex((2, size, size)))
    rewards = fractions(tape.dyadic((2, size)))
    return TwoChains(
        (kernels[0], _mix(kernels[0], kernels[1], leak)),
        (rewards[0], _mix(rewards[0], rewards[1], drop)),
        discount,
    )


def _simulation(instance: TwoChains) -> tuple[Fraction, Fraction, Fraction]:
    """Return the largest difference of values, of rewards, and the largest total variation."""
    first, second = (
        exact.resolvent(kernel, instance.discount, reward)
        for kernel, reward in zip(instance.kernels, instance.rewards, strict=True)
    )
    apart = np.abs(instance.kernels[0] - instance.kernels[1]).sum(axis=1).max() / 2
    return (
        supremum(first - second),
        supremum(instance.rewards[0] - instance.rewards[1]),
        Fraction(apart),
    )


def simulation_sides(instance: TwoChains) -> tuple[Side, Side]:
    """Return the largest difference of the two values and the sharp bound."""
    error, reward, leak = _simulation(instance)
    horizon = 1 - instance.discount
    coupled = 1 - instance.discount * (1 - leak)
    return error, (reward * horizon + instance.discount * leak) / (horizon * coupled)


def _one_horizon(instance: TwoChains) -> tuple[Side, Side]:
    error, reward, leak = _simulation(instance)
    return error, (reward + instance.discount * leak) / (1 - instance.discount)


SIMULATION = Theorem(
    id="prediction/simulation-lemma",
    title="The simulation lemma with its sharp constant",
    source=(
        "Kearns and Singh (2002), Lemma 4, with a looser constant; the sharp one follows from "
        "coupling the two chains (derived here; compare Lobel and Parr, 2024)"
    ),
    statement=(
        r"\|V_M - V_{M'}\|_\infty \le \frac{(1-\gamma)\,\varepsilon_R + \gamma\,\varepsilon_P}"
        r"{(1-\gamma)\,(1-\gamma(1-\varepsilon_P))},\qquad "
        r"\varepsilon_P = \max_s \tfrac12\|P(s) - P'(s)\|_1"
    ),
    hypotheses=(
        r"rewards in $[0, 1]$ in both models, $\varepsilon_R = \max_s |r(s) - r'(s)|$",
        "one policy, two models of it",
    ),
    kind="inequality",
    sample=sample_chains,
    sides=simulation_sides,
    control=Control(
        name="one horizon",
        explanation="The error of the kernel enters with one horizon instead of two.",
        sides=_one_horizon,
    ),
    notes=(
        r"Implies the familiar $\varepsilon_R/(1-\gamma) + \gamma\varepsilon_P/(1-\gamma)^2$. "
        "Attained by a rewarding state from which the second model leaks to nothing."
    ),
    sharpness=0.999,
)


class TwoModels(NamedTuple):
    """A world and a guess of it, which differ in their kernels only."""

    world: DiscountedMDP
    guess: DiscountedMDP


def two_leaks(discount: float, leak: float) -> TwoModels:
    """Return the pair that attains the bound: the guess leaks by the action that does not.

    States: one to decide in, one that pays 1 for ever, one that pays nothing for ever. Action 0
    stays and pays 1, and the guess lets it leak to nothing. Action 1 leaks to nothing, and the
    guess lets it leak to the state that pays; its own reward makes the guess indifferent.
    """
    kept = (1 - discount) / (1 - discount * (1 - leak))
    # Rounded up, so that the guess prefers action 1 and no tie depends on a rounding.
    reward = np.ceil(max(0.0, 2 - 1 / kept) * 2.0**40) / 2.0**40
    world = np.tile(np.eye(3)[:, None], (1, 2, 1))
    guess = world.copy()
    guess[0] = [[1 - leak, 0, leak], [1 - leak, leak, 0]]
    world[0, 1] = [1 - leak, 0, leak]
    rewards = np.array([[1.0, reward], [1.0, 1.0], [0.0, 0.0]])
    return TwoModels(*(DiscountedMDP(kernel, rewards, discount) for kernel in (world, guess)))


def sample_models(tape: Tape, size: int) -> TwoModels:
    """Draw the two leaks half of the time, else a world and a mixture of it with another."""
    discount = instances.discount(tape, low=1)
    share = tape.integer(1, 16) / 16
    if tape.integer(0, 1):
        return two_leaks(discount, share)
    world = instances.mdp(tape, size, 2, discount)
    other = tape.simplex(world.transitions.shape)
    mixed = (1 - share) * world.transitions + share * other
    return TwoModels(world, world.replace(transitions=mixed))


def _planned(instance: TwoModels, errors: int) -> tuple[Side, Side]:
    world, guess = instance
    apparent = exact.action_values(guess, exact.optimal_values(guess))
    # Of the policies that are optimal in the guess, the one that earns least.
    earned = exact.worst_greedy_values(world, apparent)
    apart = np.abs(fractions(world.transitions) - fractions(guess.transitions))
    discount, leak = Fraction(world.discount), Fraction(apart.sum(axis=2).max()) / 2
    lost = discount * leak / (1 - discount * (1 - leak))
    bound = min(errors * lost, Fraction(1)) / (1 - discount)
    return supremum(exact.optimal_values(world) - earned), bound


def wrong_model_sides(instance: TwoModels) -> tuple[Side, Side]:
    """Return the most that a policy optimal in the guess loses in the world, and the bound."""
    return _planned(instance, 2)


def _one_error(instance: TwoModels) -> tuple[Side, Side]:
    return _planned(instance, 1)


WRONG_MODEL = Theorem(
    id="prediction/planning-in-a-wrong-model",
    title="What planning in a wrong model can lose, with its sharp constant",
    source=(
        "Kearns and Singh (2002), Lemma 4, used twice, with a looser constant; the sharp one is "
        "derived here by coupling the two models (compare Lobel and Parr, 2024)"
    ),
    statement=(
        r"\|V^* - V^{\hat\pi}\|_\infty \le \frac{1}{1-\gamma}\min\Bigl\{"
        r"\frac{2\gamma\varepsilon}{1-\gamma(1-\varepsilon)},\, 1\Bigr\},\qquad "
        r"\varepsilon = \max_{s,a} \tfrac12\|P(s,a) - \hat P(s,a)\|_1"
    ),
    hypotheses=(
        "rewards in $[0, 1]$, known",
        r"$\hat\pi$: any policy optimal under $\hat P$",
    ),
    kind="inequality",
    sample=sample_models,
    sides=wrong_model_sides,
    control=Control(
        name="one error",
        explanation="The factor 2 is dropped, as if only what is chosen could be misjudged.",
        sides=_one_error,
    ),
    sizes=(2, 3),
    cost=3.0,
    notes=(
        r"Implies the familiar $2\gamma\varepsilon/(1-\gamma)^2$. Attained, up to the rounding of "
        "a reward, by two actions that leak."
    ),
    sharpness=0.999,
)


def sample_chain(tape: Tape, size: int) -> Chain:
    """Draw a kernel with one recurrent class; the direction is a constant a third of the time."""
    rows = fractions(tape.simplex((size, size)))
    # One part in 16 goes to state 0 from everywhere, so that it is recurrent and alone in it.
    kernel = rows * Fraction(15, 16)
    kernel[:, 0] += Fraction(1, 16)
    factor = Fraction(instances.discount(tape))
    trace = Fraction(tape.integer(0, 16), 16)
    direction = instances.values(tape, size, -1.0, 1.0)
    if tape.integer(0, 2) == 0:
        direction = np.full(size, direction[0])
    return Chain(kernel, exact.stationary(kernel), factor, trace, fractions(direction))


def _td(instance: Chain, weights: FractionArray) -> tuple[Side, Side]:
    kernel, _, discount, trace, difference = instance
    one = discount * (kernel @ difference)
    moved = difference + exact.resolvent(kernel, discount * trace, one - difference)
    modulus = discount * (1 - trace) / (1 - discount * trace)
    return weights @ moved**2, modulus**2 * (weights @ difference**2)


def td_sides(instance: Chain) -> tuple[Side, Side]:
    """Return the squared weighted norms of the image of a difference and of its bound."""
    return _td(instance, instance.weights)


def _td_uniform(instance: Chain) -> tuple[Side, Side]:
    size = len(instance.weights)
    return _td(instance, fractions(np.full(size, 1.0)) / size)


TD_LAMBDA = Theorem(
    id="prediction/td-lambda-modulus",
    title="The TD(lambda) operator contracts in the stationary norm",
    source="Tsitsiklis and Van Roy (1997), Lemma 4",
    statement=(
        r"\|T^{(\lambda)}V - T^{(\lambda)}W\|_{D}^2 \le "
        r"\Bigl(\frac{\gamma(1-\lambda)}{1-\gamma\lambda}\Bigr)^{2} \|V - W\|_{D}^2,\qquad "
        r"T^{(\lambda)}V = V + (I - \gamma\lambda P)^{-1}(r + \gamma PV - V)"
    ),
    hypotheses=(
        r"$P$ has a single recurrent class, $d$ its stationary distribution, $\|x\|_D^2 = \sum_s "
        r"d(s)\, x(s)^2$",
        r"$\gamma \in [0, 1)$, $\lambda \in [0, 1]$",
    ),
    kind="inequality",
    sample=sample_chain,
    sides=td_sides,
    control=Control(
        name="uniform weights",
        explanation="The norm weighs states uniformly, as off-policy learning may: no contraction.",
        sides=_td_uniform,
    ),
    notes=r"Attained by constant differences for every $\lambda$; at $\lambda = 1$ both are zero.",
    sharpness=0.999,
)


THEOREMS = (SIMULATION, WRONG_MODEL, TD_LAMBDA)
