"""DOUHUA: a doubly optimistic actor-critic, whose critic follows the policy in every episode.

Its optimistic critic aims at the values of the present policy and is fitted before every episode;
the actor moves by exponential weights and is never reset.
Source: Tan, Fan and Wei (2025), by secondary accounts; see `settings` for what is derived here.
"""

from __future__ import annotations

from typing import Any

from rltheory.linear_mdp.actor_critic.runs import ActorCriticRun, run_actor_critic
from rltheory.linear_mdp.actor_critic.settings import Settings
from rltheory.tabular.mdp import EpisodicMDP


def douhua_settings(
    *,
    step: float | None = None,
    scale: float = 0.3,
    bonus: str = "hoeffding",
    confidence: float = 0.05,
    period: int = 1,
) -> Settings:
    """Return the settings of DOUHUA, the critic fitted every `period` episodes.

    step: of the exponential weights, the theory's sqrt(8 log A / T) / C where not given. scale,
    bonus, confidence: of the bonus, see `Settings`.
    """
    return Settings(
        name="DOUHUA",
        target="policy",
        bonus=bonus,
        scale=scale,
        confidence=confidence,
        switch="period",
        threshold=period,
        actor="weights",
        step=step,
    )


def douhua(
    mdp: EpisodicMDP,
    *,
    step: float | None = None,
    scale: float = 0.3,
    bonus: str = "hoeffding",
    confidence: float = 0.05,
    period: int = 1,
    **run: Any,
) -> ActorCriticRun:
    """Run DOUHUA; the keywords are those of `douhua_settings`, run those of `run_actor_critic`.

    Raises ValueError or TypeError naming what does not fit.
    """
    settings = douhua_settings(
        step=step, scale=scale, bonus=bonus, confidence=confidence, period=period
    )
    return run_actor_critic(mdp, settings, **run)
