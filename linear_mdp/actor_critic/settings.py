"""Actor-critics and their rivals as data: what of the shared loop sets one apart.

NORA and DOUHUA are known to us by the abstract of Tan, Fan and Wei (2025): optimism, an
off-policy critic aimed at Q*, rarely switched, the policy reset at a switch; or, doubly optimistic,
a critic of the present policy in every episode. The rest is derived here: on one-hot features the
confidence set of squared residuals is an ellipsoid along the axes, and its optimistic member is the
estimate plus a bonus.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rltheory.analysis.arrays import check_positive_integer, check_range
from rltheory.linear_mdp.actor_critic import state
from rltheory.linear_mdp.actor_critic.state import Rule
from rltheory.linear_mdp.actor_critic.world import World, live_pairs

TARGETS = {"greatest": state.GREATEST, "policy": state.POLICY}
"""What the critic aims at: Q*, off the policy, or Q of the present policy."""

BONUSES = {
    "none": state.NO_BONUS,
    "hoeffding": state.HOEFFDING,
    "bernstein": state.BERNSTEIN,
    "freedman": state.FREEDMAN,
}
"""Forms of the bonus, times its scale, for n visits, next values in [0, C], the logarithm L and
the empirical variance V of next values: 0; C sqrt(L / n); sqrt(2 L V / n) + 7 C L / (3 n); that of
UCBVI-BF, with its last term's 100^2 H^3 S^2 A L^2 / N in units of C^2 for H^2. Where the critic
learns by steps: 0; C sqrt(H L / n); that of UCB-B, see `q_learning_ucb_b`; the last one is not."""

SWITCHES = {
    "period": state.PERIOD,
    "counts": state.COUNTS,
    "determinant": state.DETERMINANT,
    "residual": state.RESIDUAL,
    "steps": state.NEVER,
}
"""When the critic is refreshed. "period": every `threshold` episodes. "counts": when the visits of
a pair are `threshold` times those at the last refresh. "determinant": when log det(I + counts) of a
step has grown by more than `threshold`. "residual": when the squared residuals of a step exceed
`threshold` times what they are at most just after a refresh. "steps": by every step played."""

ACTORS = {"greedy": state.GREEDY, "weights": state.WEIGHTS}

THRESHOLDS = {"period": 1.0, "counts": 2.0, "determinant": np.log(2.0), "residual": 5.0, "steps": 1}
"""Thresholds where none is given."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """An algorithm of the shared loop.

    name: its name. target: in `TARGETS`. bonus: a form in `BONUSES`, its scale in units of the
    form. minor: times the term of order 1 / n of the Bernstein bonus of learning by steps, 1 in
    the theory. confidence: probability with which bounds may fail, in the logarithm
    L = log(5 H S A T / confidence). ridge: added to visits, >= 0, as in least squares with one-hot
    features. monotone: whether estimates may only fall. switch: in `SWITCHES`; threshold: of the
    test, > 0, see `THRESHOLDS`. forget: whether a refresh uses data once and throws them away.
    actor: "greedy" or "weights"; step: of the exponential weights, in 1 / reward, the theory's
    where not given, see `theory_step`. reset: whether a switch resets the policy to uniform.
    rounds: 0 for a step of the actor after every episode; k for k rounds of critic and actor at
    every refresh.
    """

    name: str
    target: str = "greatest"
    bonus: str = "hoeffding"
    scale: float = 0.3
    minor: float = 1.0
    confidence: float = 0.05
    ridge: float = 0.0
    monotone: bool = False
    switch: str = "period"
    threshold: float | None = None
    forget: bool = False
    actor: str = "greedy"
    step: float | None = None
    reset: bool = False
    rounds: int = 0

    def rule(self, world: World, episodes: int) -> Rule:
        """Check the settings and return their compiled form, tuned to a number of episodes.

        Raises ValueError or TypeError naming what does not fit.
        """
        _check_choice(self.target, "target", TARGETS)
        _check_choice(self.bonus, "bonus", BONUSES)
        _check_choice(self.switch, "switch", SWITCHES)
        _check_choice(self.actor, "actor", ACTORS)
        for name in ("monotone", "forget", "reset"):
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise TypeError(f"{name} is {getattr(self, name)!r}; expected True or False")
        least = np.nextafter(0.0, 1.0)
        threshold = check_range(self._threshold, "threshold", least, np.inf)
        if self.switch == "counts" and threshold <= 1.0:
            raise ValueError(f"threshold is {threshold:g}; expected a factor above 1")
        if self.switch == "period":
            threshold = float(check_positive_integer(int(threshold), "threshold"))
        if self.rounds != 0:
            check_positive_integer(self.rounds, "rounds")
        if self.actor == "greedy" and (self.step is not None or self.rounds or self.reset):
            raise ValueError("step, rounds and reset are of the actor 'weights'; actor is 'greedy'")
        by_steps = self.switch == "steps"
        if by_steps and (self.target, self.actor) != ("greatest", "greedy"):
            raise ValueError("switch 'steps' is Q-learning: expected target 'greatest', 'greedy'")
        if by_steps and self.bonus == "freedman":
            raise ValueError("bonus is 'freedman' with switch 'steps'; expected another one")
        if self.minor != 1.0 and not (by_steps and self.bonus == "bernstein"):
            raise ValueError("minor is of the bonus 'bernstein' with switch 'steps' alone")
        if self.target == "policy" and self.actor == "greedy":
            raise ValueError("target 'policy' needs the actor 'weights'; actor is 'greedy'")
        step = theory_step(self, world, episodes) if self.step is None else self.step
        return Rule(
            target=TARGETS[self.target],
            bonus=BONUSES[self.bonus],
            scale=check_range(self.scale, "scale", 0.0, 1e150),
            minor=check_range(self.minor, "minor", 0.0, 1e150),
            logarithm=logarithm(world, episodes, self.confidence),
            ridge=check_range(self.ridge, "ridge", 0.0, 1e150),
            monotone=bool(self.monotone),
            switch=SWITCHES[self.switch],
            threshold=threshold,
            forget=bool(self.forget),
            actor=ACTORS[self.actor],
            step=check_range(step, "step", 0.0, 1e150),
            reset=bool(self.reset),
            rounds=int(self.rounds),
        )

    @property
    def _threshold(self) -> float:
        return float(THRESHOLDS[self.switch] if self.threshold is None else self.threshold)


def as_settings(settings: Any) -> Settings:
    """Return settings as they are. Raises TypeError for another type."""
    if not isinstance(settings, Settings):
        raise TypeError(f"settings is {settings!r:.80}; expected Settings")
    return settings


def logarithm(world: World, episodes: int, confidence: float) -> float:
    """Return log(5 H S A T / confidence), T the episodes; S A pairs that can occur, on average."""
    share = check_range(confidence, "confidence", 1e-300, 1.0)
    return float(np.log(5.0 * live_pairs(world).sum() * episodes / share))


def theory_step(settings: Settings, world: World, episodes: int) -> float:
    """Return the step of exponential weights that Hedge's bound is least at, in 1 / reward.

    sqrt(8 K log A / T) / C for gains in [0, C], T episodes and K switches at which the policy
    starts anew, the bound on them if the policy is reset, 1 if not. Source: Cesa-Bianchi and
    Lugosi (2006), Theorem 2.2, in each of the K stretches, with Cauchy's inequality.
    """
    starts = min(switch_bound(settings, world, episodes), episodes) if settings.reset else 1.0
    top = max(float(world.ceilings[0]), 1e-300)
    return float(np.sqrt(8.0 * starts * np.log(world.rewards.shape[2]) / episodes) / top)


def switch_bound(settings: Settings, world: World, episodes: int) -> float:
    """Return what the refreshes of a run are at most, the first one included.

    With d_h pairs at step h: sum_h d_h (1 + log(T) / log(factor)) for counts;
    sum_h d_h log(1 + T / d_h) / threshold for determinants; the episodes for others. Derived here:
    a pair's visits grow by the factor at most that often, and by concavity a determinant is largest
    if all pairs are visited alike.
    """
    pairs = live_pairs(world).astype(np.float64)
    if settings.switch == "counts":
        grown = 1.0 + np.log(episodes) / np.log(settings._threshold)
        return float(min(1.0 + pairs.sum() * grown, episodes))
    if settings.switch == "determinant":
        grown = (pairs * np.log1p(episodes / pairs)).sum() / settings._threshold
        return float(min(1.0 + grown, episodes))
    if settings.switch == "period":
        return float(np.ceil(episodes / settings._threshold))
    return float(episodes)


def _check_choice(choice: Any, name: str, known: Iterable[str]) -> None:
    if not isinstance(choice, str) or choice not in known:
        raise ValueError(f"{name} is {choice!r:.80}; expected one of {', '.join(known)}")
