r"""Smoothness of the objective J: bounds of the norm of its Hessian that hold at every point.

Along v, with w = Phi v the change of the logits, one softmax choice has the second derivative
Cov_pi(r, (w - E w)^2), which is at most range(r) (max w - min w)^2 / (6 sqrt 3) (see `ONE_CHOICE`);
longer responses add the conditional variances of their choices. Sources: derived; Yuan, Gower and
Lazaric (2022), Lemma 4.4 for the form of the bound of long responses.
"""

from math import sqrt

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.backends import jax_module
from rltheory.analysis.estimators.gates import scaled_rows
from rltheory.analysis.estimators.parametrisations import Linear, Tabular
from rltheory.analysis.estimators.response_tables import ResponseTables, visits_of
from rltheory.analysis.estimators.sampling_model import SamplingModel

ONE_CHOICE = 1.0 / (6.0 * sqrt(3.0))
r"""Largest Cov_pi(r, (w - E w)^2) for rewards and logit changes in [0, 1], whatever the policy.

The covariance is linear in r, so r is 0 or 1 at its largest. With q the probability of r = 1, and
m and c the means of w given r = 1 and r = 0, it is q (1 - q) (Var(w | 1) - Var(w | 0) +
(1 - 2q) (m - c)^2). The first variance is at most m (1 - m), and c may be taken as 0 by symmetry,
which leaves q (1 - q) (m - 2 q m^2) if q <= 1/2 and less than 1/16 otherwise. Over m this is
(1 - q) / 8 <= 3/32 if q >= 1/4, else q (1 - q) (1 - 2q), at most 1 / (6 sqrt 3) > 3/32, at
q = (3 - sqrt 3) / 6 with two values of w. As (max w - min w)^2 <= 2 ||w||^2, a softmax bandit
of any number of arms has the smoothness range(r) / (3 sqrt 3), which two arms attain.
"""


def smoothness(model: SamplingModel) -> float:
    """Return L with ||Hessian J|| <= L at all parameters, up to rounding.

    Responses of one choice with a tabular policy: the least such L, the largest range of what a
    row pays over 3 sqrt 3. Linear logits: the smaller of two bounds, from the Gram matrix of the
    centred features and from the distances between the features of a row. Longer responses:
    range(r) times the largest expected sum of the variances of the logits' changes, choice by
    choice.

    Raises TypeError for other parametrisations, whose logits bend.
    """
    policy = model.parametrisation
    if not isinstance(policy, (Tabular, Linear)):
        raise TypeError(
            f"parametrisation is a {type(policy).__name__}; a bound of the smoothness is known for "
            "Tabular and Linear ones: give the step sizes' `smoothness` yourself"
        )
    bound = _one_choice if model.lengths.max(initial=0) <= 1 else _many_choices
    return bound(model, policy)


def hessian(model: SamplingModel, parameters: FloatArray) -> FloatArray:
    """Return the Hessian of J, (k, k), by finite sums; that of a network's J by JAX.

    Linear logits: E[(r - V) g g^T] less the sum over rows of E[(r - V) visits] Cov(phi).
    """
    policy = model.parametrisation
    outcomes = model.at(parameters)
    if not isinstance(policy, (Tabular, Linear)):
        jax = jax_module("the Hessian of a network")
        tables = ResponseTables.of(model, "jax")
        curved = jax.hessian(lambda point: tables.values(tables.state(point[None]))[0])
        return np.asarray(curved(jax.numpy.asarray(parameters)))
    surplus = outcomes.joint * (outcomes.rewards - outcomes.values[outcomes.prompt_of])
    scores = outcomes.scores
    total = scores.T @ scaled_rows(surplus, scores)
    total = np.asarray(total if isinstance(total, np.ndarray) else total.toarray())
    response, time = np.nonzero(model.rows >= 0)
    visits = np.bincount(model.rows[response, time], surplus[response], minlength=policy.rows)
    phi, pi = policy.features(parameters), model.policy(parameters)
    centred = phi - (pi[:, :, None] * phi).sum(axis=1, keepdims=True)
    spread = (visits[:, None] * pi)[:, :, None] * centred
    flat = (-1, policy.size)
    return np.asarray(total - spread.reshape(flat).T @ centred.reshape(flat))


def curvature(model: SamplingModel, parameters: FloatArray) -> float:
    """Return the spectral norm of the Hessian of J at a point (k,)."""
    return float(np.abs(np.linalg.eigvalsh(hessian(model, parameters))).max())


def reward_ranges(model: SamplingModel) -> FloatArray:
    """Return the largest less the least reward of each prompt's responses, (m,)."""
    starts = model.starts[:-1]
    highest = np.maximum.reduceat(model.rewards, starts)
    return np.asarray(highest - np.minimum.reduceat(model.rewards, starts))


def _one_choice(model: SamplingModel, policy: Tabular | Linear) -> float:
    """Bound J = sum over rows of sum_a pi(a | row) paid[row, a]; responses without choice are 0."""
    there = np.flatnonzero(model.rows[:, 0] >= 0)
    paid = np.zeros((policy.rows, policy.actions))
    masses = model.weights[model.prompt_of] * model.chances * model.rewards
    np.add.at(paid, (model.rows[there, 0], model.actions[there, 0]), masses[there])
    ranges = paid.max(axis=1) - paid.min(axis=1)
    if isinstance(policy, Tabular):
        return float(2.0 * ONE_CHOICE * ranges.max())
    by_distance = ONE_CHOICE * float(ranges @ _diameters(policy))
    return min(by_distance, _gram_norm(policy, 2.0 * ONE_CHOICE * ranges))


def _many_choices(model: SamplingModel, policy: Tabular | Linear) -> float:
    """Bound range(r) E sum_t Var(w_t); a variance is at most (max w - min w)^2 / 4 <= ||w||^2 / 2.

    With X = (v . g)^2 and Y the sum of the variances, E X = E Y and v^T H v = E (r - b) (X - Y) for
    every constant b; the middle of the rewards is at most range / 2 from each.
    """
    shares = model.weights * reward_ranges(model)
    # The most visits that a response to each prompt makes to each row.
    response, row, count = visits_of(model)
    most = np.zeros((len(shares), policy.rows))
    np.maximum.at(most, (model.prompt_of[response], row), count)
    if isinstance(policy, Tabular):
        return float(0.5 * (shares @ most).max())
    paths = np.append(_diameters(policy), 0.0)[model.rows].sum(axis=1)
    by_distance = 0.25 * float(shares @ np.maximum.reduceat(paths, model.starts[:-1]))
    return min(by_distance, _gram_norm(policy, 0.5 * (shares @ most)))


def _gram_norm(policy: Linear, weights: FloatArray) -> float:
    """Return the norm of the sum over rows of weights[row] times the centred features' Gram."""
    centred = policy.weights - policy.weights.mean(axis=1, keepdims=True)
    rooted = (np.sqrt(weights)[:, None, None] * centred).reshape(-1, policy.size)
    return float(np.linalg.norm(rooted, 2) ** 2)


def _diameters(policy: Linear) -> FloatArray:
    """Return the largest squared distance between two actions' features, row by row, (R,)."""
    apart = policy.weights[:, :, None] - policy.weights[:, None]
    return np.asarray((apart * apart).sum(axis=-1).max(axis=(1, 2)))
