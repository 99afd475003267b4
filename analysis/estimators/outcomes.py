"""All outcomes of a policy at one point: probabilities, rewards and scores, as flat arrays.

Every expectation of an estimator is a finite sum over these arrays. They are floats, or Fractions
throughout, in which case every sum that stays rational is exact.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from rltheory.analysis.arrays import (
    ROW_SUM_TOLERANCE,
    FloatArray,
    IntArray,
    as_float_array,
    check_finite,
    check_magnitude,
    check_shape,
    read_only,
)
from rltheory.analysis.estimators.parametrisations import Parametrisation
from rltheory.analysis.rational import to_fractions


@dataclass(frozen=True, eq=False)
class Choices:
    """How each outcome came about, choice by choice; T choices at most.

    policy: (R, V) probabilities of the actions of each row; rows, actions: (n, T), -1 past the end;
    ratios: (n, T) policy over behaviour at each choice, 1 past the end; floats or Fractions, as
    the policy. Raises ValueError if a shape does not fit.
    """

    parametrisation: Parametrisation
    parameters: FloatArray
    policy: NDArray[Any]
    rows: IntArray
    actions: IntArray
    ratios: NDArray[Any]

    def __post_init__(self) -> None:
        check_shape(
            self.policy, "policy", (self.parametrisation.rows, self.parametrisation.actions)
        )
        check_shape(self.rows, "rows", (None, None))
        check_shape(self.actions, "actions", self.rows.shape)
        check_shape(self.ratios, "ratios", self.rows.shape)

    def scores(self, coefficients: NDArray[Any]) -> Any:
        """Return sum over t of coefficients[i, t] times the score of choice t, (n, k)."""
        return self.parametrisation.path_scores(
            self.parameters, self.policy, self.rows, self.actions, coefficients
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Outcomes:
    r"""What a policy may answer to each prompt, with what probability, reward and score.

    Outcomes of prompt x are entries `starts[x]` to `starts[x + 1]` of the arrays of n outcomes.

    probabilities: (n,) pi(y | x), summing to 1 for each prompt; scores: (n, k) gradient of
    log pi(y | x), an array or a SciPy CSR array; rewards: (n,).
    weights: (m,) probabilities of the prompts, one prompt by default; starts: (m + 1,).
    lengths: (n,) numbers of choices, 1 by default; only what depends on lengths reads them.
    behaviour: (n,) probabilities with which responses are drawn, the policy's own by default.
    greedy: (m,) reward of the greedy response, by default that of a most probable outcome.
    choices: what token-level estimators need beyond.

    Entries of one array that are Fractions make all arrays Fractions, floats being taken as the
    Fractions that they are; probabilities must then sum to 1 exactly. Raises TypeError for entries
    that are no numbers; ValueError naming the argument if a shape does not fit, an entry is not
    finite or so large that squares overflow, a row is no distribution, or an outcome of the policy
    is never drawn by the behaviour.
    """

    probabilities: NDArray[Any]
    scores: Any
    rewards: NDArray[Any]
    weights: Any = None
    starts: Any = None
    lengths: Any = None
    behaviour: NDArray[Any] | None = None
    greedy: NDArray[Any] | None = None
    choices: Choices | None = None

    def __post_init__(self) -> None:
        exact = any(
            _holds_fractions(given)
            for given in (
                self.probabilities,
                self.scores,
                self.rewards,
                self.weights,
                self.behaviour,
                self.greedy,
            )
        )
        probabilities = _numbers(self.probabilities, "probabilities", (None,), exact)
        n = len(probabilities)
        weights = _numbers([1] if self.weights is None else self.weights, "weights", (None,), exact)
        m = len(weights)
        for count, name, thing in ((n, "probabilities", "outcome"), (m, "weights", "prompt")):
            if count == 0:
                raise ValueError(f"{name} is empty; expected at least one {thing}")
        starts = checked_starts([0, n] if self.starts is None else self.starts, m, n)
        settled: dict[str, Any] = {
            "probabilities": probabilities,
            "scores": _score_table(self.scores, n, exact),
            "rewards": _numbers(self.rewards, "rewards", (n,), exact),
            "weights": weights,
            "starts": starts,
            "lengths": _lengths(self.lengths, n, exact),
        }
        _check_rows(weights, np.array([0, m]), "weights")
        _check_rows(probabilities, starts, "probabilities")
        if self.behaviour is not None:
            settled["behaviour"] = behaviour = _numbers(self.behaviour, "behaviour", (n,), exact)
            _check_rows(behaviour, starts, "behaviour")
            _check_support(probabilities, behaviour)
        if not exact:
            _check_sizes(settled["rewards"], settled["scores"])
        if self.choices is not None:
            if not isinstance(self.choices, Choices):
                raise TypeError(f"choices must be Choices; got {type(self.choices).__name__}")
            check_shape(self.choices.rows, "choices.rows", (n, None))
        if self.greedy is not None:
            settled["greedy"] = _numbers(self.greedy, "greedy", (m,), exact)
        for name, array in settled.items():
            held = array if sparse.issparse(array) else read_only(array)
            object.__setattr__(self, name, held)

    @property
    def exact(self) -> bool:
        """Whether the arrays hold Fractions."""
        return self.probabilities.dtype == object

    @cached_property
    def prompt_of(self) -> IntArray:
        """The prompt of each outcome, (n,)."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    @property
    def drawn(self) -> NDArray[Any]:
        """The probabilities (n,) with which responses to a prompt are drawn."""
        return self.probabilities if self.behaviour is None else self.behaviour

    @cached_property
    def ratios(self) -> NDArray[Any]:
        """Policy over behaviour for whole responses, (n,); 1 for what is never drawn."""
        if self.behaviour is None:
            return np.ones_like(self.probabilities)
        # Where the behaviour is 0 so is the policy: any ratio will do, as it is never met.
        met = np.where(self.behaviour == 0, 1 + 0 * self.behaviour, self.behaviour)
        return np.asarray(np.where(self.behaviour == 0, met, self.probabilities / met))

    @cached_property
    def squared_norms(self) -> NDArray[Any]:
        """Squared Euclidean norms of the scores, (n,)."""
        if sparse.issparse(self.scores):
            return np.asarray(self.scores.power(2).sum(axis=1)).ravel()
        return np.asarray((self.scores * self.scores).sum(axis=1))

    @cached_property
    def joint(self) -> NDArray[Any]:
        """Probabilities of prompt and response together, under the policy, (n,)."""
        return np.asarray(self.weights[self.prompt_of] * self.probabilities)

    def given_prompt(self, quantity: NDArray[Any]) -> NDArray[Any]:
        """Return the expectations E[quantity | prompt] under the policy, (m,), of (n,)."""
        return np.asarray(np.add.reduceat(self.probabilities * quantity, self.starts[:-1]))

    @cached_property
    def values(self) -> NDArray[Any]:
        """Expected rewards of the prompts, (m,)."""
        return self.given_prompt(self.rewards)

    @property
    def value(self) -> Any:
        """The objective J, a number."""
        return self.weights @ self.values

    @cached_property
    def gradient(self) -> NDArray[Any]:
        """The gradient of J, (k,): the expectation of reward times score."""
        return np.asarray(self.scores.T @ (self.joint * self.rewards))

    def greedy_rewards(self) -> NDArray[Any]:
        """Return `greedy`, or the rewards (m,) of a most probable outcome of each prompt."""
        if self.greedy is not None:
            return self.greedy
        tops = [a + self.probabilities[a:b].argmax() for a, b in pairwise(self.starts)]
        return np.asarray(self.rewards[tops])

    def as_one_prompt(self) -> "Outcomes":
        """Return the same outcomes with the prompt as part of the draw: one prompt in all."""
        behaviour = None
        if self.behaviour is not None:
            behaviour = self.weights[self.prompt_of] * self.behaviour
        return replace(
            self,
            probabilities=self.joint,
            behaviour=behaviour,
            weights=None,
            starts=None,
            greedy=None,
        )


def _holds_fractions(given: Any) -> bool:
    if given is None or sparse.issparse(given):
        return False
    try:
        array = np.asarray(given)
    except ValueError:
        # Ragged; the check of the numbers names the argument.
        return False
    return array.dtype == object and any(isinstance(entry, Fraction) for entry in array.flat)


def _numbers(
    given: ArrayLike, name: str, shape: tuple[int | None, ...], exact: bool
) -> NDArray[Any]:
    # Floats first: a NaN has no Fraction, and its error should name its place.
    array = as_float_array(given, name, shape)
    check_finite(array, name)
    return to_fractions(np.asarray(given)) if exact else array


def _score_table(given: Any, n: int, exact: bool) -> Any:
    if sparse.issparse(given):
        if exact:
            raise TypeError("scores is a sparse table; Fractions need a dense one")
        table = sparse.csr_array(given, dtype=np.float64)
        check_shape(table, "scores", (n, None))
        check_finite(table.data, "scores")
    else:
        table = _numbers(given, "scores", (n, None), exact)
    if not table.shape[1]:
        raise ValueError(f"scores has shape {table.shape}; expected at least one parameter")
    return table


def checked_integers(given: Any, name: str, shape: tuple[int | None, ...]) -> IntArray:
    """Return an array of integers of a shape; raise ValueError for any other, floats included."""
    array = np.asarray(given)
    if array.dtype == object and all(isinstance(entry, int) for entry in array.flat):
        array = array.astype(np.int64)
    check_shape(array, name, shape)
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name} has entries of type {array.dtype}; expected integers")
    return array.astype(np.int64)


def checked_starts(given: Any, prompts: int, outcomes: int) -> IntArray:
    """Return where the outcomes of each prompt start, (prompts + 1,); raise ValueError if not."""
    starts = checked_integers(given, "starts", (prompts + 1,))
    if np.any(np.diff(starts) < 1) or starts[0] != 0 or starts[-1] != outcomes:
        raise ValueError(
            f"starts is {starts.tolist()}; expected increasing integers from 0 to {outcomes}"
        )
    return starts


def _lengths(given: Any, n: int, exact: bool) -> NDArray[Any]:
    lengths = checked_integers(np.ones(n, dtype=int) if given is None else given, "lengths", (n,))
    if lengths.min() < 1:
        raise ValueError(
            f"lengths[{lengths.argmin()}] is {lengths.min()}; expected integers of at least 1"
        )
    # Next to Fractions integers must be Python's own, which do not overflow.
    return lengths.astype(object) if exact else lengths


def _check_sizes(rewards: FloatArray, scores: Any) -> None:
    entries = scores.data if sparse.issparse(scores) else scores
    largest = max(1.0, float(np.abs(entries).max(initial=0.0)))
    check_magnitude(float(np.abs(rewards).max()) * largest, "rewards times scores are")
    check_magnitude(largest, "scores are")


def _check_support(probabilities: NDArray[Any], behaviour: NDArray[Any]) -> None:
    lost = np.flatnonzero((behaviour == 0) & (probabilities > 0))
    if len(lost):
        raise ValueError(
            f"behaviour[{lost[0]}] is 0 where the policy has probability "
            f"{float(probabilities[lost[0]]):.3g}; a ratio needs the behaviour's support"
        )
    if behaviour.dtype != object:
        there = behaviour > 0
        with np.errstate(over="ignore"):
            largest = (probabilities[there] / behaviour[there]).max()
        check_magnitude(float(largest), "ratios of the policy to the behaviour are")


def _check_rows(array: NDArray[Any], starts: IntArray, name: str) -> None:
    """Raise ValueError unless every stretch of the array is a distribution."""
    if array.min() < 0:
        raise ValueError(f"{name}[{array.argmin()}] is {array.min()}; probabilities must be >= 0")
    sums = np.add.reduceat(array, starts[:-1])
    exact = array.dtype == object
    wrong = sums != 1 if exact else ~(np.abs(sums - 1.0) <= ROW_SUM_TOLERANCE)
    if np.any(wrong):
        x = int(np.flatnonzero(wrong)[0])
        label = f"{name} of prompt {x}" if len(sums) > 1 else name
        found = str(sums[x]) if exact else f"{sums[x]:.10g}"
        tolerance = "exactly, as Fractions" if exact else f"(tolerance {ROW_SUM_TOLERANCE:g})"
        raise ValueError(f"{label} sum to {found}; expected 1 {tolerance}")
