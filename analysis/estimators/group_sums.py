"""Group sums: what the moments of one prompt's estimate need of the weights of its groups.

`closed_sums` has them from expectations over single responses, `enumerated_sums` from all
multisets of types.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rltheory.analysis.estimators.baselines import optimal_baselines
from rltheory.analysis.estimators.gates import scaled_rows
from rltheory.analysis.estimators.groups import Types, enumerate_groups, types_of
from rltheory.analysis.estimators.outcomes import Outcomes
from rltheory.analysis.estimators.weights import Estimator, Group


class GroupSums(NamedTuple):
    """Coefficients of one prompt's moments, over the blocks of `vectors`, each of n rows.

    first: list of (n,) weights of the mean; single: list of (n,) weights of h h^T; factors: (K, k)
    vectors and pairs: (K, K) their coefficients.
    """

    first: list[NDArray[Any]]
    single: list[NDArray[Any]]
    factors: NDArray[Any]
    pairs: NDArray[Any]


def known_group(outcomes: Outcomes) -> Group:
    """Return what a group may read, for every outcome, arrays (n,)."""
    prompt = outcomes.prompt_of
    return Group(
        rewards=outcomes.rewards,
        squared_norms=outcomes.squared_norms,
        lengths=outcomes.lengths,
        value=outcomes.values[prompt],
        optimal=optimal_baselines(outcomes)[prompt],
        greedy=outcomes.greedy_rewards()[prompt],
    )


def weighted_vectors(estimator: Estimator, outcomes: Outcomes) -> Sequence[Any]:
    """Return the tables h (n, k) for positive and negative weights; one if they are the same."""
    if estimator.vectors is not None:
        return (estimator.vectors(outcomes),)
    if outcomes.behaviour is None and estimator.gate.level != "geometric":
        # Every gate is 1 on policy; only a mean over choices divides by the length.
        return (outcomes.scores,)
    signs = (True, False) if estimator.gate.signed else (True,)
    return tuple(estimator.gate.vectors(outcomes, positive) for positive in signs)


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
    own, others = (array[there] / size for array in estimator.pairwise(known, size))
    b1, b2 = p @ others, p @ (others * others)
    more, rest = size - 1, size - 2
    first = size * p * (own - more * b1)
    single = size * p * (own * own - 2 * more * b1 * own + more * b2 + more * rest * b1 * b1)
    table = vectors[0][there]
    factors = np.stack([total(p * f, table) for f in (1 + 0 * own, own, others, own * others)])
    # The product of two different members' weights, the sum B of the other `rest` included.
    one, a, b, ab = range(4)
    b_sum, b_square = rest * b1, rest * b2 + rest * (rest - 1) * b1 * b1
    pairs = np.zeros((4, 4), dtype=p.dtype)
    pairs[a, a] = 1
    pairs[b, b] = 1
    pairs[one, one] = b_square
    pairs[ab, one] = pairs[one, ab] = -1
    pairs[a, one] = pairs[one, a] = -b_sum
    pairs[b, one] = pairs[one, b] = b_sum
    return GroupSums([first], [single], factors, size * more * pairs)


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
    batch = estimator.scope == "batch"
    labels = [getattr(known, name)[there] for name in estimator.labels]
    if batch:
        labels += [getattr(known, name)[there] for name in ("value", "optimal", "greedy")]
    types = types_of(labels, p)
    c, signs = len(types.first), len(vectors)
    keys = c * signs
    alpha, first, beta = (np.zeros(shape, dtype=p.dtype) for shape in (keys, keys, (keys, keys)))
    for members, probabilities in enumerate_groups(types, size):
        chosen = types.first[members] + there.start
        once = slice(None) if batch else slice(0, 1)
        group = Group(
            known.rewards[chosen],
            known.squared_norms[chosen],
            known.lengths[chosen],
            *(getattr(known, name)[chosen[:, once]] for name in ("value", "optimal", "greedy")),
        )
        weights = estimator.weights(group)
        key = members + c * (weights < 0) if signs > 1 else members
        _accumulate(alpha, key, probabilities[:, None] * weights * weights)
        _accumulate(first, key, probabilities[:, None] * weights)
        for i in range(size):
            for j in range(i):
                product = probabilities * weights[:, i] * weights[:, j]
                _accumulate(beta.reshape(-1), key[:, i] * keys + key[:, j], product)
    drawn = np.flatnonzero(types.of >= 0)
    masses = np.ones_like(p)
    masses[drawn] = p[drawn] / types.masses[types.of[drawn]]
    masses[types.of < 0] = 0 * masses[types.of < 0]
    share = [masses * alpha[types.of + c * s] for s in range(signs)]
    lead = [masses * first[types.of + c * s] for s in range(signs)]
    member = sparse.csr_array(
        (np.ones(len(drawn)), (types.of[drawn], drawn)), shape=(c, len(p)), dtype=float
    )
    factors = np.concatenate([_type_means(member, types, masses, v[there]) for v in vectors])
    return GroupSums(lead, share, factors, beta + beta.T)


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
    if totals.dtype == object:
        np.add.at(totals, keys.ravel(), values.ravel())
    else:
        totals += np.bincount(keys.ravel(), values.ravel(), minlength=len(totals))


def span(outcomes: Outcomes, prompt: int) -> slice:
    """Return which entries of the arrays are responses to a prompt."""
    return slice(int(outcomes.starts[prompt]), int(outcomes.starts[prompt + 1]))


def total(weights: NDArray[Any], table: Any) -> NDArray[Any]:
    """Return the sum over i of weights[i] times row i of a table (n, k)."""
    return np.asarray(table.T @ weights)
