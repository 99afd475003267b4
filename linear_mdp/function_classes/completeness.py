"""How far a finite class is from closed under a Bellman operator, in floats or exactly.

The error is max over h and f in F_{h+1} of min over g in F_h of |g - T_h f| in the sup norm; a
class is complete if it is 0, which rational arithmetic decides. Source: Jin, Liu and Miryoosefi
(2021), Assumption on completeness; with a policy's operator: Zanette, Lazaric, Kochenderfer and
Brunskill (2020) for the linear case.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.rational import to_fractions
from rltheory.linear_mdp.function_classes.finite import FiniteClass, check_class
from rltheory.tabular.mdp import EpisodicMDP
from rltheory.tabular.policies import as_policy


@dataclass(frozen=True)
class Completeness:
    """The image that a class misses most.

    error: distance of the image to the layer, a float or a Fraction; step h; image: which function
    of layer h + 1 (0 at the last step); nearest: which function of layer h comes nearest to it.
    """

    error: Any
    step: int
    image: int
    nearest: int


def completeness(
    mdp: EpisodicMDP,
    functions: FiniteClass,
    *,
    policy: Any = None,
    arithmetic: str = "float",
) -> Completeness:
    """Return the completeness error of a class and where it is.

    policy: (H, S) actions or (H, S, A) rows, whose operator is meant; the optimality operator if
    not given. arithmetic: "float" or "rational", where the numbers as stored are taken exactly.
    Raises ValueError or TypeError naming what does not fit.
    """
    check_class(mdp, functions)
    rows = None if policy is None else as_policy(policy, mdp.available)
    exact = _is_rational(arithmetic)
    worst = Completeness(-1, 0, 0, 0)
    for h in range(mdp.horizon):
        images = backups(mdp, functions, h, policy=rows, arithmetic=arithmetic)
        layer: Any = to_fractions(functions.layers[h]) if exact else functions.layers[h]
        for k, image in enumerate(images):
            apart = np.abs(layer - image).reshape(len(layer), -1).max(axis=1)
            nearest = int(np.argmin(apart))
            if apart[nearest] > worst.error:
                found = apart[nearest] if exact else float(apart[nearest])
                worst = Completeness(found, h, k, nearest)
    return worst


def is_complete(mdp: EpisodicMDP, functions: FiniteClass, *, policy: Any = None) -> bool:
    """Return whether a class is closed under the operator, decided in rational arithmetic."""
    return bool(completeness(mdp, functions, policy=policy, arithmetic="rational").error == 0)


def backups(
    mdp: EpisodicMDP,
    functions: FiniteClass,
    h: int,
    *,
    policy: NDArray[Any] | None = None,
    arithmetic: str = "float",
) -> NDArray[Any]:
    """Return the images T_h f (n, S, A) of the functions of layer h + 1; of 0 at the last step."""
    exact = _is_rational(arithmetic)
    rewards: Any = mdp.rewards[h]
    kernel: Any = mdp.transitions[h].reshape(-1, mdp.states)
    if exact:
        rewards, kernel = to_fractions(rewards), to_fractions(kernel)
    if h + 1 == mdp.horizon:
        return np.asarray(rewards[None])
    after: Any = functions.layers[h + 1]
    after = to_fractions(after) if exact else after
    if policy is None:
        values = after.max(axis=-1)
    else:
        weights: Any = to_fractions(policy[h + 1]) if exact else policy[h + 1]
        values = (weights * after).sum(axis=-1)
    return np.asarray(rewards + (values @ kernel.T).reshape(-1, *rewards.shape))


def residuals(
    mdp: EpisodicMDP, functions: FiniteClass, h: int, *, arithmetic: str = "float"
) -> Any:
    """Return the Bellman errors f_h - T_h f_{h+1} (n, S, A) of all members at step h."""
    check_class(mdp, functions)
    images = backups(mdp, functions, h, arithmetic=arithmetic)
    layer: Any = functions.layers[h]
    if _is_rational(arithmetic):
        layer = to_fractions(layer)
    after = functions.index[:, h + 1] if h + 1 < mdp.horizon else np.zeros(len(functions), int)
    return layer[functions.index[:, h]] - images[after]


def _is_rational(arithmetic: str) -> bool:
    if arithmetic not in ("float", "rational"):
        raise ValueError(f"arithmetic is {arithmetic!r}; expected 'float' or 'rational'")
    return arithmetic == "rational"
