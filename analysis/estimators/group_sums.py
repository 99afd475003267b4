"""Group sums: what the moments of one prompt's estimate need of the weights of its groups.

`closed_sums` has them from expectations over single responses, `enumerated_sums` from all
multisets of types.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rltheory.analysis.estimators.advantages import Group
from rltheory.analysis.estimators.baselines import optimal_baselines
from rltheory.analysis.estimators.gates import scaled_rows
from rltheory.analysis.estimators.groups import Types, enumerate_groups, types_of
from rltheory.analysis.estimators.outcomes import Outcomes
from rltheory.analysis.estimators.weights import Estimator


class GroupSums(NamedTuple):
    """One prompt's mean and covariance in terms of the blocks of `vectors`, each of n rows.

    first: list of (n,), the mean is the sum of first[i] times row i. single: list of (n,),
    weights of h h^T; factors: (K, k) vectors and pairs: (K, K) the coefficients of their products;
    the covariance is the sum of both.
    """

    first: list[NDArray[Any]]
    single: list[NDArray[Any]]
    factors: NDArray[Any]
    pairs: NDArray[Any]


def known_group(outcomes: Outcomes) -> Group:
    """Return what a group may read, for every outcome, arrays (n,)."""
    prompt = outcomes.prompt_of
    ratios = outcomes.ratios
    return Group(
        rewards=outcomes.rewards,
        squared_norms=ratios * ratios * outcomes.squared_norms,
        lengths=outcomes.lengths,
        value=outcomes.values[prompt],
        optimal=optimal_baselines(outcomes)[prompt],
        greedy=outcomes.greedy_rewards()[prompt],
    )


def weighted_vectors(estimator: Estimator, outcomes: Outcomes) -> Sequence[Any]:
    """Return the tables h (n, k) for positive and negative weights; one if they are the same."""
    if estimator.vectors is not None:
        return (estimator.vectors(outcomes),)
    gate = estimator.gate
    return tuple(gate.vectors(outcomes, positive) for positive in gate.signs(outcomes))


def closed_sums(
    estimator: Estimator,
    outcomes: Outcomes,
    known: Group,
    vectors: Sequence[Any],
    prompt: int,
    size: int,
) -> GroupSums:
    """Moments of sum_i (a_i - sum over j != i of b_j) h_i: E h, E a h, E b h, E a b h suffice."""
    there = span(outcomes, prompt)
    p = outcomes.drawn[there]
    assert estimator.pairwise is not None
    pair = estimator.pairwise(known, size)
    more = size - 1
    # Centred, so that the others' sum has mean 0: simpler, and free of cancellation.
    mean = p @ pair.others[there]
    others = (pair.others[there] - mean) / size
    own = (pair.own[there] - more * mean) / size
    noise = p @ (others * others)
    first = size * p * own
    single = size * p * (own * own + more * noise)
    table = vectors[0][there]
    if more == 0 or not np.any(others):
        return GroupSums([first], [single], total(p * own, table)[None], _square(-size, p.dtype))
    factors = np.stack([total(p * f, table) for f in (1 + 0 * own, own, others, own * others)])
    one, a, b, ab = range(4)
    pairs = np.zeros((4, 4), dtype=p.dtype)
    # For two members the product of weights, (a_i - b_j - rest)(a_j - b_i - rest), less the
    # product of the means, which are size * E a h.
    pairs[a, a] = -size
    pairs[b, b] = size * more
    pairs[one, one] = size * more * (size - 2) * noise
    pairs[ab, one] = pairs[one, ab] = -size * more
    return GroupSums([first], [single], factors, pairs)


def enumerated_sums(
    estimator: Estimator,
    outcomes: Outcomes,
    known: Group,
    vectors: Sequence[Any],
    prompt: int,
    size: int,
) -> GroupSums:
    """Moments by all multisets of types; key t + c * sign for type t of c and the weight's sign."""
    there = span(outcomes, prompt)
    p = outcomes.drawn[there]
    types = types_of([getattr(known, name)[there] for name in estimator.labels], p)
    c, signs = len(types.first), len(vectors)
    keys = c * signs
    alpha, first = np.zeros(keys, dtype=p.dtype), np.zeros(keys, dtype=p.dtype)
    beta = np.zeros((keys, keys) if size > 1 else (0, 0), dtype=p.dtype)
    for members, probabilities in enumerate_groups(types, size):
        weights = estimator.weights(_read(estimator, known, types.first[members] + there.start))
        key = members + c * (weights < 0) if signs > 1 else members
        _accumulate(alpha, key, probabilities[:, None] * weights * weights)
        _accumulate(first, key, probabilities[:, None] * weights)
        for i in range(size):
            for j in range(i):
                product = probabilities * weights[:, i] * weights[:, j]
                _accumulate(beta.reshape(-1), key[:, i] * keys + key[:, j], product)
    drawn = np.flatnonzero(types.of >= 0)
    masses = np.zeros_like(p)
    masses[drawn] = p[drawn] / types.masses[types.of[drawn]]
    share = [masses * alpha[types.of + c * s] for s in range(signs)]
    lead = [masses * first[types.of + c * s] for s in range(signs)]
    member = sparse.csr_array(
        (np.ones(len(drawn)), (types.of[drawn], drawn)), shape=(c, len(p)), dtype=float
    )
    if size == 1:
        # No pairs: the mean itself is all that is taken off.
        mean = sum(total(f, v[there]) for f, v in zip(lead, vectors, strict=True))
        return GroupSums(lead, share, np.asarray(mean)[None], _square(-1, p.dtype))
    factors = np.concatenate([_type_means(member, types, masses, v[there]) for v in vectors])
    return GroupSums(lead, share, factors, beta + beta.T - np.multiply.outer(first, first))


def _read(estimator: Estimator, known: Group, chosen: NDArray[Any]) -> Group:
    """Return groups of outcomes (B, G) with the fields that the estimator reads."""
    fields = {name: getattr(known, name)[chosen] for name in (*estimator.labels, "rewards")}
    if estimator.scope == "prompt":
        for name in ("value", "optimal", "greedy"):
            fields[name] = getattr(known, name)[chosen[:, :1]]
    return Group(**fields)


def _square(number: int, dtype: Any) -> NDArray[Any]:
    return np.full((1, 1), number, dtype=dtype)


def _type_means(member: Any, types: Types, masses: NDArray[Any], table: Any) -> NDArray[Any]:
    """Return the mean vectors of the types, (c, k)."""
    weighted = scaled_rows(masses, table)
    if masses.dtype != object:
        means = member @ weighted
        return np.asarray(means.toarray() if sparse.issparse(means) else means)
    means = np.zeros((len(types.first), table.shape[1]), dtype=object)
    drawn = np.flatnonzero(types.of >= 0)
    np.add.at(means, types.of[drawn], weighted[drawn])
    return means


def _accumulate(totals: NDArray[Any], keys: NDArray[Any], values: NDArray[Any]) -> None:
    np.add.at(totals, keys.ravel(), values.ravel())


def span(outcomes: Outcomes, prompt: int) -> slice:
    """Return which entries of the arrays are responses to a prompt."""
    return slice(int(outcomes.starts[prompt]), int(outcomes.starts[prompt + 1]))


def total(weights: NDArray[Any], table: Any) -> NDArray[Any]:
    """Return the sum over i of weights[i] times row i of a table (n, k)."""
    return np.asarray(table.T @ weights)
