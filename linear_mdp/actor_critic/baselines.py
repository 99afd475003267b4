"""The rivals of actor-critics in the same loop: UCBVI, LSVI-UCB, Q-learning, optimistic NPG.

Rewards are known to all of them, and next values are bounded by what can still be earned, so that
they differ by their principle alone; scales of the bonuses are the caller's.
"""

from __future__ import annotations

from typing import Any

from rltheory.linear_mdp.actor_critic.runs import ActorCriticRun, run_actor_critic
from rltheory.linear_mdp.actor_critic.settings import Settings
from rltheory.tabular.mdp import EpisodicMDP


def ucbvi(
    mdp: EpisodicMDP,
    *,
    bonus: str = "hoeffding",
    scale: float = 0.3,
    confidence: float = 0.05,
    **run: Any,
) -> ActorCriticRun:
    """Run UCBVI: optimistic value iteration after every episode, estimates only ever falling.

    bonus: "hoeffding" for UCBVI-CH, whose published scale is 7 sqrt(L) in units of this form;
    "freedman" for UCBVI-BF as published at scale 1; "bernstein" for its leading terms. run: see
    `run_actor_critic`. Source: Azar, Osband and Munos (2017), Algorithms 1 to 4, steps apart.
    """
    return run_actor_critic(
        mdp, ucbvi_settings(bonus=bonus, scale=scale, confidence=confidence), **run
    )


def ucbvi_settings(
    *, bonus: str = "hoeffding", scale: float = 0.3, confidence: float = 0.05
) -> Settings:
    """Return the settings of `ucbvi`."""
    names = {"hoeffding": "UCBVI-CH", "bernstein": "UCBVI-B", "freedman": "UCBVI-BF"}
    return Settings(
        name=names.get(bonus, "UCBVI"), bonus=bonus, scale=scale, confidence=confidence,
        monotone=True,
    )  # fmt: skip


def rare_ucbvi(
    mdp: EpisodicMDP,
    *,
    switch: str = "residual",
    threshold: float | None = None,
    scale: float = 0.3,
    confidence: float = 0.05,
    **run: Any,
) -> ActorCriticRun:
    """Run NORA with a greedy actor, the limit of large steps: rarely switching value iteration.

    switch, threshold: see `Settings`; run: see `run_actor_critic`. Source: after Bai, Xie, Jiang
    and Wang (2019), and GOLF of Jin, Liu and Miryoosefi (2021) on one-hot features.
    """
    settings = Settings(
        name="rare UCBVI", scale=scale, confidence=confidence, switch=switch, threshold=threshold
    )
    return run_actor_critic(mdp, settings, **run)


def tabular_lsvi_ucb(
    mdp: EpisodicMDP,
    *,
    scale: float = 0.3,
    ridge: float = 1.0,
    confidence: float = 0.05,
    **run: Any,
) -> ActorCriticRun:
    """Run LSVI-UCB on one-hot features: ridge regression of next values, an elliptical bonus.

    The bonus is scale * C sqrt(L) * (1 / (n + ridge))^(1/2). run: see `run_actor_critic`.
    Source: Jin, Yang, Wang and Jordan (2020), Algorithm 1.
    """
    settings = Settings(name="LSVI-UCB", scale=scale, ridge=ridge, confidence=confidence)
    return run_actor_critic(mdp, settings, **run)


def q_learning_ucb(
    mdp: EpisodicMDP,
    *,
    optimism: bool = True,
    scale: float = 0.1,
    confidence: float = 0.05,
    **run: Any,
) -> ActorCriticRun:
    """Run Q-learning with Hoeffding bonuses: one step of Q per transition, nothing is modelled.

    Rate (H + 1) / (H + n), bonus scale * C sqrt(H L / n), C what can be earned later. Without
    optimism there is no bonus and Q starts at the rewards. run: see `run_actor_critic`.
    Source: Jin, Allen-Zhu, Bubeck and Jordan (2018), Algorithm 1.
    """
    settings = Settings(
        name="Q-learning" if not optimism else "Q-learning UCB-H",
        bonus="hoeffding" if optimism else "none",
        scale=scale, confidence=confidence, switch="steps",
    )  # fmt: skip
    return run_actor_critic(mdp, settings, **run)


def q_learning_ucb_b(
    mdp: EpisodicMDP,
    *,
    scale: float = 0.1,
    minor: float = 1.0,
    confidence: float = 0.05,
    **run: Any,
) -> ActorCriticRun:
    """Run Q-learning with Bernstein bonuses, which follow the variance W of the next values.

    At a pair's n-th visit the bonus is (beta_n - (1 - rate) beta_(n-1)) / (2 rate), where beta_n =
    scale * min{sqrt(H (W + C^2 / H) L / n) + minor * C sqrt(H^5 S A) L / n, C sqrt(H L / n)}, in
    the paper's letters c_1 = c_2 = scale, H for C, minor = 1. There the second argument is the
    least until n > H^4 S A L, or nearly, and until then the bonus is about half that of
    `q_learning_ucb`; minor: smaller for variances to tell sooner. The rest is as there.
    Source: Jin, Allen-Zhu, Bubeck and Jordan (2018), Algorithm 2.
    """
    settings = Settings(
        name="Q-learning UCB-B", bonus="bernstein", scale=scale, minor=minor,
        confidence=confidence, switch="steps",
    )  # fmt: skip
    return run_actor_critic(mdp, settings, **run)


def optimistic_npg(
    mdp: EpisodicMDP,
    *,
    batch: int = 50,
    rounds: int = 5,
    step: float = 1.0,
    scale: float = 0.3,
    confidence: float = 0.05,
    **run: Any,
) -> ActorCriticRun:
    """Run optimistic natural policy gradient on the data of the policy itself.

    Every `batch` episodes of one policy, `rounds` times: evaluate the present policy on them, with
    a bonus, and take a step of exponential weights; then the data are thrown away. run: see
    `run_actor_critic`. Source: after Liu, Weisz, Gyorgy, Jin and Szepesvari (2023), whose
    parameters are not those here.
    """
    settings = Settings(
        name="optimistic NPG", target="policy", scale=scale, confidence=confidence,
        threshold=batch, forget=True, actor="weights", step=step, rounds=rounds,
    )  # fmt: skip
    return run_actor_critic(mdp, settings, **run)
