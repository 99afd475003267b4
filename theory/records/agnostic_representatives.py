"""How many observations an emulator needs: policies of observations see more than latent states.

All rows of these emulators are right; what is off is which observations stand for a latent state.
Sides are Fractions, from exact backward induction.
"""

from fractions import Fraction
from itertools import product
from typing import NamedTuple

import numpy as np

from rltheory.analysis.arrays import FloatArray, IntArray
from rltheory.tabular.agnostic.block_mdp import BlockMDP
from rltheory.tabular.agnostic.class_values import class_values
from rltheory.tabular.agnostic.emulator import emulator_error, ideal_emulator
from rltheory.tabular.agnostic.policy_class import PolicyClass
from rltheory.tabular.mdp import EpisodicMDP
from rltheory.theory.exact import fractions
from rltheory.theory.records import agnostic_blocks as blocks
from rltheory.theory.records.agnostic_blocks import SETTING, Rich
from rltheory.theory.records.agnostic_emulator import (
    Emulated,
    coupled,
    emulated_values,
    representatives,
)
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Represented(NamedTuple):
    """An emulator with all rows right, and the distance of its policy from the average one."""

    case: Emulated
    distance: Fraction


def forgetful(horizon: int, share: Fraction) -> Emulated:
    """Return a state that pays for action 1; the other action, on `share`, ends it all."""
    kernel = np.zeros((horizon, 2, 2, 2))
    kernel[:, 0, 1, 0] = kernel[:, 0, 0, 1] = kernel[:, 1, :, 1] = 1.0
    rewards = np.zeros((horizon, 2, 2))
    rewards[:, 0, 1] = 1.0
    emissions = np.zeros((horizon, 2, 3))
    emissions[:, 0, :2], emissions[:, 1, 2] = [float(1 - share), float(share)], 1.0
    block = BlockMDP(EpisodicMDP(kernel, rewards, np.array([1.0, 0.0])), emissions)
    names = np.broadcast_to([0, 2], (horizon, 2))
    table = np.broadcast_to([1, 0, 0], (horizon, 3)).astype(int)
    return Emulated(block, table, ideal_emulator(block, names))


def sample_represented(tape: Tape, size: int) -> Represented:
    """Draw the forgetful chain half of the time, else representatives of a random one."""
    if tape.integer(0, 1):
        case = forgetful(tape.integer(1, 4), Fraction(tape.integer(1, 15), 16))
    else:
        block, table = blocks.sample_rich(tape, size)
        names = representatives(tape, block, 2 ** tape.integer(0, 2))
        case = Emulated(block, table, ideal_emulator(block, names))
    return Represented(case, _distance(case))


def _distance(case: Emulated) -> Fraction:
    """The largest total variation between how the policy and its representatives act."""
    block, names = case.block, case.emulator.observations
    average = fractions(blocks.averages(Rich(block, case.table)))
    steps = np.arange(len(names))[:, None]
    members = block.decoder[steps, names][:, None] == np.arange(block.latent.states)[:, None]
    taken = np.eye(block.latent.actions, dtype=int)[case.table[steps, names]]
    counts = np.einsum("hsn,hna->hsa", members.astype(int), taken).astype(object)
    played = counts / fractions(members.sum(axis=-1).astype(float))[..., None]
    return Fraction(np.abs(average - played).sum(axis=-1).max()) / 2


def _represented(represented: Represented, first: int) -> tuple[Side, Side]:
    case, distance = represented
    true, emulated = emulated_values(case, case.emulator)
    steps = range(first, first + case.block.latent.horizon)
    return abs(true - emulated), coupled(1 - distance, steps)


REPRESENTED = Theorem(
    id="agnostic/emulator-observation-policies",
    title="For policies of observations an emulator is as good as its representatives vote",
    source=SETTING,
    statement=(
        r"|V^\pi - \widehat V^\pi| \le \sum_{h=1}^{H}\bigl(1 - (1-\eta)^h\bigr),\qquad \eta = "
        r"\max_{h,s}\bigl\|\bar\pi_h(\cdot|s) - \widehat\pi_h(\cdot|s)\bigr\|_{\mathrm{TV}}"
    ),
    hypotheses=(
        r"$\bar\pi_h(a|s)$ the probability that an observation of $s$ calls for $a$, "
        r"$\widehat\pi_h(a|s)$ the share of its representatives that do",
        r"all rows of the emulator are right; rewards in $[0,1]$",
    ),
    kind="inequality",
    sample=sample_represented,
    sides=lambda represented: _represented(represented, 1),
    control=Control(
        name="no harm at once",
        explanation="As if a wrong action told one step later: exponents are one too small.",
        sides=lambda represented: _represented(represented, 0),
    ),
    notes=(
        r"With $n$ representatives drawn from the emissions $\eta$ is of order $\sqrt{\log(|\Pi| "
        r"H S)/n}$ for all policies at once. Attained by a chain that a wrong action ends."
    ),
    sharpness=0.999,
)


class Few(NamedTuple):
    """A horizon, the equally likely observations of the only latent state, representatives."""

    horizon: int
    observations: int
    representatives: int


def sample_few(tape: Tape, size: int) -> Few:
    """Draw up to three steps and four observations, some of them representatives."""
    observations = 2 ** tape.integer(1, 2)
    return Few(tape.integer(1, 3), observations, tape.choice([1, 2, 4][: observations // 2 + 1]))


def _few(few: Few, policies: PolicyClass) -> tuple[Side, Side]:
    horizon, total, kept = few
    rewards = np.broadcast_to([[0.0, 1.0]], (horizon, 1, 2))
    latent = EpisodicMDP(np.ones((horizon, 1, 2, 1)), rewards)
    block = BlockMDP(latent, np.full((horizon, 1, total), 1 / total))
    emulator = ideal_emulator(block, np.broadcast_to(np.arange(kept), (horizon, kept)))
    error = emulator_error(block.observed(), policies, emulator, arithmetic="rational")
    return error, horizon * (1 - Fraction(kept, total))


def few_sides(few: Few) -> tuple[Side, Side]:
    """Return the largest error over all policies that read the observation alike at all steps."""
    plans = np.array(list(product((0, 1), repeat=few.observations)))[:, None]
    table = np.broadcast_to(plans, (len(plans), few.horizon, few.observations))
    return _few(few, PolicyClass(table, 2))


def _few_latent(few: Few) -> tuple[Side, Side]:
    return _few(few, PolicyClass.constant(horizon=few.horizon, states=few.observations))


FEW = Theorem(
    id="agnostic/emulator-one-representative-fails",
    title="For policies of observations one representative is as bad as none",
    source=SETTING,
    statement=(
        r"\max_{\pi\in\Pi}|V^\pi - \widehat V^\pi| = H\,\Bigl(1 - \frac nN\Bigr) \quad\text{though "
        r"all rows of the emulator are right}"
    ),
    hypotheses=(
        r"one latent state with $N$ equally likely observations, action 1 pays 1",
        r"$n$ different representatives of each step, $\Pi$ all policies that read the "
        "observation, alike at all steps",
    ),
    kind="identity",
    sample=sample_few,
    sides=few_sides,
    control=Control(
        name="policies of latent states",
        explanation="Policies do not read the observation: then there is no error.",
        sides=_few_latent,
    ),
    notes=(
        r"At $n = 1$ the error is $H(1 - 1/N)$, nearly all there is to earn: that latent dynamics "
        "are known is not enough for agnostic learning."
    ),
)


FIRST = np.array([0, 0, 2, 2])
"""The first observation of each representative's latent state."""


class Drawn(NamedTuple):
    """A Block MDP of two steps whose emissions are alike in both, and a policy (2, X)."""

    block: BlockMDP
    table: IntArray


def sample_drawn(tape: Tape, size: int) -> Drawn:
    """Draw two latent states of two observations each."""
    latent = blocks.sample_latent(tape, 2, 2)
    emissions: FloatArray = np.repeat(blocks.sample_emissions(tape, 1, 2, 2), 2, axis=0)
    return Drawn(BlockMDP(latent, emissions), (tape.uniform((2, 4)) < 0.5).astype(int))


def _mean_emulated(drawn: Drawn, draws: IntArray, chances: FloatArray) -> Fraction:
    """The mean of emulated values: draws (D, 2, 4) of observations, their factors (D, K)."""
    # Only names differ between draws: all are run as one class on one model.
    even = np.broadcast_to(np.repeat(np.eye(2), 2, axis=1) / 2, (2, 2, 4))
    names = np.broadcast_to(np.arange(4), (2, 4))
    layout = ideal_emulator(BlockMDP(drawn.block.latent, even), names)
    tables = drawn.table[np.arange(2)[:, None], draws]
    found = class_values(layout.model, PolicyClass(tables, 2), arithmetic="rational").values
    return Fraction(found @ fractions(chances).prod(axis=1))


def unbiased_sides(drawn: Drawn) -> tuple[Side, Side]:
    """Return the mean of the emulated value over all draws of representatives, and the value."""
    signs = np.array(list(product((0, 1), repeat=8)))
    draws = signs.reshape(-1, 2, 4) + FIRST
    chance = drawn.block.emissions.sum(axis=1)
    chances = chance[np.arange(2)[:, None], draws].reshape(len(draws), -1)
    return _mean_emulated(drawn, draws, chances), blocks.observed_value(Rich(*drawn))


def _shared_draw(drawn: Drawn) -> tuple[Side, Side]:
    signs = np.array(list(product((0, 1), repeat=4)))
    draws = np.repeat((signs + FIRST)[:, None], 2, axis=1)
    chances = drawn.block.emissions[0].sum(axis=0)[draws[:, 0]]
    return _mean_emulated(drawn, draws, chances), blocks.observed_value(Rich(*drawn))


UNBIASED = Theorem(
    id="agnostic/emulator-unbiased",
    title="Representatives drawn anew at every step give unbiased values",
    source=SETTING,
    statement=r"\mathbb{E}\,\widehat V^\pi = V^\pi \quad\text{for every policy of observations}",
    hypotheses=(
        r"$n$ representatives of each latent state and step, drawn from its emission, all "
        "independent; here $n = 2$, all draws enumerated",
        "all rows of the emulator are right",
    ),
    kind="identity",
    sample=sample_drawn,
    sides=unbiased_sides,
    control=Control(
        name="one draw for both steps",
        explanation="Both steps emit alike and share their representatives, which correlates them.",
        sides=_shared_draw,
    ),
    notes="The value is linear in the actions of every state of every step: paths meet one each.",
    cost=30.0,
)


THEOREMS = (REPRESENTED, FEW, UNBIASED)
