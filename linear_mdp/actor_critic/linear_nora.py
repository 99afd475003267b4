"""NORA with linear features: the ridge estimates of LSVI-UCB, rarely fitted, followed by an actor.

The critic is Q_h = clip(r_h + features . w_h + bonus), w_h the ridge regression of the critic's own
greatest next values, fitted when the determinant of a step's design has grown by a factor; then the
policy starts anew from uniform, and moves by exponential weights after every episode. Offline data
are in the design from the start: hybrid learning.
Source: Tan, Fan and Wei (2025), by its abstract; Abbasi-Yadkori, Pal and Szepesvari (2011), section
5.1, for the test; Jin, Yang, Wang and Jordan (2020) for the estimate.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from os import PathLike
from typing import Any

import numpy as np

from rltheory.analysis.arrays import (
    FloatArray,
    as_generator,
    check_positive_integer,
    check_progress,
    check_range,
    read_only,
)
from rltheory.linear_mdp import memory
from rltheory.linear_mdp.actor_critic.actor import restart
from rltheory.linear_mdp.actor_critic.linear_loop import State, stretch
from rltheory.linear_mdp.actor_critic.nora import nora_settings
from rltheory.linear_mdp.actor_critic.pieces import RunFile, play_through
from rltheory.linear_mdp.actor_critic.runs import ActorCriticRun, optimal_value
from rltheory.linear_mdp.actor_critic.state import FIRED, SWITCHES, Rule
from rltheory.linear_mdp.actor_critic.switching import due
from rltheory.linear_mdp.actor_critic.world import World
from rltheory.linear_mdp.actor_critic.world import world_of as table_of
from rltheory.linear_mdp.learner import Learner
from rltheory.linear_mdp.mdp import LinearMDP
from rltheory.linear_mdp.offline import Dataset, summarise
from rltheory.linear_mdp.rules import Settings as LinearSettings
from rltheory.linear_mdp.rules import world_of
from rltheory.linear_mdp.run_file import fingerprint, misplaced
from rltheory.linear_mdp.visits import Memory


def linear_nora(
    model: LinearMDP,
    *,
    bonus: Any = 0.1,
    step: float = 1.0,
    growth: float = 2.0,
    reset: bool = True,
    ridge: float = 1.0,
    episodes: int = 100,
    seed: int | np.random.Generator,
    offline: Dataset | Memory | None = None,
    save: str | PathLike[str] | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> ActorCriticRun:
    """Run NORA in a linear MDP with known rewards, every policy played evaluated exactly.

    bonus: scale of the elliptical bonus, >= 0, none at 0; a number or (H,). step: of the
    exponential weights, in 1 / reward. growth: > 1, the factor of a determinant at which the critic
    is fitted anew. reset: whether the policy then starts from uniform. ridge: > 0, or 0 with data
    offline that excite every feature. offline: episodes that the design starts from, or what
    `memory` has of them, its ridge included. save, progress: as in `run_actor_critic`. The model is
    spelt out, to play in and for evaluation.

    Returns an ActorCriticRun, its visits those online. Its bound on the switches is
    1 + sum_h d log(1 + T m_h / d) / log(growth), m_h the largest x' G^-1 x of a feature x for the
    design G of step h at first: the largest squared norm over the ridge without offline data.
    Raises ValueError or TypeError naming what does not fit; OSError if the file cannot be written.
    """
    if not isinstance(model, LinearMDP):
        raise TypeError(f"model is {model!r:.80}; expected a LinearMDP")
    count = check_positive_integer(episodes, "episodes")
    factor = check_range(growth, "growth", np.nextafter(1.0, 2.0), 1e150)
    check_progress(progress)
    critic = LinearSettings(
        name="NORA", bonus=bonus, bonus_form="elliptical", known_rewards=True
    ).rule(model, None)  # fmt: skip
    settings = nora_settings(
        switch="determinant",
        threshold=float(np.log(factor)),
        scale=float(critic.scale.max()),
        step=check_range(step, "step", 0.0, 1e150),
        reset=reset,
    )
    mdp = model.to_tabular()
    table = table_of(mdp)
    rule = settings.rule(table, count)
    root = as_generator(seed).integers(2**63, size=2)
    learner = Learner(world_of(model), critic, _design(model, offline, ridge))
    state = _untaught(table)
    bound = _switch_bound(model, learner.memory, count, factor)
    file = None
    if save is not None:
        parts = tuple(table), tuple(learner.world), tuple(critic), tuple(rule)
        run = fingerprint(*parts, tuple(learner.memory), count, root)
        file = RunFile(save, run, misplaced)

    optimum = optimal_value(mdp)
    measured = play_through(
        partial(_play, table, rule, learner, state),
        {**learner.memory._asdict(), **state._asdict()}, episodes=count,
        width=1 + 2 * mdp.horizon, root=root, optimum=optimum, file=file, progress=progress,
    )  # fmt: skip
    return ActorCriticRun(
        algorithm="linear NORA" if offline is None else "hybrid linear NORA",
        optimum=optimum,
        values=read_only(measured.values),
        promises=read_only(measured.promises),
        returns=read_only(measured.returns),
        switches=read_only(np.flatnonzero(measured.switched)),
        bound=bound,
        action_values=read_only(state.action_values),
        policy=read_only(state.policy),
        visits=read_only(state.visits),
        settings=settings,
    )


def _play(
    table: World, rule: Rule, learner: Learner, state: State, draws: FloatArray, *measured: Any
) -> None:
    """Play an episode for each row of draws and fill the parts of `Measured`."""
    *noted, switched = measured
    at = 0
    while at < len(draws):
        if due(rule, state):
            _renew(table, rule, learner, state)
            switched[at] = True
        rest = (array[at:] for array in (draws, *noted))
        at += stretch(table, learner.world, rule, learner.memory, state, *rest)


def _renew(table: World, rule: Rule, learner: Learner, state: State) -> None:
    """Fit the critic anew, and let the policy start again where the rule says so."""
    learner.estimate()
    state.action_values[...] = learner.learnt().action_values
    if rule.reset:
        restart(table, state)
    state.spent[:] = 0.0
    state.clock[SWITCHES] += 1.0
    state.clock[FIRED] = 0.0


def _untaught(table: World) -> State:
    """Return the state of a learner that has played nothing: a uniform policy, no critic yet."""
    visits, action_values, logits, policy = np.zeros((4, *table.rewards.shape))
    policy[...] = 1.0 / table.rewards.shape[2]
    return State(
        visits=visits, spent=np.zeros(len(table.lives)), action_values=action_values,
        logits=logits, policy=policy, clock=np.zeros(6),
    )  # fmt: skip


def _design(model: LinearMDP, offline: Any, ridge: float) -> Memory:
    """Return the design that learning starts from, of its own memory, as it is written to."""
    if offline is None:
        return memory.empty(model, ridge, norms=True)
    if isinstance(offline, Memory):
        memory.check(offline, model, norms=True)
        return Memory(*(array.copy() for array in offline))
    if not isinstance(offline, Dataset):
        raise TypeError(f"offline is {offline!r:.80}; expected a Dataset, or its memory")
    return summarise(model, offline, ridge=ridge, norms=True)


def _switch_bound(model: LinearMDP, design: Memory, episodes: int, growth: float) -> float:
    """Return what the switches are at most: see `linear_nora`.

    Derived here: with G the design at first, M what a run adds, det(G + M) / det(G) is the
    determinant of I + G^(-1/2) M G^(-1/2), at most what it would be if its trace were spread
    evenly; and each switch takes its factor.
    """
    d = model.dimension
    grown = d * np.log1p(episodes * design.norms.max(axis=(1, 2)) / d)
    return float(min(1.0 + grown.sum() / np.log(growth), episodes))
