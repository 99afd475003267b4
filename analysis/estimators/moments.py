r"""Exact mean and covariance of policy-gradient estimators on finite outcomes.

For each prompt the covariance of sum_i w_i h_i over groups of G splits into a sum over single
responses and one over pairs of types,
    Cov = sum_i p_i alpha(i) h_i h_i^T + sum_{c, c'} beta(c, c') mu_c mu_c'^T,
with mu_c the mean of h within type c, alpha and beta from the enumeration of multisets of types
(`group_sums.py`); where weights are `Pairwise`, they have closed forms for every G.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg.blas import dsyrk

from rltheory.analysis.arrays import FloatArray, check_positive_integer
from rltheory.analysis.estimators.gates import scaled_rows
from rltheory.analysis.estimators.group_sums import (
    GroupSums,
    closed_sums,
    enumerated_sums,
    known_group,
    span,
    total,
    weighted_vectors,
)
from rltheory.analysis.estimators.outcomes import Outcomes
from rltheory.analysis.estimators.sampling_model import SamplingModel
from rltheory.analysis.estimators.weights import Estimator, estimator_of

Method = Literal["auto", "closed", "enumerate"]

MOST_PARAMETERS = 2**14
"""Whole covariances of more parameters are refused (2 GiB)."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Exact moments of an estimator of the gradient of J.

    mean: (k,); gradient: (k,) what it estimates; variances: (k,) of the coordinates.
    covariance: (k, k), None if not asked for.
    within, between: traces of the mean covariance given the prompt and of the covariance of the
        means given the prompt, each divided by the number of prompts; they sum to `variance`.
    method: "closed" or "enumerate". All of them Fractions if the outcomes are.
    """

    mean: NDArray[Any]
    gradient: NDArray[Any]
    variances: NDArray[Any]
    covariance: NDArray[Any] | None
    within: Any
    between: Any
    method: str

    @property
    def bias(self) -> NDArray[Any]:
        """The mean less the gradient, (k,)."""
        return np.asarray(self.mean - self.gradient)

    @cached_property
    def variance(self) -> Any:
        """The trace of the covariance."""
        return self.variances.sum()

    @cached_property
    def second_moment(self) -> Any:
        """The expected squared norm of the estimate."""
        return self.variance + self.mean @ self.mean

    @property
    def signal_to_noise(self) -> Any:
        """Squared norm of the gradient over the variance; infinite where the variance is zero."""
        signal = self.gradient @ self.gradient
        return signal / self.variance if self.variance > 0 else np.inf


def estimator_moments(
    model: Outcomes | SamplingModel,
    estimator: Estimator | str,
    *,
    parameters: FloatArray | None = None,
    behaviour: FloatArray | None = None,
    group_size: int = 1,
    prompts: int = 1,
    covariance: bool = True,
    method: Method = "auto",
) -> Moments:
    """Return the exact mean and covariance of an estimator.

    The estimate averages over `prompts` independent prompts, each with `group_size` independent
    responses; an estimator of scope "batch" averages over `prompts` batches of `group_size`
    independent pairs of prompt and response.

    model: outcomes, or a SamplingModel with `parameters` (k,) and, off policy, the parameters
    `behaviour` (k,) that responses are drawn with. estimator: a record or a name.
    covariance: whether to return the whole (k, k) matrix; for k above 16,384 it must be False.
    method: "closed" needs an estimator
    that is `pairwise` and whose gate ignores signs; "enumerate" counts multisets of types; "auto"
    takes the first if it can.

    Outcomes of Fractions give Fractions; estimators with a square root refuse them (TypeError).
    Floats are exact but for rounding, about 1e-15 of the terms that are summed.
    Raises ValueError for a group that is too small, too many groups to enumerate, an unknown
    estimator or method, or moments that no float can hold.
    """
    chosen = estimator_of(estimator)
    outcomes = _outcomes(model, parameters, behaviour)
    size = chosen.check_group(group_size)
    check_positive_integer(prompts, "prompts")
    if outcomes.exact and not chosen.rational:
        raise TypeError(
            f"estimator {chosen.name!r} takes square roots, which are no Fractions; "
            "give the outcomes as floats"
        )
    if method not in ("auto", "closed", "enumerate"):
        raise ValueError(f"method is {method!r}; expected 'auto', 'closed' or 'enumerate'")
    if covariance and outcomes.scores.shape[1] > MOST_PARAMETERS:
        raise ValueError(
            f"the covariance of {outcomes.scores.shape[1]} parameters is larger than memory "
            f"should hold (at most {MOST_PARAMETERS}); give covariance=False"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        found = _moments(chosen, outcomes, size, prompts, covariance, method)
    if not (outcomes.exact or np.isfinite(found.variance)):
        raise ValueError(
            "the moments overflow; rewards, scores or ratios of policy to behaviour are too large"
        )
    return found


def _moments(
    estimator: Estimator,
    outcomes: Outcomes,
    size: int,
    prompts: int,
    covariance: bool,
    method: Method,
) -> Moments:
    known = known_group(outcomes)
    gradient = outcomes.gradient
    if estimator.scope == "batch":
        outcomes = outcomes.as_one_prompt()
    vectors = weighted_vectors(estimator, outcomes)
    closed = (
        estimator.pairwise is not None and estimator.normalisation == "group" and len(vectors) == 1
    )
    if method == "closed" and not closed:
        raise ValueError(f"estimator {estimator.name!r} has no closed form here; enumerate")
    closed = closed and method != "enumerate"
    sums = closed_sums if closed else enumerated_sums
    prompt_sums = [
        sums(estimator, outcomes, known, vectors, x, size) for x in range(len(outcomes.weights))
    ]
    mean, variances, between, whole = _combined(outcomes, vectors, prompt_sums, covariance)
    return Moments(
        mean=mean,
        gradient=gradient,
        variances=variances / prompts,
        covariance=None if whole is None else whole / prompts,
        within=(variances.sum() - between) / prompts,
        between=between / prompts,
        method="closed" if closed else "enumerate",
    )


def _outcomes(
    model: Outcomes | SamplingModel, parameters: FloatArray | None, behaviour: FloatArray | None
) -> Outcomes:
    if isinstance(model, SamplingModel):
        if parameters is None:
            raise ValueError("parameters is missing; a SamplingModel needs a point (k,)")
        return model.at(parameters, behaviour=behaviour)
    if not isinstance(model, Outcomes):
        raise TypeError(f"model must be Outcomes or a SamplingModel; got {type(model).__name__}")
    if parameters is not None or behaviour is not None:
        raise ValueError("parameters and behaviour go with a SamplingModel; Outcomes have theirs")
    return model


def _combined(
    outcomes: Outcomes,
    vectors: Sequence[Any],
    prompt_sums: Sequence[GroupSums],
    covariance: bool,
) -> tuple[NDArray[Any], NDArray[Any], Any, NDArray[Any] | None]:
    """Return mean, variances, the trace between prompts, and the covariance, of one prompt."""
    weights = outcomes.weights
    means = np.stack(
        [
            sum(total(f, v[span(outcomes, x)]) for f, v in zip(s.first, vectors, strict=True))
            for x, s in enumerate(prompt_sums)
        ]
    )
    mean = weights @ means
    singles = [
        np.concatenate([d * s.single[i] for d, s in zip(weights, prompt_sums, strict=True)])
        for i in range(len(vectors))
    ]
    # Means of prompts are pairs of their own: of what they are away from the mean, weighted.
    away = means - mean
    left = np.concatenate([*(s.factors for s in prompt_sums), away])
    right = np.concatenate(
        [
            *(d * (s.pairs @ s.factors) for d, s in zip(weights, prompt_sums, strict=True)),
            weights[:, None] * away,
        ]
    )
    variances = (left * right).sum(axis=0)
    variances = variances + sum(_squares(w, v) for w, v in zip(singles, vectors, strict=True))
    between = (weights[:, None] * away * away).sum()
    if not covariance:
        return mean, variances, between, None
    whole = left.T @ right + sum(_gram(w, v) for w, v in zip(singles, vectors, strict=True))
    return mean, variances, between, np.asarray(whole)


def _squares(weights: NDArray[Any], table: Any) -> NDArray[Any]:
    squared = table.power(2) if sparse.issparse(table) else table * table
    return np.asarray(squared.T @ weights)


def _gram(weights: NDArray[Any], table: Any) -> NDArray[Any]:
    """Return sum over i of weights[i] h_i h_i^T, (k, k)."""
    if sparse.issparse(table):
        return np.asarray((table.T @ scaled_rows(weights, table)).toarray())
    if weights.dtype == object:
        return np.asarray(table.T @ scaled_rows(weights, table))
    # Weights of squares are expected squares, so they are not negative but for rounding.
    rooted = scaled_rows(np.sqrt(np.maximum(weights, 0.0)), table)
    upper = dsyrk(1.0, rooted.T, trans=0)
    return np.asarray(np.triu(upper) + np.triu(upper, 1).T)
