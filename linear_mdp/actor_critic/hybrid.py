"""Hybrid learning: online algorithms whose critic starts from offline data, and what it saves.

Hybrid NORA is NORA with the offline transitions in its counts, so that bonuses are small where the
data have been. NOAH and the hybrid Q-learning baseline use no bonus: they rely on the coverage of
the data. Sources: Tan, Fan and Wei (2025), reconstructed from its abstract; Song, Zhou, Sekhari,
Bagnell, Krishnamurthy and Sun (2023) for Hy-Q, here with pooled data instead of equal batches.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rltheory.analysis.arrays import check_range
from rltheory.linear_mdp.actor_critic.baselines import ucbvi
from rltheory.linear_mdp.actor_critic.nora import nora, nora_settings
from rltheory.linear_mdp.actor_critic.offline_data import OfflineData, as_visits
from rltheory.linear_mdp.actor_critic.runs import ActorCriticRun, run_actor_critic
from rltheory.linear_mdp.actor_critic.settings import Settings
from rltheory.tabular.mdp import EpisodicMDP


def hybrid_nora(mdp: EpisodicMDP, data: OfflineData | Any, **run: Any) -> ActorCriticRun:
    """Run NORA from offline data, or their counts (H, S, A, S); keywords as in `nora`."""
    return nora(mdp, offline=as_visits(data, mdp), **run)


def hybrid_ucbvi(mdp: EpisodicMDP, data: OfflineData | Any, **run: Any) -> ActorCriticRun:
    """Run UCBVI from offline data; keywords as in `ucbvi`."""
    return ucbvi(mdp, offline=as_visits(data, mdp), **run)


def noah(
    mdp: EpisodicMDP,
    data: OfflineData | Any,
    *,
    target: str = "greatest",
    step: float | None = None,
    threshold: float | None = None,
    **run: Any,
) -> ActorCriticRun:
    """Run NOAH: an actor-critic without optimism, on offline and online data.

    target: "greatest" for a critic of Q* that is rarely refreshed, the policy reset then; "policy"
    for one of the present policy, refreshed in every episode. Pairs without data are held to be
    followed by nothing. step, threshold: as in `Settings`; run: as in `run_actor_critic`.
    Raises ValueError or TypeError naming what does not fit.
    """
    if target == "greatest":
        known = nora_settings(optimism=False, step=step, threshold=threshold)
        settings = Settings(**{**vars(known), "name": "NOAH"})
    elif target == "policy":
        if threshold is not None:
            raise ValueError("threshold is given; expected none with target 'policy'")
        settings = Settings(
            name="NOAH for the policy", target="policy", bonus="none", actor="weights", step=step
        )
    else:
        raise ValueError(f"target is {target!r:.80}; expected 'greatest' or 'policy'")
    return run_actor_critic(mdp, settings, offline=as_visits(data, mdp), **run)


def hybrid_q(mdp: EpisodicMDP, data: OfflineData | Any, **run: Any) -> ActorCriticRun:
    """Run the hybrid Q-learning baseline: fitted Q-iteration before every episode, greedy.

    On all pairs of state and action as features, fitting is value iteration on the empirical
    kernel of offline and online data together; there is no bonus. run: as in `run_actor_critic`.
    """
    settings = Settings(name="Hy-Q", bonus="none")
    return run_actor_critic(mdp, settings, offline=as_visits(data, mdp), **run)


def episodes_needed(run: ActorCriticRun, accuracy: float) -> float:
    """Return the least k > 0 for which the first k policies lose at most `accuracy` on average.

    So the uniform mixture of these policies is that good; inf if the run does not get there.
    """
    level = check_range(accuracy, "accuracy", 0.0, np.inf, include_high=False)
    good = run.regret <= level * np.arange(1, run.episodes + 1)
    return float(good.argmax() + 1) if good.any() else float("inf")
