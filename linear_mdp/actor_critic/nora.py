"""NORA: an optimistic actor-critic whose critic aims at Q*, is rarely switched, and resets it.

Between two switches the critic is fixed and the actor follows it by exponential weights; when the
data speak against the critic, it is fitted anew and the policy starts again from uniform.
Source: Tan, Fan and Wei (2025), by its abstract; see `settings` for what is derived here.
"""

from __future__ import annotations

from typing import Any

from rltheory.linear_mdp.actor_critic.runs import ActorCriticRun, run_actor_critic
from rltheory.linear_mdp.actor_critic.settings import Settings
from rltheory.tabular.mdp import EpisodicMDP


def nora_settings(
    *,
    optimism: bool = True,
    reset: bool = True,
    switch: str = "residual",
    threshold: float | None = None,
    step: float | None = None,
    scale: float = 0.3,
    bonus: str = "hoeffding",
    confidence: float = 0.05,
) -> Settings:
    """Return the settings of NORA, or of a control that goes without optimism or resets.

    switch: the test of the critic, in `SWITCHES`; threshold: how strict it is, see `THRESHOLDS`.
    step: of the exponential weights, the theory's where not given. scale, bonus, confidence: of the
    bonus, see `Settings`.
    """
    lacks = [word for word, has in (("optimism", optimism), ("resets", reset)) if not has]
    return Settings(
        name="NORA" + "".join(f", no {word}" for word in lacks),
        target="greatest",
        bonus=bonus if optimism else "none",
        scale=scale,
        confidence=confidence,
        switch=switch,
        threshold=threshold,
        actor="weights",
        step=step,
        reset=reset,
    )


def nora(
    mdp: EpisodicMDP,
    *,
    optimism: bool = True,
    reset: bool = True,
    switch: str = "residual",
    threshold: float | None = None,
    step: float | None = None,
    scale: float = 0.3,
    bonus: str = "hoeffding",
    confidence: float = 0.05,
    **run: Any,
) -> ActorCriticRun:
    """Run NORA; the keywords are those of `nora_settings`, run those of `run_actor_critic`.

    Raises ValueError or TypeError naming what does not fit.
    """
    settings = nora_settings(
        optimism=optimism, reset=reset, switch=switch, threshold=threshold, step=step, scale=scale,
        bonus=bonus, confidence=confidence,
    )  # fmt: skip
    return run_actor_critic(mdp, settings, **run)
