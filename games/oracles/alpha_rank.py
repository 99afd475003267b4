"""AlphaRank: how often evolution dwells on each joint pure strategy, for any number of players.

States are the pure profiles. A uniformly chosen deviation of one player takes over a population of
`population` with the fixation probability of the Fermi process at the given intensity; the ranking
is the stationary distribution. At infinite intensity an improving deviation is accepted, an equal
one with probability 1/2, a worsening one with a small `perturbation` that keeps the chain
irreducible and the distribution unique. Source: Omidshafiei et al. (2019), section 2 and theorem
2.1.3; Muller et al. (2020) for its use in PSRO.

Up to 1000 profiles the distribution comes from the elimination of Grassmann, Taksar and Heyman
(1985), which subtracts nothing: each probability has its own relative accuracy, however small the
rates (O'Cinneide 1993). Beyond that, damped Gauss-Seidel sweeps, with their residual; where several
sets of profiles are left with tiny rates only, a small residual does not make a small error.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import (
    FloatArray,
    IntArray,
    check_positive_integer,
    check_range,
    read_only,
)
from rltheory.games.normal_form.matrix_game import MatrixGame, Profile

ELIMINATION_LIMIT = 1000
"""Profiles up to which the chain is solved by elimination."""

# Undamped sweeps can oscillate, as on a directed cycle of profiles in the wrong order; damped ones
# converge for every irreducible chain (Berman and Plemmons 1994, section 7.6).
_RELAXATION = 0.9

# Products of a few such rates are still floats; below, the chain would fall apart.
_SMALLEST_RATE = 1e-100


@dataclass(frozen=True, eq=False)
class Ranking:
    """The stationary distribution of AlphaRank's chain.

    distribution: (A_1, ..., A_n), the share of time on each pure profile.
    marginals: per player (A_i,).
    residual: largest absolute entry of distribution @ transitions - distribution.
    sweeps: Gauss-Seidel sweeps, 0 after elimination.
    """

    distribution: FloatArray
    marginals: Profile
    residual: float
    sweeps: int


def alpha_rank(
    game: MatrixGame,
    *,
    intensity: float = np.inf,
    population: int = 50,
    perturbation: float = 1e-6,
    tolerance: float = 1e-12,
    sweeps: int = 10_000,
) -> Ranking:
    """Rank the pure profiles of a game; return a Ranking.

    intensity: alpha, how much payoff differences count, inf for the limit; population: m;
    perturbation: of the limit, in (0, 1/2); fixation probabilities below 1e-100 are raised to it.
    tolerance, sweeps: the residual that ends Gauss-Seidel, relative to the largest flow out of a
    profile, and the most sweeps; used for more than 1000 profiles only.
    Raises ValueError for an intensity below zero or a perturbation outside (0, 1/2).
    """
    check_positive_integer(sweeps, "sweeps")
    check_range(tolerance, "tolerance", 0.0, 1.0)
    rates = _rates(game, intensity, population, perturbation)
    actions = np.array(game.actions, dtype=np.int64)
    leaving = _leaving(game, rates)
    if len(leaving) <= ELIMINATION_LIMIT:
        flat, used = _eliminate(_off_diagonal(game, rates)), 0
    else:
        flat, used = _sweep_until(actions, rates, leaving, tolerance, sweeps)
    residual = float(np.abs(_flow(actions, rates, leaving, flat)).max())
    return _ranking(flat.reshape(game.actions), residual, used)


@dataclass(frozen=True)
class AlphaRank:
    """The meta-solver that plays the marginals of AlphaRank's stationary distribution."""

    intensity: float = np.inf
    population: int = 50
    perturbation: float = 1e-6

    def __call__(self, payoffs: ArrayLike, iteration: int = 1) -> Profile:
        """Return one mixed strategy per player; payoffs: (players, k_1, ..., k_n)."""
        return alpha_rank(
            MatrixGame(np.asarray(payoffs)),
            intensity=self.intensity,
            population=self.population,
            perturbation=self.perturbation,
        ).marginals


def transition_matrix(
    game: MatrixGame,
    *,
    intensity: float = np.inf,
    population: int = 50,
    perturbation: float = 1e-6,
) -> FloatArray:
    """Return AlphaRank's chain over the pure profiles in C order, (N, N), rows summing to 1."""
    rates = _rates(game, intensity, population, perturbation)
    matrix = _off_diagonal(game, rates)
    np.fill_diagonal(matrix, 1.0 - matrix.sum(axis=1))
    return matrix


def _ranking(distribution: FloatArray, residual: float, sweeps: int) -> Ranking:
    axes = range(distribution.ndim)
    marginals = [distribution.sum(axis=tuple(j for j in axes if j != i)) for i in axes]
    return Ranking(read_only(distribution), tuple(m / m.sum() for m in marginals), residual, sweeps)


def _rates(game: MatrixGame, intensity: float, population: int, perturbation: float) -> FloatArray:
    """Return the rates of all deviations: player after player, (others' profiles, A_i, A_i)."""
    check_range(intensity, "intensity", 0.0, np.inf)
    check_positive_integer(population, "population")
    if not 0 < perturbation < 0.5:
        raise ValueError(f"perturbation is {perturbation}; expected a number in (0, 0.5)")
    deviations = max(sum(game.actions) - game.players, 1)
    parts = [_fixation(game, i, intensity, population, perturbation) for i in range(game.players)]
    return np.concatenate([part.ravel() for part in parts]) / deviations


def _fixation(
    game: MatrixGame, player: int, intensity: float, population: int, perturbation: float
) -> FloatArray:
    """Return the chance that a deviation takes over, (profiles of the others, A_i, A_i)."""
    count = game.actions[player]
    payoffs = np.moveaxis(game.payoffs[player], player, -1).reshape(-1, count)
    difference = payoffs[:, None, :] - payoffs[:, :, None]
    if np.isinf(intensity):
        accepted = np.where(difference > 0, 1.0 - perturbation, perturbation)
        rates = np.where(difference == 0, 0.5, accepted)
    else:
        rates = fixation_probability(intensity * difference, population)
    own = np.arange(count)
    rates = np.maximum(rates, _SMALLEST_RATE)
    rates[:, own, own] = 0.0
    return rates


def fixation_probability(advantage: ArrayLike, population: int) -> FloatArray:
    """Return (1 - e^-x) / (1 - e^-mx) for an advantage x and a population m; 1 / m at x = 0.

    Rewritten for x < 0 so that nothing overflows.
    """
    x = np.abs(np.asarray(advantage, dtype=np.float64))
    positive = np.asarray(advantage) >= 0
    zero = x == 0
    size = np.where(zero, 1.0, x)
    ratio = np.expm1(-size) / np.expm1(-population * size)
    # (1 - e^y) / (1 - e^my) with y > 0 is e^-(m-1)y times the same ratio.
    falling = ratio * np.exp(-(population - 1) * size)
    return np.asarray(np.where(zero, 1.0 / population, np.where(positive, ratio, falling)))


def _deviations(game: MatrixGame, rates: FloatArray) -> Iterator[tuple[IntArray, FloatArray]]:
    """Yield per player which profiles differ in its action only, (others', A_i), and their rates.

    The rates are from the first to the second of two actions, (others', A_i, A_i).
    """
    profiles = np.arange(np.prod(game.actions)).reshape(game.actions)
    offset = 0
    for i, count in enumerate(game.actions):
        size = profiles.size * count
        yield (
            np.moveaxis(profiles, i, -1).reshape(-1, count),
            rates[offset : offset + size].reshape(-1, count, count),
        )
        offset += size


def _off_diagonal(game: MatrixGame, rates: FloatArray) -> FloatArray:
    """Return the rates between profiles, (N, N), zero on the diagonal."""
    total = int(np.prod(game.actions))
    matrix = np.zeros((total, total))
    for profiles, between in _deviations(game, rates):
        matrix[profiles[:, :, None], profiles[:, None, :]] = between
    return matrix


def _leaving(game: MatrixGame, rates: FloatArray) -> FloatArray:
    """Return the rate at which each profile is left, (N,)."""
    leaving = np.zeros(int(np.prod(game.actions)))
    for profiles, between in _deviations(game, rates):
        leaving[profiles] += between.sum(axis=2)
    return leaving


@njit(cache=True, nogil=True)
def _eliminate(matrix):  # type: ignore[no-untyped-def]
    """Return the stationary distribution of a chain given by its off-diagonal rates (N, N).

    Censors the last state away again and again, then fills in the probabilities; the matrix is
    overwritten and its diagonal never read.
    """
    n = matrix.shape[0]
    for last in range(n - 1, 0, -1):
        out = 0.0
        for j in range(last):
            out += matrix[last, j]
        for i in range(last):
            share = matrix[i, last] / out
            matrix[i, last] = share
            if share > 0.0:
                for j in range(last):
                    matrix[i, j] += share * matrix[last, j]
    result = np.zeros(n)
    result[0] = 1.0
    total = 1.0
    for state in range(1, n):
        for i in range(state):
            result[state] += result[i] * matrix[i, state]
        total += result[state]
    for state in range(n):
        result[state] /= total
    return result


@njit(cache=True, nogil=True)
def _sweep_until(actions, rates, leaving, tolerance, sweeps):  # type: ignore[no-untyped-def]
    """Return a nearly stationary distribution and the damped sweeps that it took."""
    total = leaving.shape[0]
    distribution = np.full(total, 1.0 / total)
    for done in range(1, sweeps + 1):
        for s in range(total):
            balanced = _inflow(actions, rates, distribution, s) / leaving[s]
            distribution[s] += _RELAXATION * (balanced - distribution[s])
        mass = distribution.sum()
        for s in range(total):
            distribution[s] /= mass
        if done % 20 == 0 or done == sweeps:
            net = _flow(actions, rates, leaving, distribution)
            if np.abs(net).max() <= tolerance * (distribution * leaving).max():
                return distribution, done
    return distribution, sweeps


@njit(cache=True, nogil=True)
def _flow(actions, rates, leaving, distribution):  # type: ignore[no-untyped-def]
    """Return what flows into each profile less what flows out, (N,)."""
    net = np.empty(leaving.shape[0])
    for s in range(leaving.shape[0]):
        net[s] = _inflow(actions, rates, distribution, s) - distribution[s] * leaving[s]
    return net


@njit(cache=True, nogil=True)
def _inflow(actions, rates, distribution, profile):  # type: ignore[no-untyped-def]
    """Return what flows into a profile from those that are one deviation away."""
    inflow = 0.0
    stride = distribution.shape[0]
    offset = 0
    for i in range(actions.shape[0]):
        count = actions[i]
        stride //= count
        high, rest = divmod(profile, stride * count)
        own, low = divmod(rest, stride)
        block = offset + (high * stride + low) * count * count + own
        for b in range(count):
            if b != own:
                inflow += distribution[profile + (b - own) * stride] * rates[block + b * count]
        offset += distribution.shape[0] * count
    return inflow
