"""A finite sampling model: prompts, responses made of choices, rewards, and a softmax policy.

A response is a path of choices; each choice takes one of V actions at one of R rows of the policy.
Bandits (one choice), contextual bandits (a row for each prompt), token trees (a row for each
prefix) and trajectories of an MDP (a row for each state, and chance) are all of this form.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from rltheory.analysis.arrays import (
    FloatArray,
    IntArray,
    as_float_array,
    check_distributions,
    check_finite,
    check_magnitude,
    read_only,
)
from rltheory.analysis.backends import jax_module, namespace
from rltheory.analysis.estimators.outcomes import (
    Choices,
    Outcomes,
    checked_integers,
    checked_starts,
)
from rltheory.analysis.estimators.parametrisations import Parametrisation, parametrisation_of
from rltheory.analysis.simplex import log_softmax


@dataclass(frozen=True, eq=False, kw_only=True)
class SamplingModel:
    """Prompts, the responses to each, and the policy that chooses among them.

    weights: (m,) probabilities of the prompts. starts: (m + 1,), responses to prompt x are
    entries `starts[x]` to `starts[x + 1]` of the following arrays of n responses.
    rewards: (n,). rows, actions: (n, T) the choices of a response, -1 past its end.
    chances: (n,) probability of all that the policy does not choose, 1 by default.
    parametrisation: of R rows and V actions.

    Raises ValueError naming the argument if a shape does not fit, an entry is out of range, or
    the probabilities of the responses to a prompt do not sum to 1, whatever the policy.
    """

    weights: FloatArray
    starts: IntArray
    rewards: FloatArray
    rows: IntArray
    actions: IntArray
    parametrisation: Parametrisation
    chances: Any = None

    def __post_init__(self) -> None:
        rewards = as_float_array(self.rewards, "rewards", (None,))
        check_finite(rewards, "rewards")
        n = len(rewards)
        weights = as_float_array(self.weights, "weights", (None,))
        if not len(weights):
            raise ValueError("weights is empty; expected at least one prompt")
        check_distributions(weights, "weights")
        starts = checked_starts(self.starts, len(weights), n)
        rows = checked_integers(self.rows, "rows", (n, None))
        actions = checked_integers(self.actions, "actions", rows.shape)
        if not rows.size:
            raise ValueError(f"rows has shape {rows.shape}; expected at least one choice")
        if not isinstance(self.parametrisation, Parametrisation):
            raise TypeError(
                "parametrisation must be a Parametrisation; "
                f"got {type(self.parametrisation).__name__}"
            )
        policy = self.parametrisation
        for array, name, end in ((rows, "rows", policy.rows), (actions, "actions", policy.actions)):
            if array.min() < -1 or array.max() >= end:
                raise ValueError(f"{name} has entries outside -1 to {end - 1}")
        ended = rows < 0
        if np.any(ended != (actions < 0)) or np.any(ended[:, :-1] & ~ended[:, 1:]):
            raise ValueError(
                "rows and actions must be -1 together, and only past the end of a path"
            )
        chances = as_float_array(
            np.ones(n) if self.chances is None else self.chances, "chances", (n,)
        )
        check_finite(chances, "chances")
        if chances.min() < 0:
            raise ValueError(f"chances[{chances.argmin()}] is {chances.min()}; expected >= 0")
        settled: dict[str, Any] = {
            "rewards": rewards,
            "weights": weights,
            "starts": starts,
            "rows": rows,
            "actions": actions,
            "chances": chances,
        }
        for name, array in settled.items():
            object.__setattr__(self, name, read_only(array))
        self._check_sums()

    @property
    def size(self) -> int:
        """The number of parameters."""
        return self.parametrisation.size

    @cached_property
    def lengths(self) -> IntArray:
        """The number of choices of each response, (n,)."""
        return np.asarray((self.rows >= 0).sum(axis=1))

    @cached_property
    def prompt_of(self) -> IntArray:
        """The prompt of each response, (n,)."""
        return np.repeat(np.arange(len(self.weights)), np.diff(self.starts))

    def policy(self, parameters: FloatArray) -> FloatArray:
        """Return the probabilities (R, V) of the actions of each row."""
        return np.asarray(np.exp(log_softmax(self.parametrisation.logits(self._point(parameters)))))

    def value(self, parameters: Any) -> Any:
        """Return the objective J, the expected reward, of parameters (k,).

        A float, or a number of JAX for an array of JAX, so that J can be differentiated.
        """
        probabilities = self._probabilities(self._logs(parameters))
        value = (self.weights[self.prompt_of] * probabilities) @ self.rewards
        return float(value) if namespace(value) is np else value

    def at(self, parameters: FloatArray, *, behaviour: FloatArray | None = None) -> Outcomes:
        """Return all outcomes of the policy with these parameters (k,).

        behaviour: parameters (k,) of the policy that draws the responses, the same by default.
        Raises ValueError if parameters do not have the shape (k,) or are not finite, or if a
        ratio of the two policies is beyond what a float can square.
        """
        point = self._point(parameters)
        logs = np.asarray(self._logs(point))
        ratios = np.ones(self.rows.shape)
        drawn = None
        if behaviour is not None:
            others = np.asarray(self._logs(self._point(behaviour, "behaviour")))
            with np.errstate(over="ignore"):
                ratios = np.exp((logs - others)[self.rows, self.actions])
            ratios = np.where(self.rows >= 0, ratios, 1.0)
            check_magnitude(float(ratios.max()), "ratios of the policy to the behaviour are")
            drawn = np.asarray(self._probabilities(others))
        choices = Choices(
            parametrisation=self.parametrisation,
            parameters=point,
            policy=np.exp(logs),
            rows=self.rows,
            actions=self.actions,
            ratios=ratios,
        )
        return Outcomes(
            probabilities=np.asarray(self._probabilities(logs)),
            scores=choices.scores(np.ones(self.rows.shape)),
            rewards=self.rewards,
            weights=self.weights,
            starts=self.starts,
            lengths=np.maximum(self.lengths, 1),
            behaviour=drawn,
            greedy=self._greedy(logs),
            choices=choices,
        )

    def _logs(self, parameters: Any) -> Any:
        """Return the logarithms (R, V) of the probabilities, as an array of NumPy or JAX."""
        if namespace(parameters) is np:
            return log_softmax(self.parametrisation.logits(self._point(parameters)))
        logits = self.parametrisation.logits(parameters)
        return jax_module().nn.log_softmax(logits)

    def _point(self, parameters: FloatArray, name: str = "parameters") -> FloatArray:
        point = as_float_array(parameters, name, (self.size,))
        check_finite(point, name)
        return point

    def _probabilities(self, logs: Any) -> Any:
        """Return the probabilities (n,) of responses given the prompt."""
        xp = namespace(logs)
        chosen = xp.where(self.rows >= 0, logs[self.rows, self.actions], 0.0)
        return self.chances * xp.exp(chosen.sum(axis=1))

    def _greedy(self, logs: FloatArray) -> FloatArray:
        """Return the expected rewards (m,) where every row takes its likeliest action."""
        best = logs.argmax(axis=1)
        followed = np.all((self.rows < 0) | (best[self.rows] == self.actions), axis=1)
        terms = np.where(followed, self.chances * self.rewards, 0.0)
        return np.asarray(np.add.reduceat(terms, self.starts[:-1]))

    def _check_sums(self) -> None:
        # A prefix code sums to one under every policy; two policies tell the others apart.
        rows, actions = self.parametrisation.rows, self.parametrisation.actions
        for seed in (0, 1):
            logs = log_softmax(np.random.default_rng(seed).standard_normal((rows, actions)))
            sums = np.add.reduceat(self._probabilities(logs), self.starts[:-1])
            bad = np.flatnonzero(~(np.abs(sums - 1.0) <= 1e-9))
            if len(bad):
                raise ValueError(
                    f"the responses to prompt {bad[0]} have total probability {sums[bad[0]]:.10g} "
                    "under some policy; expected 1 under every policy"
                )


def softmax_bandit(rewards: FloatArray, *, parametrisation: Any = "tabular") -> SamplingModel:
    """Return a bandit whose arms pay `rewards` (A,).

    parametrisation: "tabular", features (1, A, k), or a Parametrisation of 1 row.
    """
    array = as_float_array(rewards, "rewards", (None,))
    return contextual_bandit(array[None], parametrisation=parametrisation)


def contextual_bandit(
    rewards: FloatArray, *, weights: FloatArray | None = None, parametrisation: Any = "tabular"
) -> SamplingModel:
    """Return a model whose prompts each ask for one choice; rewards (m, A).

    weights: (m,) probabilities of the prompts, uniform by default. parametrisation: "tabular",
    features (m, A, k) shared by the prompts, or a Parametrisation of m rows.
    """
    array = as_float_array(rewards, "rewards", (None, None))
    m, arms = array.shape
    if not array.size:
        raise ValueError(f"rewards has shape {array.shape}; expected at least one prompt and arm")
    return SamplingModel(
        weights=np.full(m, 1.0 / m) if weights is None else weights,
        starts=np.arange(m + 1) * arms,
        rewards=array.ravel(),
        rows=np.repeat(np.arange(m), arms)[:, None],
        actions=np.tile(np.arange(arms), m)[:, None],
        parametrisation=parametrisation_of(parametrisation, m, arms),
    )
