"""NORA with linear features: the ridge estimates of LSVI-UCB, rarely fitted, followed by an actor.

The critic is Q_h = clip(r_h + features . w_h + bonus), w_h the ridge regression of the critic's own
greatest next values, fitted when the determinant of a step's design has grown by a factor; then the
policy starts anew from uniform, and moves by exponential weights after every episode.
Source: Tan, Fan and Wei (2025), by its abstract; Abbasi-Yadkori, Pal and Szepesvari (2011), section
5.1, for the test; Jin, Yang, Wang and Jordan (2020) for the estimate.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rltheory.analysis.arrays import (
    FloatArray,
    as_generator,
    check_positive_integer,
    check_range,
    read_only,
)
from rltheory.linear_mdp import memory
from rltheory.linear_mdp.actor_critic.nora import nora_settings
from rltheory.linear_mdp.actor_critic.runs import ActorCriticRun, optimal_value
from rltheory.linear_mdp.actor_critic.tabular_kernels import evaluate
from rltheory.linear_mdp.actor_critic.world import world_of as table_of
from rltheory.linear_mdp.learner import Learner
from rltheory.linear_mdp.mdp import LinearMDP
from rltheory.linear_mdp.rules import Settings as LinearSettings
from rltheory.linear_mdp.rules import world_of
from rltheory.linear_mdp.simulation import follow
from rltheory.linear_mdp.visits import record


def linear_nora(
    model: LinearMDP,
    *,
    bonus: float = 0.1,
    step: float = 1.0,
    growth: float = 2.0,
    reset: bool = True,
    ridge: float = 1.0,
    episodes: int = 100,
    seed: int | np.random.Generator,
) -> ActorCriticRun:
    """Run NORA in a linear MDP with known rewards, every policy played evaluated exactly.

    bonus: scale of the elliptical bonus, >= 0, none at 0. step: of the exponential weights, in
    1 / reward. growth: > 1, the factor of a determinant at which the critic is fitted anew. reset:
    whether the policy then starts from uniform. ridge: > 0. The model is spelt out for evaluation.

    Returns an ActorCriticRun, whose bound on the switches is
    1 + H d log(1 + T m / (ridge d)) / log(growth), m the largest squared norm of features.
    Raises ValueError or TypeError naming what does not fit.
    """
    if not isinstance(model, LinearMDP):
        raise TypeError(f"model is {model!r:.80}; expected a LinearMDP")
    count = check_positive_integer(episodes, "episodes")
    eta = check_range(step, "step", 0.0, 1e150)
    factor = check_range(growth, "growth", np.nextafter(1.0, 2.0), 1e150)
    if not isinstance(reset, bool | np.bool_):
        raise TypeError(f"reset is {reset!r}; expected True or False")
    scale = check_range(bonus, "bonus", 0.0, 1e150)
    root = as_generator(seed).integers(2**63, size=2)
    fit = LinearSettings(
        name="NORA", bonus=scale, bonus_form="elliptical", known_rewards=True
    )  # fmt: skip
    learner = Learner(
        world_of(model), fit.rule(model, None), memory.empty(model, ridge, norms=True)
    )
    mdp = model.to_tabular()
    table = table_of(mdp)
    horizon, states, actions = mdp.rewards.shape
    logits, visits = np.zeros((2, horizon, states, actions))
    then = np.full(horizon, -np.inf)
    q = np.empty(0)
    values, promises, returns = np.zeros((3, count))
    switches = []
    draws = np.empty(0)
    for k in range(count):
        if k % 256 == 0:
            draws = np.random.default_rng([*root, k // 256]).random((256, 1 + 3 * horizon))
        now = np.linalg.slogdet(learner.memory.gram)[1]
        if (now - then > np.log(factor) + 1e-9).any():
            learner.estimate()
            q, then = learner.learnt().action_values, now
            switches.append(k)
            logits = np.zeros_like(logits) if reset else logits
        policy = _softmax(logits)
        values[k] = evaluate(table, policy)
        promises[k] = mdp.initial @ q[0].max(axis=-1)
        returns[k] = _play(learner, policy, draws[k % 256], visits)
        logits = logits + eta * q
    dimension = model.dimension
    most = float(np.square(model.features).sum(axis=-1).max())
    bound = horizon * dimension * np.log1p(count * most / (ridge * dimension)) / np.log(factor)
    return ActorCriticRun(
        algorithm="linear NORA",
        optimum=optimal_value(mdp),
        values=read_only(values),
        promises=read_only(promises),
        returns=read_only(returns),
        switches=read_only(np.array(switches, dtype=np.int64)),
        bound=float(min(1.0 + bound, count)),
        action_values=q,
        policy=read_only(_softmax(logits)),
        visits=read_only(visits),
        settings=nora_settings(
            switch="determinant",
            scale=scale,
            step=eta,
            reset=bool(reset),
            threshold=float(np.log(factor)),
        ),
    )


def _softmax(logits: FloatArray) -> FloatArray:
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def _play(learner: Learner, policy: FloatArray, draws: FloatArray, visits: FloatArray) -> float:
    """Play and record an episode; return its return."""
    horizon = len(policy)
    states, actions = np.zeros((1, horizon + 1), np.int64), np.zeros((1, horizon), np.int64)
    follow(learner.world, policy, draws[None], states, actions)
    earned = 0.0
    for h in range(horizon):
        s, a, y = states[0, h], actions[0, h], states[0, h + 1]
        reward: Any = learner.world.rewards[h, s, a]
        record(learner.memory, learner.world, h, s, a, reward, y)
        visits[h, s, a] += 1.0
        earned += float(reward)
    return earned
