r"""Small policies with rational probabilities, and what estimators do on them, by brute force.

A policy is given by the probabilities of its rows, not by logits: scores of softmax policies,
phi(a) - E phi, are then rational. Derivatives come from dual numbers, d pi(a) / dt = pi(a) (phi(a)
- E phi) . v being what softmax does along a direction v of its parameters; groups are enumerated
in order, one by one, which shares nothing with the counting of multisets in
`rltheory.analysis.estimators`.
"""

from fractions import Fraction
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis.arrays import IntArray
from rltheory.analysis.estimators.advantages import Group
from rltheory.analysis.estimators.baselines import optimal_baselines
from rltheory.analysis.estimators.outcomes import Outcomes
from rltheory.analysis.estimators.weights import Estimator
from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.theory import dual
from rltheory.theory.tape import Tape

Path = tuple[tuple[int, int], ...]


class Policy(NamedTuple):
    """A softmax policy at a rational point, with the responses that it chooses among.

    rows: (R, V) probabilities; features: (R, V, k) derivatives of the logits; weights: (m,) of
    the prompts; paths: for each of n responses its choices, pairs of row and action;
    starts: (m + 1,) where the responses of each prompt begin; rewards: (n,).
    """

    rows: FractionArray
    features: FractionArray
    weights: FractionArray
    paths: tuple[Path, ...]
    starts: IntArray
    rewards: FractionArray

    def outcomes(self, behaviour: FractionArray | None = None) -> Outcomes:
        """Return all outcomes; behaviour: (R, V) rows that responses are drawn with."""
        mean = (self.rows[:, :, None] * self.features).sum(axis=1, keepdims=True)
        scores = self.features - mean
        return Outcomes(
            probabilities=self.chances(self.rows),
            scores=np.stack([sum(scores[choice] for choice in path) for path in self.paths]),
            rewards=self.rewards,
            weights=self.weights,
            starts=self.starts,
            lengths=self.lengths,
            behaviour=None if behaviour is None else self.chances(behaviour),
        )

    @property
    def lengths(self) -> IntArray:
        """The numbers of choices, (n,)."""
        return np.array([len(path) for path in self.paths])

    @property
    def prompt_of(self) -> IntArray:
        """The prompt of each response, (n,)."""
        return np.repeat(np.arange(len(self.weights)), np.diff(self.starts))

    def chances(self, rows: Any) -> Any:
        """Return the probabilities (n,) of the responses under rows (R, V) of any numbers."""
        return np.array([np.prod([rows[choice] for choice in path]) for path in self.paths])

    def slope(self, direction: FractionArray, quantity: FractionArray) -> Fraction:
        """Return the derivative of E[quantity] along a direction (k,), quantity (n,) held fixed."""
        weights = dual.duals(self.rows, self.rows * (self.features @ direction))
        chances = self.chances(weights / weights.sum(axis=1, keepdims=True))
        result: Fraction = self.weights[self.prompt_of] @ (dual.slopes_of(chances) * quantity)
        return result

    def curvature(self, direction: FractionArray, quantity: FractionArray) -> Fraction:
        """Return the second derivative of E[quantity] along a direction (k,), quantity (n,) fixed.

        By power series up to t^2: the weights of a row are pi(a) exp(t phi(a) . direction).
        """
        change = self.features @ direction
        weights = (self.rows, self.rows * change, self.rows * change * change / 2)
        totals = [terms.sum(axis=1, keepdims=True) for terms in weights]
        series: list[FractionArray] = []
        for order in range(3):
            earlier = sum(series[i] * totals[order - i] for i in range(order))
            series.append(np.asarray((weights[order] - earlier) / totals[0]))
        result = Fraction(0)
        for prompt, path, paid in zip(self.prompt_of, self.paths, quantity, strict=True):
            chance = [Fraction(1), Fraction(0), Fraction(0)]
            for choice in path:
                factor = [terms[choice] for terms in series]
                chance = [
                    sum((chance[i] * factor[n - i] for i in range(n + 1)), Fraction(0))
                    for n in range(3)
                ]
            result += 2 * self.weights[prompt] * chance[2] * paid
        return result


class Moment(NamedTuple):
    """Mean (m, k) of an estimate given each prompt, and its expected squared norm (m,)."""

    means: FractionArray
    seconds: FractionArray


def positive(tape: Tape, count: int) -> FractionArray:
    """Return positive probabilities (count,) of small denominators, even or very uneven."""
    if tape.integer(0, 1):
        weights = [Fraction(tape.integer(1, 8)) for _ in range(count)]
    else:
        weights = [Fraction(4 ** tape.integer(0, 5)) for _ in range(count)]
    array = np.array(weights, dtype=object)
    return np.asarray(array / array.sum())


def payments(tape: Tape, count: int, *, binary: bool = False) -> FractionArray:
    """Return rewards (count,): multiples of 1 / 8 in [-1, 1], or 0 and 1."""
    if binary:
        return to_fractions(np.round(tape.uniform(count)))
    return to_fractions(tape.dyadic(count, -1.0, 1.0, bits=3))


def identity_features(rows: int, actions: int) -> FractionArray:
    """Return the features (rows, actions, rows * actions) of a table: one parameter each."""
    size = rows * actions
    return to_fractions(np.eye(size)).reshape(rows, actions, size)


def shared_features(tape: Tape, rows: int, actions: int, size: int) -> FractionArray:
    """Return features (rows, actions, size), multiples of 1 / 4 in [-1, 1]."""
    return to_fractions(tape.dyadic((rows, actions, size), -1.0, 1.0, bits=2))


def contextual(
    tape: Tape, prompts: int, arms: int, *, shared: bool = False, binary: bool = False
) -> Policy:
    """Return a policy that answers each prompt with one choice.

    shared: two parameters move the logits of all prompts instead of one for each logit.
    """
    return Policy(
        rows=np.stack([positive(tape, arms) for _ in range(prompts)]),
        features=(
            shared_features(tape, prompts, arms, 2) if shared else identity_features(prompts, arms)
        ),
        weights=positive(tape, prompts),
        paths=tuple(((x, a),) for x in range(prompts) for a in range(arms)),
        starts=np.arange(prompts + 1) * arms,
        rewards=payments(tape, prompts * arms, binary=binary),
    )


def bandit(tape: Tape, arms: int, *, shared: bool = False, binary: bool = False) -> Policy:
    """Return a policy with one prompt."""
    return contextual(tape, 1, arms, shared=shared, binary=binary)


def bandit_of(probabilities: FractionArray, rewards: FractionArray) -> Policy:
    """Return the tabular bandit with these probabilities and rewards, (arms,) each."""
    arms = len(probabilities)
    return Policy(
        rows=np.asarray(probabilities)[None],
        features=identity_features(1, arms),
        weights=to_fractions(np.ones(1)),
        paths=tuple(((0, a),) for a in range(arms)),
        starts=np.array([0, arms]),
        rewards=np.asarray(rewards),
    )


def token_tree(tape: Tape, depth: int, *, shared: bool = False) -> Policy:
    """Return answers of up to `depth` binary tokens; the first token, 0, ends one early.

    Every prefix of ones has a row of its own; shared: two parameters move all logits.
    """
    ended = [((*((t, 1) for t in range(end)), (end, 0))) for end in range(depth)]
    paths = (*ended, tuple((t, 1) for t in range(depth)))
    return Policy(
        rows=np.stack([positive(tape, 2) for _ in range(depth)]),
        features=shared_features(tape, depth, 2, 2) if shared else identity_features(depth, 2),
        weights=to_fractions(np.ones(1)),
        paths=paths,
        starts=np.array([0, len(paths)]),
        rewards=payments(tape, len(paths)),
    )


def any_policy(tape: Tape, size: int) -> Policy:
    """Return a bandit, a contextual bandit or a token tree, tabular or with shared parameters."""
    family, shared = tape.integer(0, 2), bool(tape.integer(0, 1))
    if family == 0:
        return bandit(tape, size, shared=shared)
    if family == 1:
        return contextual(tape, 2, 2, shared=shared)
    return token_tree(tape, size - 1, shared=shared)


def direction(tape: Tape, policy: Policy) -> FractionArray:
    """Return a direction (k,) of change, multiples of 1 / 4 in [-1, 1]."""
    return to_fractions(tape.dyadic(policy.features.shape[2], -1.0, 1.0, bits=2))


def ordered_groups(count: int, size: int) -> IntArray:
    """Return all groups of `size` among `count` responses in order, (count ** size, size)."""
    return np.array(list(product(range(count), repeat=size)))


def read(outcomes: Outcomes, members: IntArray, values: FractionArray | None = None) -> Group:
    """Return what weight functions may read of groups (B, G) of outcomes to one prompt.

    values: (m,) what they are told of the expected rewards of the prompts, the truth by default.
    """
    prompt = outcomes.prompt_of[members[:, :1]]
    return Group(
        rewards=outcomes.rewards[members],
        squared_norms=outcomes.squared_norms[members],
        lengths=outcomes.lengths[members].astype(object),
        value=(outcomes.values if values is None else values)[prompt],
        optimal=optimal_baselines(outcomes)[prompt],
        greedy=outcomes.greedy_rewards()[prompt],
    )


def estimates(
    outcomes: Outcomes,
    estimator: Estimator,
    prompt: int,
    size: int,
    values: FractionArray | None = None,
) -> tuple[FractionArray, FractionArray]:
    """Return the probabilities (B,) of all groups of a prompt and what is estimated, (B, k).

    Scores are multiplied by the ratios of whole responses; no other gate is applied.
    values: as `read` has them, so that VALUE takes any baselines of the prompts.
    """
    first, last = outcomes.starts[prompt], outcomes.starts[prompt + 1]
    members = first + ordered_groups(last - first, size)
    weights = estimator.weights(read(outcomes, members, values)) * outcomes.ratios[members]
    summed = (weights[:, :, None] * outcomes.scores[members]).sum(axis=1)
    return np.prod(outcomes.drawn[members], axis=1), np.asarray(summed)


def moments(
    outcomes: Outcomes, estimator: Estimator, size: int, values: FractionArray | None = None
) -> Moment:
    """Return the moments of an estimate from one group of each prompt, by all ordered groups."""
    means, seconds = [], []
    for prompt in range(len(outcomes.weights)):
        chances, found = estimates(outcomes, estimator, prompt, size, values)
        means.append(chances @ found)
        seconds.append(chances @ (found * found).sum(axis=1))
    return Moment(np.stack(means), np.array(seconds, dtype=object))


def mean(
    outcomes: Outcomes, estimator: Estimator, size: int, values: FractionArray | None = None
) -> FractionArray:
    """Return the mean (k,) of an estimate, over prompts and all ordered groups."""
    return np.asarray(outcomes.weights @ moments(outcomes, estimator, size, values).means)


def variance(outcomes: Outcomes, estimator: Estimator, size: int) -> Fraction:
    """Return the trace of the covariance of an estimate from one prompt and one group."""
    found = moments(outcomes, estimator, size)
    middle = outcomes.weights @ found.means
    result: Fraction = outcomes.weights @ found.seconds - middle @ middle
    return result


def energies(outcomes: Outcomes) -> FractionArray:
    """Return E[||g||^2 | x], (m,)."""
    return outcomes.given_prompt(outcomes.squared_norms)


def baseline_variance(outcomes: Outcomes, baselines: FractionArray) -> Fraction:
    """Return the variance of g (r - b(x)) from a single response, baselines (m,), as the sum."""
    away = outcomes.rewards - baselines[outcomes.prompt_of]
    vectors = away[:, None] * outcomes.scores
    middle = vectors.T @ outcomes.joint
    result: Fraction = outcomes.joint @ (vectors * vectors).sum(axis=1) - middle @ middle
    return result


def prompt_gradients(outcomes: Outcomes) -> FractionArray:
    """Return the gradients (m, k) of the expected rewards of the prompts."""
    products = (outcomes.probabilities * outcomes.rewards)[:, None] * outcomes.scores
    return np.asarray(np.add.reduceat(products, outcomes.starts[:-1], axis=0))
