"""Policy emulators of Block MDPs: what errors of their rows cost, and what they are good for.

Sides are Fractions, from exact backward induction in the MDP of observations and the emulator.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.arrays import IntArray
from rltheory.tabular.agnostic.block_mdp import BlockMDP
from rltheory.tabular.agnostic.class_values import class_values
from rltheory.tabular.agnostic.emulator import Emulator, ideal_emulator
from rltheory.tabular.agnostic.policy_class import PolicyClass
from rltheory.tabular.mdp import EpisodicMDP
from rltheory.theory.records import agnostic_blocks as blocks
from rltheory.theory.records.agnostic_blocks import SETTING, Rich
from rltheory.theory.sides import Side, supremum
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Emulated(NamedTuple):
    """A Block MDP, a policy (H, X) of its observations, and an emulator of it."""

    block: BlockMDP
    table: IntArray
    emulator: Emulator


def representatives(tape: Tape, block: BlockMDP, each: int) -> IntArray:
    """Draw `each` observations of every latent state and step among those emitted, (H, S each)."""
    horizon, states = block.latent.horizon, block.latent.states
    return np.array(
        [
            [tape.choice(np.flatnonzero(block.emissions[h, s]).tolist())
             for s in range(states) for _ in range(each)]
            for h in range(horizon)
        ]
    )  # fmt: skip


def lifted(block: BlockMDP, latent_table: IntArray) -> IntArray:
    """Return a policy (H, S) of latent states as one of observations, (H, X)."""
    policies = PolicyClass(latent_table[None], block.latent.actions)
    return np.asarray(block.lifted(policies).table[0])


def sample_latent_policy(tape: Tape, size: int) -> Emulated:
    """Draw one, two or four representatives of each latent state, and a latent policy."""
    block = blocks.sample_block(tape, size)
    names = representatives(tape, block, 2 ** tape.integer(0, 2))
    shape = (block.latent.horizon, block.latent.states)
    table = lifted(block, (tape.uniform(shape) < 0.5).astype(int))
    return Emulated(block, table, ideal_emulator(block, names))


def emulated_values(case: Emulated, emulator: Emulator) -> tuple[Fraction, Fraction]:
    """Return what the policy is worth, and what an emulator says of it."""
    policies = PolicyClass(case.table[None], case.block.latent.actions)
    emulated = emulator.values(policies, arithmetic="rational")[0]
    return blocks.observed_value(Rich(case.block, case.table)), Fraction(emulated)


def exact_sides(case: Emulated) -> tuple[Side, Side]:
    """Return the value and the emulated value."""
    return emulated_values(case, case.emulator)


def _wrong_block(case: Emulated) -> tuple[Side, Side]:
    model = case.emulator.model
    rewards, kernels = model.rewards.copy(), model.transitions.copy()
    rewards[0, 0], kernels[0, 0] = rewards[0, -1], kernels[0, -1]
    wrong = Emulator(EpisodicMDP(kernels, rewards, model.initial), case.emulator.observations)
    return emulated_values(case, wrong)


LATENT = Theorem(
    id="agnostic/emulator-latent-policies",
    title="For policies of latent states one representative of each state is enough",
    source=SETTING,
    statement=r"V^\pi = \widehat V^\pi \quad\text{for all } \pi \text{ that act by latent states}",
    hypotheses=(
        "a Block MDP; emulator states are observations, at least one of each latent state and step",
        "emulator states move and earn as their latent state does, and what goes to a latent state "
        "is shared equally by its representatives",
    ),
    kind="identity",
    sample=sample_latent_policy,
    sides=exact_sides,
    control=Control(
        name="one wrong block",
        explanation="A single emulator state of the first step has another latent state's rows.",
        sides=_wrong_block,
    ),
)


class Noisy(NamedTuple):
    """A Block MDP and a latent policy, its emulator, and by how much the emulator is off."""

    case: Emulated
    moves: Fraction
    pay: Fraction


def leaking(horizon: int, moves: Fraction, pay: Fraction) -> Noisy:
    """Return a state that pays 1 for ever; its emulator leaks to one that pays nothing."""
    stay = np.zeros((horizon, 2, 2, 2))
    stay[:, 0, :, 0] = stay[:, 1, :, 1] = 1.0
    rewards = np.zeros((horizon, 2, 2))
    rewards[:, 0] = 1.0
    block = BlockMDP(
        EpisodicMDP(stay, rewards, np.array([1.0, 0.0])),
        np.broadcast_to(np.eye(2), (horizon, 2, 2)),
    )
    leak = stay.copy()
    leak[:, 0, :] = [float(1 - moves), float(moves)]
    first = np.array([float(1 - moves), float(moves)])
    model = EpisodicMDP(leak, rewards * float(1 - pay), first)
    names = np.broadcast_to(np.arange(2), (horizon, 2))
    return Noisy(Emulated(block, np.zeros((horizon, 2), int), Emulator(model, names)), moves, pay)


def sample_noisy(tape: Tape, size: int) -> Noisy:
    """Draw the leak half of the time, else an emulator mixed with noise."""
    moves, pay = (Fraction(tape.integer(0, 16), 16) for _ in range(2))
    if tape.integer(0, 1):
        return leaking(tape.integer(1, 4), moves, pay)
    case = sample_latent_policy(tape, size)
    model, (t, u) = case.emulator.model, (float(moves), float(pay))
    noisy = EpisodicMDP(
        (1 - t) * model.transitions + t * tape.simplex(model.transitions.shape),
        (1 - u) * model.rewards + u * tape.dyadic(model.rewards.shape),
        (1 - t) * model.initial + t * tape.simplex(model.states),
    )
    return Noisy(case._replace(emulator=Emulator(noisy, case.emulator.observations)), moves, pay)


def coupled(agreement: Fraction, exponents: range, pay: Fraction = Fraction(0)) -> Fraction:
    """Return the sum over the exponents k of 1 - agreement^k (1 - pay)."""
    return sum((1 - agreement**k * (1 - pay) for k in exponents), Fraction(0))


def _noisy(noisy: Noisy, first: int) -> tuple[Side, Side]:
    true, emulated = emulated_values(noisy.case, noisy.case.emulator)
    steps = range(first, first + noisy.case.block.latent.horizon)
    return abs(true - emulated), coupled(1 - noisy.moves, steps, noisy.pay)


MODEL_ERROR = Theorem(
    id="agnostic/emulator-model-error",
    title="Errors of an emulator's rows add up as those of a coupling that breaks",
    source="Derived here, by coupling; the linear bound of simulation lemmas is larger",
    statement=(
        r"|V^\pi - \widehat V^\pi| \le \sum_{h=1}^{H}\bigl(1 - (1-\eta)^h(1-\rho)\bigr) \le "
        r"H\rho + \tfrac{H(H+1)}{2}\,\eta"
    ),
    hypotheses=(
        r"an emulator whose states have the right latent states, and whose rows, the first "
        r"distribution too, are within $\eta$ of the right ones in total variation",
        r"rewards in $[0,1]$, those of the emulator within $\rho$",
        r"$\pi$ acts by latent states",
    ),
    kind="inequality",
    sample=sample_noisy,
    sides=lambda noisy: _noisy(noisy, 1),
    control=Control(
        name="a right first state",
        explanation="The first distribution is taken for right: exponents are one too small.",
        sides=lambda noisy: _noisy(noisy, 0),
    ),
    notes=(
        "Attained by a state that pays for ever, whose emulator leaks. The right rows are those of "
        "agnostic/emulator-latent-policies."
    ),
    sharpness=0.999,
)


class Choice(NamedTuple):
    """An MDP, a class of policies and an emulator that ranks them."""

    mdp: EpisodicMDP
    policies: PolicyClass
    emulator: Emulator


def sample_choice(tape: Tape, size: int) -> Choice:
    """Draw a tie that should not be one half of the time, else a class and a noisy emulator."""
    if tape.integer(0, 1):
        gap, least = tape.integer(1, 7) / 16, tape.integer(0, 2) / 16
        kernel = np.ones((1, 1, 2, 1))
        model = EpisodicMDP(kernel, np.full((1, 1, 2), least + gap))
        true = EpisodicMDP(kernel, np.array([[[least, least + 2 * gap]]]))
        emulator = Emulator(model, np.zeros((1, 1), dtype=np.int64))
        return Choice(true, PolicyClass.constant(horizon=1, states=1), emulator)
    block = blocks.sample_block(tape, size)
    policies = (tape.uniform((4, block.latent.horizon, block.observations)) < 0.5).astype(int)
    emulator = ideal_emulator(block, representatives(tape, block, 1))
    return Choice(block.observed(), PolicyClass(policies, 2), emulator)


def _chosen(choice: Choice, factor: int) -> tuple[Side, Side]:
    true = class_values(choice.mdp, choice.policies, arithmetic="rational").values
    emulated = choice.emulator.values(choice.policies, arithmetic="rational")
    return true.max() - true[int(np.argmax(emulated))], factor * supremum(true - emulated)


SELECTION = Theorem(
    id="agnostic/emulator-selection",
    title="The best policy in an emulator loses at most twice the emulator's error",
    source="Folklore",
    statement=(
        r"\max_{\pi\in\Pi}V^\pi - V^{\widehat\pi} \le 2\max_{\pi\in\Pi}|V^\pi - \widehat V^\pi|,"
        r"\qquad \widehat\pi\in\arg\max_{\pi\in\Pi}\widehat V^\pi"
    ),
    hypotheses=(r"any finite class $\Pi$, any emulator",),
    kind="inequality",
    sample=sample_choice,
    sides=lambda choice: _chosen(choice, 2),
    control=Control(
        name="once",
        explanation="The loss is claimed to be no more than the error itself.",
        sides=lambda choice: _chosen(choice, 1),
    ),
    notes="Attained by two policies that tie in the emulator.",
    sharpness=0.999,
)


THEOREMS = (LATENT, MODEL_ERROR, SELECTION)
