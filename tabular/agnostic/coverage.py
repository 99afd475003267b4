"""How well one distribution can cover what all policies of a class visit.

Coverability is the least ratio that any distribution attains, a sum of largest visits; how good a
given distribution is, is its concentrability. Sources: Munos (2003) for concentrability; Xie,
Foster, Bai, Jiang and Kakade (2023) for coverability.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rltheory.analysis.arrays import FloatArray, as_float_array, check_distributions
from rltheory.analysis.rational import to_fractions
from rltheory.tabular.agnostic.class_values import check_fit, occupancies
from rltheory.tabular.agnostic.policy_class import PolicyClass
from rltheory.tabular.mdp import EpisodicMDP, check_episodic

_MOST_ENTRIES = 2**22
"""Occupancies are computed for as many policies at once as fit into this many numbers."""


@dataclass(frozen=True, eq=False)
class Coverage:
    """A largest ratio over the layers.

    value: the largest of by_layer (H,). mu: the distributions it belongs to, (H, S) or (H, S, A).
    Fractions in rational arithmetic (inf, a float, where a visited place has no probability).
    """

    value: Any
    by_layer: NDArray[Any]
    mu: NDArray[Any]


def coverability(mdp: EpisodicMDP, policies: PolicyClass, *, arithmetic: str = "float") -> Coverage:
    """Return the coverability of a class on an MDP, with a distribution that attains it.

    The least over mu_h of the largest d^pi_h(s, a) / mu_h(s, a) over policies and pairs is the sum
    over pairs of max_pi d^pi_h(s, a), for mu_h proportional to that maximum: no mu does better, as
    C mu_h >= d^pi_h for all policies may be added up. `mu` is (H, S, A).
    arithmetic: "float" or "rational". Raises ValueError if mdp and class do not fit.
    Source: Xie et al. (2023), Definition 1 and Lemma 3 (cumulative reachability).
    """
    peaks = _peaks(mdp, policies, arithmetic)
    totals = peaks.sum(axis=(1, 2))
    return Coverage(totals.max(), totals, peaks / totals[:, None, None])


def concentrability(
    mdp: EpisodicMDP, policies: PolicyClass, mu: ArrayLike, *, arithmetic: str = "float"
) -> Coverage:
    """Return the largest d^pi_h / mu_h over the policies of a class and the layers.

    mu: (H, S) distributions over states, or (H, S, A) over pairs; the ratio is of the same kind.
    inf where a policy goes where mu does not.
    arithmetic: "float" or "rational" (mu of floats is then read as the rationals they are).
    Raises ValueError if mdp, class and mu do not fit, or rows of mu are no distributions.
    """
    check_fit(mdp, policies)
    rows = _distributions(mu, mdp, arithmetic, pairs=True)
    by_layer = [0 * rows.flat[0]] * mdp.horizon
    for visits in _visits(mdp, policies, arithmetic):
        found = visits if rows.ndim == 3 else visits.sum(axis=3)
        by_layer = [
            max(old, _largest_ratio(found[:, h], rows[h])) for h, old in enumerate(by_layer)
        ]
    return Coverage(max(by_layer), _vector(by_layer), rows)


def pushforward_concentrability(
    mdp: EpisodicMDP, mu: ArrayLike, *, arithmetic: str = "float"
) -> Coverage:
    """Return the largest P_h(s' | s, a) / mu_{h+1}(s') over all pairs, and initial(s) / mu_0(s).

    `by_layer[h]` is of the states of layer h. It is at least the concentrability over states of any
    class of policies, and A times it at least that over pairs of mu and the uniform action.
    mu: (H, S) distributions. arithmetic: "float" or "rational".
    Raises ValueError if mu does not fit.
    """
    check_episodic(mdp)
    rows = _distributions(mu, mdp, arithmetic, pairs=False)
    by_layer = [_largest_ratio(moves, rows[h]) for h, moves in enumerate(_moves(mdp, arithmetic))]
    return Coverage(max(by_layer), _vector(by_layer), rows)


def pushforward_coverability(mdp: EpisodicMDP, *, arithmetic: str = "float") -> Coverage:
    """Return the least pushforward concentrability of all distributions, and one that has it.

    It is the largest over layers of the sum over s' of max_{s, a} P_h(s' | s, a); `mu` is (H, S).
    """
    check_episodic(mdp)
    peaks = np.stack([moves.max(axis=0) for moves in _moves(mdp, arithmetic)])
    totals = peaks.sum(axis=1)
    return Coverage(totals.max(), totals, peaks / totals[:, None])


def _visits(mdp: EpisodicMDP, policies: PolicyClass, arithmetic: str) -> Iterator[NDArray[Any]]:
    """Yield the occupancies (p, H, S, A) of the class, some policies at a time."""
    step = max(1, _MOST_ENTRIES // mdp.rewards.size)
    for first in range(0, len(policies), step):
        part = policies.table[first : first + step]
        yield occupancies(
            mdp, PolicyClass(part, policies.actions, policies.layer_sizes), arithmetic=arithmetic
        )


def _peaks(mdp: EpisodicMDP, policies: PolicyClass, arithmetic: str) -> NDArray[Any]:
    check_fit(mdp, policies)
    found: NDArray[Any] | None = None
    for visits in _visits(mdp, policies, arithmetic):
        peak = visits.max(axis=0)
        found = peak if found is None else np.maximum(found, peak)
    assert found is not None
    if arithmetic == "rational":
        found = to_fractions(found)
    return found


def _moves(mdp: EpisodicMDP, arithmetic: str) -> list[NDArray[Any]]:
    """Return for each layer the distributions (n, S) with which its states are entered."""
    _check_arithmetic(arithmetic)
    available = mdp.available
    entered = [mdp.initial[None]]
    entered += [mdp.transitions[h][available[h]] for h in range(mdp.horizon - 1)]
    return entered if arithmetic == "float" else [to_fractions(rows) for rows in entered]


def _largest_ratio(visits: NDArray[Any], mu: NDArray[Any]) -> Any:
    """Return max visits (n, ...) / mu (...), where 0 / 0 is 0 and p / 0 is inf."""
    peak = visits.max(axis=0)
    missed = mu == 0
    if np.any(peak[missed] > 0):
        return np.inf
    return (peak[~missed] / mu[~missed]).max()


def _distributions(
    mu: ArrayLike, mdp: EpisodicMDP, arithmetic: str, *, pairs: bool
) -> NDArray[Any]:
    _check_arithmetic(arithmetic)
    given = np.asarray(mu)
    states, both = mdp.rewards.shape[:2], mdp.rewards.shape
    allowed = (states, both) if pairs else (states,)
    if given.shape not in allowed:
        expected = " or ".join(str(shape) for shape in allowed)
        raise ValueError(f"mu has shape {given.shape}; expected {expected}")
    exact = given.dtype == object and all(isinstance(x, Fraction | int) for x in given.flat)
    if exact:
        rows = to_fractions(given)
        sums = rows.reshape(mdp.horizon, -1).sum(axis=1)
        if rows.min() < 0 or np.any(sums != 1):
            raise ValueError(f"mu has layers that sum to {sums}, or entries below 0; expected 1")
        return rows if arithmetic == "rational" else rows.astype(np.float64)
    floats: FloatArray = as_float_array(given, "mu", given.shape)
    check_distributions(floats.reshape(mdp.horizon, -1), "mu")
    return to_fractions(floats) if arithmetic == "rational" else floats


def _check_arithmetic(arithmetic: str) -> None:
    if arithmetic not in ("float", "rational"):
        raise ValueError(f"arithmetic is {arithmetic!r}; expected 'float' or 'rational'")


def _vector(entries: list[Any]) -> NDArray[Any]:
    """Return a vector of floats, or of objects where there are Fractions."""
    kind = object if any(isinstance(x, Fraction) for x in entries) else np.float64
    found = np.empty(len(entries), dtype=kind)
    found[:] = entries
    return found
