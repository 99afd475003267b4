"""Moments of every rational estimator are those of all n^G ordered groups, as Fractions."""

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies_estimators import as_floats, rational_outcomes

from rltheory.analysis.estimators.gates import TOKEN_RATIO, clip, stopped_clip
from rltheory.analysis.estimators.moments import estimator_moments
from rltheory.analysis.estimators.weights import ESTIMATORS, MEAN, reinforce


def mean_of(numbers, weights):
    """The weighted mean of a list; the plain one where all weights are zero."""
    if not any(weights):
        weights = [1] * len(numbers)
    return sum(w * x for w, x in zip(weights, numbers, strict=True)) / Fraction(sum(weights))


class Plain:
    """Estimators anew, in lists and loops, from what the papers say."""

    def __init__(self, outcomes):
        self.o = outcomes
        self.drawn = outcomes.drawn
        self.prompt = outcomes.prompt_of
        self.ratio = [p / b if b else Fraction(1) for p, b in zip(
            outcomes.probabilities, self.drawn, strict=True)]  # fmt: skip

    def responses(self, x):
        return range(self.o.starts[x], self.o.starts[x + 1])

    def norm(self, i):
        return sum(entry**2 for entry in self.o.scores[i])

    def expected(self, x, quantity):
        """The expectation under the policy of a function of the response."""
        return sum(self.o.probabilities[i] * quantity(i) for i in self.responses(x))

    def best(self, x, square):
        """The minimiser of E_b (w |g| (r - b))^2 with |g|^2 by a function."""
        mass = self.expected(x, lambda i: self.ratio[i] * square(i))
        if mass == 0:
            return self.expected(x, lambda i: self.o.rewards[i])
        return self.expected(x, lambda i: self.ratio[i] * square(i) * self.o.rewards[i]) / mass

    def baselines(self, name, group):
        """The baseline of each member of a group, one list."""
        rewards = [self.o.rewards[i] for i in group]
        others = [[j for j in range(len(group)) if j != i] for i in range(len(group))]
        # Importance sampling weighs a score by its ratio.
        norms = [self.ratio[i] ** 2 * self.norm(i) for i in group]
        x = self.prompt[group[0]]
        same = {
            "reinforce": lambda: Fraction(0),
            "value": lambda: self.expected(x, lambda i: self.o.rewards[i]),
            "optimal": lambda: self.best(x, self.norm),
            "remax": lambda: self.o.greedy[x],
            "mean": lambda: mean_of(rewards, [1] * len(group)),
            "dr-grpo": lambda: mean_of(rewards, [1] * len(group)),
            "oblr-own": lambda: mean_of(rewards, norms),
            "opo": lambda: mean_of(rewards, [int(self.o.lengths[i]) for i in group]),
        }
        if name in same:
            return [same[name]()] * len(group)
        weights = [1] * len(group) if name == "rloo" else norms
        return [mean_of([rewards[j] for j in o], [weights[j] for j in o]) for o in others]

    def estimate(self, name, group):
        """The estimate (k,) of one group of responses to one prompt."""
        total = [Fraction(0)] * self.o.scores.shape[1]
        if name == "coordinate":
            x = self.prompt[group[0]]
            for i in group:
                for j in range(len(total)):
                    b = self.best(x, lambda y, j=j: self.o.scores[y, j] ** 2)
                    total[j] += self.ratio[i] * (self.o.rewards[i] - b) * self.o.scores[i, j]
            return [entry / len(group) for entry in total]
        for i, b in zip(group, self.baselines(name, group), strict=True):
            advantage = self.o.rewards[i] - b
            ratio = self.ratio[i]
            # PPO: the gradient of min(w A, clip(w) A) is that of w A, or zero where clipped.
            clipped = (advantage > 0 and ratio > Fraction(6, 5)) or (
                advantage < 0 and ratio < Fraction(4, 5)
            )
            if name == "dr-grpo" and clipped:
                ratio = 0
            for j in range(len(total)):
                total[j] += ratio * advantage * self.o.scores[i, j] / len(group)
        return total


def brute_force(outcomes, estimate, size):
    """Mean, covariance and its part within prompts, by all ordered groups of all prompts."""
    k = outcomes.scores.shape[1]
    mean, second = np.zeros(k, dtype=object), np.zeros((k, k), dtype=object)
    within = Fraction(0)
    for x, weight in enumerate(outcomes.weights):
        first, squares = np.zeros(k, dtype=object), np.zeros((k, k), dtype=object)
        for group in itertools.product(range(*outcomes.starts[x : x + 2]), repeat=size):
            chance = np.prod([outcomes.drawn[i] for i in group])
            vector = np.array(estimate(group), dtype=object)
            first = first + chance * vector
            squares = squares + chance * np.outer(vector, vector)
        mean, second = mean + weight * first, second + weight * squares
        within += weight * (np.trace(squares) - first @ first)
    return mean, second - np.outer(mean, mean), within


RATIONAL = [name for name, e in ESTIMATORS.items() if e.rational]


@pytest.mark.parametrize("name", RATIONAL)
@given(outcomes=rational_outcomes(long=True), size=st.integers(1, 4))
@settings(max_examples=12)
def test_moments_are_those_of_all_ordered_groups(name, outcomes, size):
    if name == "dr-grpo" and np.any(outcomes.lengths != 1):
        outcomes = replace(outcomes, lengths=None)
    estimator = ESTIMATORS[name]
    size = max(size, estimator.smallest)
    plain = Plain(outcomes)
    mean, covariance, within = brute_force(outcomes, lambda g: plain.estimate(name, g), size)
    for method in ("auto", "enumerate"):
        found = estimator_moments(outcomes, estimator, group_size=size, method=method)
        assert found.mean.tolist() == mean.tolist()
        assert found.covariance.tolist() == covariance.tolist()
        assert found.variances.tolist() == np.diag(covariance).tolist()
        assert found.within == within
        assert found.within + found.between == found.variance == np.trace(covariance)
        assert all(isinstance(x, Fraction) for x in (*found.mean, *found.covariance.flat))
    gradient = [
        sum(
            outcomes.weights[plain.prompt[i]] * p * outcomes.rewards[i] * outcomes.scores[i, j]
            for i, p in enumerate(outcomes.probabilities)
        )
        for j in range(outcomes.scores.shape[1])
    ]
    assert found.gradient.tolist() == gradient


@pytest.mark.parametrize("size", [5, 6])
@pytest.mark.parametrize("name", ["mean", "rloo", "oblr", "oblr-own", "opo", "dr-grpo"])
def test_larger_groups(name, size):
    outcomes = rational_example(size)
    plain = Plain(outcomes)
    estimator = ESTIMATORS[name]
    mean, covariance, _ = brute_force(outcomes, lambda g: plain.estimate(name, g), size)
    found = estimator_moments(outcomes, estimator, group_size=size)
    assert found.mean.tolist() == mean.tolist()
    assert found.covariance.tolist() == covariance.tolist()


def rational_example(seed):
    """A bandit of three arms off policy, from numbers that a seed picks."""
    from strategies_estimators import fractions, rational_rows

    from rltheory.analysis.estimators.outcomes import Outcomes

    rng = np.random.default_rng(seed)
    probabilities = rational_rows(rng, [3])
    scores = fractions(np.eye(3)) - probabilities
    return Outcomes(
        probabilities=probabilities,
        scores=scores,
        rewards=fractions([0, 1, 1]),
        behaviour=rational_rows(rng, [3]),
    )


@pytest.mark.parametrize(
    ("gate", "coefficient"),
    [
        (TOKEN_RATIO, lambda w, positive: w),
        (
            clip(Fraction(1, 4), Fraction(1, 2), dual=2),
            lambda w, positive: w * (w <= 1.5 if positive else 0.75 <= w <= 2),
        ),
        (
            stopped_clip(Fraction(1, 4), Fraction(1, 2)),
            lambda w, positive: min(max(w, Fraction(3, 4)), Fraction(3, 2)),
        ),
    ],
    ids=["token", "dual clip", "stopped clip"],
)
@given(outcomes=rational_outcomes(off_policy=True))
@settings(max_examples=15)
def test_gates_of_rational_ratios(gate, coefficient, outcomes):
    """Bandits given by their behaviour: what a gate makes of each ratio, all in Fractions."""
    estimator = replace(MEAN, gate=gate)
    ratios = [p / b for p, b in zip(outcomes.probabilities, outcomes.behaviour, strict=True)]

    def estimate(group):
        rewards = [outcomes.rewards[i] for i in group]
        total = np.zeros(outcomes.scores.shape[1], dtype=object)
        for i in group:
            advantage = outcomes.rewards[i] - sum(rewards) / len(group)
            weight = coefficient(ratios[i], advantage >= 0) * advantage
            total = total + Fraction(weight) * outcomes.scores[i] / len(group)
        return total

    mean, covariance, _ = brute_force(outcomes, estimate, 3)
    found = estimator_moments(outcomes, estimator, group_size=3)
    assert found.mean.tolist() == mean.tolist()
    assert found.covariance.tolist() == covariance.tolist()


@given(outcomes=rational_outcomes(max_outcomes=3), prompts=st.integers(2, 3))
@settings(max_examples=10)
def test_several_prompts_are_averaged(outcomes, prompts):
    """Two or three independent prompts drawn, all combinations of prompts and groups."""
    plain = Plain(outcomes)
    single = [
        (outcomes.weights[x] * np.prod([outcomes.drawn[i] for i in g]), plain.estimate("rloo", g))
        for x in range(len(outcomes.weights))
        for g in itertools.product(plain.responses(x), repeat=2)
    ]
    if len(single) ** prompts > 5000:
        prompts = 2
    mean = second = 0
    for batch in itertools.product(single, repeat=prompts):
        chance = np.prod([c for c, _ in batch])
        vector = sum(np.array(v, dtype=object) for _, v in batch) / prompts
        mean, second = mean + chance * vector, second + chance * (vector @ vector)
    found = estimator_moments(outcomes, "rloo", group_size=2, prompts=prompts)
    assert found.mean.tolist() == mean.tolist()
    assert found.variance == second - mean @ mean
    assert found.second_moment == second


@pytest.mark.parametrize("name", RATIONAL)
@given(outcomes=rational_outcomes())
@settings(max_examples=8)
def test_floats_are_close_to_fractions(name, outcomes):
    estimator = ESTIMATORS[name]
    ratios = outcomes.ratios.tolist()
    assume(name != "dr-grpo" or not {Fraction(4, 5), Fraction(6, 5)} & set(ratios))
    exact = estimator_moments(outcomes, estimator, group_size=3)
    floats = estimator_moments(as_floats(outcomes), estimator, group_size=3)
    np.testing.assert_allclose(floats.mean, exact.mean.astype(float), atol=1e-12)
    np.testing.assert_allclose(floats.covariance, exact.covariance.astype(float), atol=1e-12)


@given(outcomes=rational_outcomes(), size=st.integers(7, 12))
@settings(max_examples=8)
def test_beyond_brute_force_two_methods_agree(outcomes, size):
    for estimator in (MEAN, ESTIMATORS["rloo"], reinforce(Fraction(1, 3))):
        closed = estimator_moments(outcomes, estimator, group_size=size, method="closed")
        counted = estimator_moments(outcomes, estimator, group_size=size, method="enumerate")
        assert (closed.method, counted.method) == ("closed", "enumerate")
        assert closed.mean.tolist() == counted.mean.tolist()
        assert closed.covariance.tolist() == counted.covariance.tolist()
