"""Learning from data collected before: PEVI, DRPVI and R2PVI, pessimistic value iteration.

The estimates are those of the online algorithms with the bonus as a penalty: what the data do not
cover is held to be worth less. Sources: Jin, Yang and Wang (2021) for PEVI; Liu and Xu (2024,
offline) for DRPVI; Tang, Liu and Xu (2024) for R2PVI.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rltheory.analysis.arrays import (
    FloatArray,
    as_float_array,
    as_generator,
    check_finite,
    check_positive_integer,
    check_range,
    read_only,
)
from rltheory.linear_mdp import kernels, memory
from rltheory.linear_mdp.learner import Learner, Learnt
from rltheory.linear_mdp.rules import Model, Nominal, Settings, as_settings, split, world_of
from rltheory.linear_mdp.simulation import follow
from rltheory.linear_mdp.visits import Memory
from rltheory.tabular.policies import as_policy
from rltheory.tabular.uncertainty import Penalised
from rltheory.tabular.uncertainty.base import UncertaintySet


@dataclass(frozen=True, eq=False)
class Dataset:
    """Episodes of a finite-horizon MDP: states (K, H + 1), actions and rewards (K, H).

    Raises ValueError or TypeError naming what does not fit.
    """

    states: NDArray[np.int64]
    actions: NDArray[np.int64]
    rewards: FloatArray

    def __post_init__(self) -> None:
        actions = _indices(self.actions, "actions")
        if actions.ndim != 2 or not actions.size:
            raise ValueError(f"actions has shape {actions.shape}; expected (episodes, horizon)")
        episodes, horizon = actions.shape
        states = _indices(self.states, "states")
        if states.shape != (episodes, horizon + 1):
            raise ValueError(
                f"states has shape {states.shape}; expected ({episodes}, {horizon + 1})"
            )
        rewards = as_float_array(self.rewards, "rewards", actions.shape)
        check_finite(rewards, "rewards")
        for name, array in (("states", states), ("actions", actions), ("rewards", rewards)):
            object.__setattr__(self, name, read_only(array))

    def __len__(self) -> int:
        """Number of episodes K."""
        return len(self.actions)


def collect(
    model: Model, policy: Any = None, *, episodes: int, seed: int | np.random.Generator
) -> Dataset:
    """Sample episodes of the nominal model under a policy, the uniform one where not given.

    policy: (H, S) action indices or (H, S, A) rows. Raises ValueError or TypeError by name.
    """
    nominal, _ = split(model)
    count = check_positive_integer(episodes, "episodes")
    shape = nominal.rewards.shape
    rows = np.full(shape, 1.0 / shape[-1])
    if policy is not None:
        rows = as_policy(policy, np.ones(shape, dtype=bool))
    draws = as_generator(seed).random((count, 1 + 3 * nominal.horizon))
    states = np.empty((count, nominal.horizon + 1), dtype=np.int64)
    actions = np.empty((count, nominal.horizon), dtype=np.int64)
    follow(world_of(nominal), rows, draws, states, actions)
    steps = np.arange(nominal.horizon)
    return Dataset(states, actions, nominal.rewards[steps, states[:, :-1], actions])


def pevi(
    model: Model, data: Dataset | Memory, *, bonus: Any = 1.0, bonus_form: str = "elliptical",
    ridge: float = 1.0, known_rewards: bool = False, ceilings: ArrayLike | None = None,
) -> Learnt:  # fmt: skip
    """Run pessimistic value iteration: least squares less an elliptical penalty, no adversary.

    data: episodes, or what `memory` has of them or of infinitely many. The rest as in `lsvi_ucb`.
    Source: Jin, Yang and Wang (2021), Algorithm 2.
    """
    settings = Settings(
        name="PEVI", bonus=bonus, bonus_form=bonus_form, known_rewards=known_rewards,
        ceilings=ceilings,
    )  # fmt: skip
    return run_offline(split(model)[0], settings, data, ridge=ridge)


def drpvi(
    model: Model, data: Dataset | Memory, *, bonus: Any = 1.0, bonus_form: str = "factors",
    ridge: float = 1.0, ceilings: ArrayLike | None = None,
    uncertainty: UncertaintySet | None = None,
) -> Learnt:  # fmt: skip
    """Run pessimistic value iteration against the worst case of every factor.

    With a penalised set this is R2PVI. The rest is as in `dr_lsvi_ucb` and `pevi`.
    Sources: Liu and Xu (2024, offline), Algorithm 1; Tang, Liu and Xu (2024), Algorithm 1.
    """
    settings = Settings(
        name="DRPVI", bonus=bonus, bonus_form=bonus_form, known_rewards=True, ceilings=ceilings
    )
    return run_offline(model, settings, data, ridge=ridge, uncertainty=uncertainty)


def r2pvi(model: Model, data: Dataset | Memory, **settings: Any) -> Learnt:
    """Run R2PVI: `drpvi` of a model whose set is penalised. Raises ValueError if it is not one.

    Source: Tang, Liu and Xu (2024), Algorithm 1.
    """
    _, ball = split(model, settings.get("uncertainty"))
    if not isinstance(ball, Penalised):
        raise ValueError(f"uncertainty is {ball!r:.80}; expected a penalised set")
    return drpvi(model, data, **settings)


def run_offline(
    model: Model,
    settings: Settings,
    data: Dataset | Memory,
    *,
    ridge: float = 1.0,
    uncertainty: UncertaintySet | None = None,
) -> Learnt:
    """Estimate from data by an algorithm given by its settings, the bonus as a penalty.

    ridge: >= 0, without meaning for a `Memory`, which has its own; 0 needs data that excite every
    feature. Raises ValueError or TypeError naming what does not fit.
    """
    nominal, ball = split(model, uncertainty)
    rule = as_settings(settings).rule(nominal, ball)
    rule = rule._replace(scale=-rule.scale)
    norms = rule.bonus == kernels.ELLIPTICAL
    if isinstance(data, Memory):
        memory.check(data, nominal, norms=norms)
    else:
        data = summarise(nominal, data, ridge=ridge, norms=norms)
    learner = Learner(world_of(nominal), rule, data)
    learner.estimate()
    return learner.learnt()


def summarise(nominal: Nominal, data: Dataset, *, ridge: float, norms: bool = False) -> Memory:
    """Return the sums of a dataset that least squares needs. Errors as `run_offline`."""
    if not isinstance(data, Dataset):
        raise TypeError(f"data is {data!r:.80}; expected a Dataset, or its memory")
    weight = check_range(ridge, "ridge", 0.0, np.inf, include_high=False)
    states, actions, d = nominal.features.shape
    if data.actions.shape[1] != nominal.horizon:
        raise ValueError(
            f"data has episodes of {data.actions.shape[1]} steps; expected {nominal.horizon}"
        )
    for name, array, count in (("states", data.states, states), ("actions", data.actions, actions)):
        if array.max() >= count:
            raise ValueError(f"data.{name} holds {array.max()}; expected 0 to {count - 1}")
    gram = np.empty((nominal.horizon, d, d))
    cross = np.zeros((nominal.horizon, states, d))
    rewards = np.empty((nominal.horizon, d))
    for h in range(nominal.horizon):
        x = nominal.features[data.states[:, h], data.actions[:, h]]
        gram[h] = x.T @ x + weight * np.eye(d)
        np.add.at(cross[h], data.states[:, h + 1], x)
        rewards[h] = data.rewards[:, h] @ x
    visits = np.full(nominal.horizon, len(data))
    return memory.of_sums(nominal, gram, cross, rewards, visits, norms=norms)


def _indices(array: Any, name: str) -> NDArray[np.int64]:
    try:
        given = np.asarray(array)
    except ValueError as error:
        raise TypeError(f"{name} must be an array of integers; got {error}") from None
    if given.dtype.kind not in "iu":
        raise TypeError(f"{name} holds {given.dtype}; expected integers")
    if given.size and given.min() < 0:
        raise ValueError(f"{name} holds {given.min()}; expected integers of at least 0")
    return given.astype(np.int64)
