r"""Entropies of softmax policies, their gradients, and how a step changes them to first order.

For logits z and a direction d of change, dH = -Cov_pi(log pi, d); with d the advantages this is a
step of the natural gradient, with d = pi (A - E A) one of the plain gradient.
Sources: Cui et al. (2025) for both slopes; Cover and Thomas (2006), section 2.5, for chains.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rltheory.analysis.arrays import FloatArray, as_float_array, check_distributions, check_finite
from rltheory.analysis.estimators.sampling_model import SamplingModel


def as_policy(policy: ArrayLike, name: str = "policy") -> NDArray[Any]:
    """Return distributions (..., A) of floats, or of Fractions as they are.

    Raises ValueError, naming the argument, unless each row is a distribution.
    """
    given = np.asarray(policy)
    if given.ndim == 0 or given.shape[-1] == 0:
        raise ValueError(f"{name} has shape {given.shape}; expected (..., A) with A >= 1")
    check_distributions(as_float_array(given, name), name)
    return given if given.dtype == object else as_float_array(given, name)


def shannon_entropy(policy: ArrayLike) -> FloatArray:
    """Return H = -sum p log p of each row, in nats, (...)."""
    rows = as_float_array(as_policy(policy), "policy")
    return np.asarray(-(rows * _logs(rows)).sum(axis=-1))


def collision_probability(policy: ArrayLike) -> NDArray[Any]:
    """Return sum p^2 of each row, (...); Fractions stay Fractions."""
    rows = as_policy(policy)
    return np.asarray((rows * rows).sum(axis=-1))


def renyi_entropy(policy: ArrayLike) -> FloatArray:
    """Return the Renyi entropy of order two, H_2 = -log sum p^2, in nats, (...)."""
    return np.asarray(-np.log(collision_probability(policy).astype(float)))


def shannon_gradient(policy: ArrayLike) -> FloatArray:
    """Return the derivatives of H by the logits, -p (log p + H), (..., A)."""
    rows = as_float_array(as_policy(policy), "policy")
    return np.asarray(-rows * (_logs(rows) + shannon_entropy(rows)[..., None]))


def renyi_gradient(policy: ArrayLike) -> NDArray[Any]:
    """Return the derivatives of H_2 by the logits, 2 p (1 - p / sum p^2), (..., A)."""
    rows = as_policy(policy)
    return np.asarray(2 * rows * (1 - rows / collision_probability(rows)[..., None]))


def natural_direction(policy: ArrayLike, advantages: ArrayLike) -> NDArray[Any]:
    """Return the logit step A - E A of the natural gradient, per unit of step size, (..., A)."""
    rows, gains = _matched(policy, advantages, "advantages")
    return np.asarray(gains - (rows * gains).sum(axis=-1, keepdims=True))


def plain_direction(policy: ArrayLike, advantages: ArrayLike) -> NDArray[Any]:
    """Return the logit step pi (A - E A) of the plain gradient of E A, (..., A)."""
    return np.asarray(as_policy(policy) * natural_direction(policy, advantages))


def entropy_slope(policy: ArrayLike, direction: ArrayLike) -> FloatArray:
    """Return dH = -Cov_pi(log pi, d) along a direction d (..., A) of the logits, (...)."""
    rows, steps = _matched(policy, direction, "direction")
    return np.asarray((shannon_gradient(rows) * steps).sum(axis=-1).astype(float))


class ResponseEntropies(NamedTuple):
    """Entropies of responses and of the choices they are made of, in nats.

    rows: (R,) of the policy at each row; visits: (m, R) expected number of times that a response
    to each prompt meets a row; responses: (m,) entropy of the whole response, by enumeration;
    lengths: (m,) expected number of choices.
    """

    rows: FloatArray
    visits: FloatArray
    responses: FloatArray
    lengths: FloatArray

    @property
    def chained(self) -> FloatArray:
        """The sum of the rows' entropies by their visits, (m,): the responses' by the chain rule.

        The two differ where the model has chance of its own, whose entropy is not the policy's.
        """
        return np.asarray(self.visits @ self.rows)

    @property
    def per_choice(self) -> FloatArray:
        """The mean entropy of a choice, each choice weighing the same, (m,)."""
        return np.asarray(self.chained / self.lengths)


def response_entropies(model: SamplingModel, parameters: FloatArray) -> ResponseEntropies:
    """Return the entropies of a policy's responses and choices, exact by enumeration."""
    outcomes = model.at(parameters)
    starts = model.starts[:-1]
    visits = visit_counts(model, outcomes.probabilities)
    spread = -outcomes.probabilities * _logs(outcomes.probabilities)
    return ResponseEntropies(
        rows=shannon_entropy(model.policy(parameters)),
        visits=visits,
        responses=np.asarray(np.add.reduceat(spread, starts)),
        lengths=np.asarray(np.add.reduceat(outcomes.probabilities * model.lengths, starts)),
    )


def visit_counts(model: SamplingModel, masses: FloatArray) -> FloatArray:
    """Return sum over the responses to each prompt of their mass times their visits, (m, R).

    masses: (n,), for instance the probabilities of the responses.
    """
    table = np.zeros((len(model.weights), model.parametrisation.rows))
    response, time = np.nonzero(model.rows >= 0)
    at = (model.prompt_of[response], model.rows[response, time])
    np.add.at(table, at, masses[response])
    return table


def mean_entropy(model: SamplingModel, parameters: FloatArray) -> float:
    """Return the mean over prompts and responses of the mean entropy of a response's choices."""
    masses = model.at(parameters).joint / np.maximum(model.lengths, 1)
    visits = visit_counts(model, masses).sum(axis=0)
    return float(visits @ shannon_entropy(model.policy(parameters)))


def response_entropy_gradient(model: SamplingModel, parameters: FloatArray) -> FloatArray:
    """Return the gradient (k,) of the entropy of responses, averaged over prompts.

    It is -E[log pi(y) g(y)], as the scores g have mean zero.
    """
    outcomes = model.at(parameters)
    return np.asarray(outcomes.scores.T @ (-outcomes.joint * _logs(outcomes.probabilities)))


def rows_to_parameters(
    model: SamplingModel, parameters: FloatArray, slopes: FloatArray
) -> FloatArray:
    """Return the gradient (k,) of what has the derivatives `slopes` (R, A) by the logits."""
    features = model.parametrisation.features(parameters)
    return np.asarray(np.tensordot(slopes, features, axes=2))


def _logs(rows: FloatArray) -> FloatArray:
    """Return log p, and 0 where p is 0: it is always met with a factor p."""
    return np.asarray(np.log(np.where(rows > 0, rows, 1.0)))


def _matched(policy: ArrayLike, other: ArrayLike, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    rows, given = as_policy(policy), np.asarray(other)
    floats = as_float_array(given, name)
    check_finite(floats, name)
    if given.ndim == 0 or given.shape[-1] != rows.shape[-1]:
        raise ValueError(
            f"{name} has shape {given.shape}; expected (..., {rows.shape[-1]}) as the policy has"
        )
    return rows, given if given.dtype == object else floats
