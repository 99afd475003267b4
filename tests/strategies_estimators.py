"""Hypothesis strategies for sampling models and their outcomes, shared by the tests."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

from rltheory.analysis.estimators.outcomes import Outcomes
from rltheory.analysis.estimators.parametrisations import Linear, Network
from rltheory.analysis.estimators.sampling_model import contextual_bandit, softmax_bandit
from rltheory.analysis.estimators.trees import episodes, token_tree


def fractions(array):
    """Return an object array of the Fractions that floats or integers are."""
    flat = np.empty(np.size(array), dtype=object)
    flat[:] = [Fraction(x) for x in np.ravel(array).tolist()]
    return flat.reshape(np.shape(array))


def rational_rows(rng, counts, largest=6):
    """Return stretches of positive Fractions that sum to 1 each, one array."""
    rows = []
    for count in counts:
        parts = [int(x) for x in rng.integers(1, largest + 1, count)]
        rows += [Fraction(part, sum(parts)) for part in parts]
    return np.array(rows, dtype=object)


@st.composite
def rational_outcomes(
    draw, max_prompts=2, max_outcomes=4, max_parameters=2, off_policy=None, long=False
):
    """Outcomes of Fractions with scores of mean zero, ties among rewards, and a behaviour or none.

    Scores are what a policy could have: E[g | prompt] = 0.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    counts = rng.integers(1, max_outcomes + 1, draw(st.integers(1, max_prompts)))
    n, starts = int(counts.sum()), np.concatenate([[0], np.cumsum(counts)])
    probabilities = rational_rows(rng, counts)
    scores = fractions(rng.integers(-3, 4, (n, draw(st.integers(1, max_parameters)))))
    for a, b in pairwise(starts):
        scores[a:b] -= probabilities[a:b] @ scores[a:b]
    if off_policy is None:
        off_policy = draw(st.booleans())
    return Outcomes(
        probabilities=probabilities,
        scores=scores,
        rewards=fractions(rng.integers(-2, 3, n)) / 2,
        weights=rational_rows(rng, [len(counts)]),
        starts=starts,
        lengths=rng.integers(1, 4, n) if long else None,
        behaviour=rational_rows(rng, counts) if off_policy else None,
        greedy=fractions(rng.integers(-2, 3, len(counts))),
    )


def as_floats(outcomes):
    """Return the same outcomes in floats."""
    behaviour = outcomes.behaviour
    return Outcomes(
        probabilities=outcomes.probabilities.astype(float),
        scores=outcomes.scores.astype(float),
        rewards=outcomes.rewards.astype(float),
        weights=outcomes.weights.astype(float),
        starts=outcomes.starts,
        lengths=outcomes.lengths.astype(int),
        behaviour=None if behaviour is None else behaviour.astype(float),
        greedy=outcomes.greedy.astype(float),
    )


KINDS = ("bandit", "contextual", "tree", "episodes")
PARAMETRISATIONS = ("tabular", "linear", "network")


def _policy(kind, rng, rows, actions):
    if kind == "tabular":
        return "tabular"
    if kind == "linear":
        return Linear(rng.normal(size=(rows, actions, 3)))
    return Network(rng.normal(size=(rows, 2)), actions, hidden=2)


def make_model(kind, parametrisation, seed):
    """Return a small model of one of KINDS under one of PARAMETRISATIONS."""
    rng = np.random.default_rng(seed)
    if kind == "bandit":
        return softmax_bandit(
            rng.normal(size=4), parametrisation=_policy(parametrisation, rng, 1, 4)
        )
    if kind == "contextual":
        return contextual_bandit(
            rng.integers(0, 3, (3, 3)) * 1.0,
            weights=rng.dirichlet(np.ones(3)),
            parametrisation=_policy(parametrisation, rng, 3, 3),
        )
    if kind == "tree":
        # Responses 1, 01, 000, 001 to two prompts; prefixes are empty, 0 and 00.
        return token_tree(
            2,
            3,
            rng.normal(size=(2, 4)),
            end_token=1,
            weights=np.array([0.3, 0.7]),
            parametrisation=_policy(parametrisation, rng, 6, 2),
        )
    return episodes(
        rng.dirichlet(np.ones(2), size=(2, 2)),
        rng.normal(size=(2, 2)),
        rng.dirichlet(np.ones(2)),
        horizon=3,
        discount=0.9,
        parametrisation=_policy(parametrisation, rng, 2, 2),
    )


@st.composite
def models(draw, kinds=KINDS, parametrisations=PARAMETRISATIONS):
    """Small sampling models, each with two points (k,) of its parameters."""
    seed = draw(st.integers(0, 2**16))
    model = make_model(draw(st.sampled_from(kinds)), draw(st.sampled_from(parametrisations)), seed)
    first, second = np.random.default_rng(seed + 1).normal(size=(2, model.size))
    return model, first, second
