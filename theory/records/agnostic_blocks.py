"""Block MDPs: what policies of observations are worth, and what a mean emission covers.

All probabilities are dyadic, and an observation has one latent state: the observed MDP has no
rounding, and every side is a Fraction.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.arrays import FloatArray, IntArray
from rltheory.tabular.agnostic.block_mdp import BlockMDP
from rltheory.tabular.agnostic.class_values import class_values
from rltheory.tabular.agnostic.policy_class import PolicyClass
from rltheory.tabular.finite_horizon import backward_induction
from rltheory.tabular.mdp import EpisodicMDP
from rltheory.tabular.policies import one_hot
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

SETTING = "Krishnamurthy, Li and Sekhari (2025), for the setting; derived here"


class Rich(NamedTuple):
    """A Block MDP and a policy (H, X) of its observations."""

    block: BlockMDP
    table: IntArray


def sample_latent(tape: Tape, horizon: int, states: int, actions: int = 2) -> EpisodicMDP:
    """Draw a layered MDP with dyadic rewards in [0, 1]."""
    shape = (horizon, states, actions)
    return EpisodicMDP(tape.simplex((*shape, states)), tape.dyadic(shape), tape.simplex(states))


def sample_emissions(tape: Tape, horizon: int, states: int, each: int) -> FloatArray:
    """Draw emissions (H, S, S * each); observations s * each + i belong to latent state s."""
    emissions = np.zeros((horizon, states, states * each))
    drawn = tape.simplex((horizon, states, each))
    for s in range(states):
        emissions[:, s, s * each : (s + 1) * each] = drawn[:, s]
    return emissions


def sample_block(tape: Tape, size: int) -> BlockMDP:
    """Draw up to three steps, `size` latent states at most, three observations of each."""
    horizon, states = tape.integer(1, 3), tape.integer(2, min(size, 3))
    latent = sample_latent(tape, horizon, states)
    return BlockMDP(latent, sample_emissions(tape, horizon, states, tape.integer(1, 3)))


def sample_rich(tape: Tape, size: int) -> Rich:
    """Draw a Block MDP and a policy that reads the observation."""
    block = sample_block(tape, size)
    shape = (block.latent.horizon, block.observations)
    return Rich(block, (tape.uniform(shape) < 0.5).astype(int))


def observed_value(rich: Rich) -> Fraction:
    """Return what the policy is worth in the MDP of observations."""
    policies = PolicyClass(rich.table[None], rich.block.latent.actions)
    return Fraction(class_values(rich.block.observed(), policies, arithmetic="rational").values[0])


def latent_value(latent: EpisodicMDP, rows: FloatArray) -> Fraction:
    """Return what a randomised policy (H, S, A) is worth in the latent MDP."""
    values = backward_induction(latent, policy=rows, arithmetic="rational").values[0]
    return Fraction(fractions(latent.initial) @ values)


def averages(rich: Rich) -> FloatArray:
    """Return the policy's probabilities of actions in latent states, (H, S, A)."""
    policies = PolicyClass(rich.table[None], rich.block.latent.actions)
    return np.asarray(rich.block.averaged(policies)[0])


def average_sides(rich: Rich) -> tuple[Side, Side]:
    """Return the value among observations and that of the average policy among latent states."""
    return observed_value(rich), latent_value(rich.block.latent, averages(rich))


def _majority(rich: Rich) -> tuple[Side, Side]:
    rows = averages(rich)
    likeliest = one_hot(rows.argmax(axis=-1), rows.shape[-1])
    return observed_value(rich), latent_value(rich.block.latent, likeliest)


AVERAGE = Theorem(
    id="agnostic/block-average-policy",
    title="A policy of observations is worth what its average is worth in the latent MDP",
    source=SETTING,
    statement=(
        r"V^\pi = V^{\bar\pi}_{\mathrm{latent}},\qquad \bar\pi_h(a|s) = "
        r"\sum_x q_h(x|s)\,1\{\pi_h(x) = a\}"
    ),
    hypotheses=(r"a Block MDP: the emissions $q_h(\cdot|s)$ have disjoint supports",),
    kind="identity",
    sample=sample_rich,
    sides=average_sides,
    control=Control(
        name="the likeliest action",
        explanation="The latent policy takes the action that most observations call for.",
        sides=_majority,
    ),
    notes=(
        r"So $Q^\pi_h(x,a)$ depends on $x$ through its latent state alone, which $V^\pi_h(x)$ does "
        "not: an action first, then a policy, is what tests of a decoder can compare."
    ),
)


def _ratios(block: BlockMDP, weights: list[Fraction]) -> Fraction:
    """The largest ratio of transitions to a reset that mixes emissions by weights (S,)."""
    reset = np.tensordot(np.array(weights, dtype=object), fractions(block.emissions), (0, 1))
    world = block.observed()
    found = [Fraction(0)]
    for h in range(world.horizon):
        rows = world.transitions[h - 1].reshape(-1, world.states) if h else world.initial[None]
        emitted = np.flatnonzero(reset[h])
        found.append((fractions(rows)[:, emitted] / reset[h, emitted]).max())
    return max(found)


def _largest(block: BlockMDP) -> Fraction:
    """The largest probability of a latent state, at first or after a state and an action."""
    latent = block.latent
    return max(
        Fraction(latent.initial.max()),
        Fraction(latent.transitions[:-1].max(initial=0.0)),
    )


def pushforward_sides(block: BlockMDP) -> tuple[Side, Side]:
    """Return the largest ratio among observations and S times the largest latent probability."""
    states = block.latent.states
    return _ratios(block, [Fraction(1, states)] * states), states * _largest(block)


def _uneven(block: BlockMDP) -> tuple[Side, Side]:
    states = block.latent.states
    weights = [Fraction(1 + (s == 0), states + 1) for s in range(states)]
    return _ratios(block, weights), states * _largest(block)


PUSHFORWARD = Theorem(
    id="agnostic/block-pushforward-concentrability",
    title="Resets to the mean emission have pushforward concentrability of at most S",
    source=SETTING,
    statement=(
        r"\max_{h,x,a,x'}\frac{P_h(x'|x,a)}{\mu_{h+1}(x')} = S\max_{h,s,a,s'}p_h(s'|s,a) \le S,"
        r"\qquad \mu_h = \frac1S\sum_s q_h(\cdot|s)"
    ),
    hypotheses=(
        r"a Block MDP of $S$ latent states and any number of observations; quotients over $x'$ "
        "that are emitted",
        "the distribution of the first state counts as a transition",
    ),
    kind="identity",
    sample=sample_block,
    sides=pushforward_sides,
    control=Control(
        name="uneven mixture",
        explanation="The reset favours the first latent state twice as much as the others.",
        sides=_uneven,
    ),
    notes=(
        "Whatever the number of observations, while the ratio of occupancies to a uniform reset "
        "may grow with it."
    ),
)


THEOREMS = (AVERAGE, PUSHFORWARD)
