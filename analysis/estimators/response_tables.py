"""Responses of a sampling model as static tables, and a batch of policies laid over them.

Everything that a learner needs of many parameter vectors at once: probabilities of all responses,
J, draws by inverse distribution functions, squared norms of scores. One code for arrays of NumPy
and JAX; the first axis runs over the vectors, and no result depends on the others in the batch.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis.arrays import FloatArray, IntArray
from rltheory.analysis.backends import array_module
from rltheory.analysis.estimators.draw_kernels import invert
from rltheory.analysis.estimators.parametrisations import Linear, Parametrisation, Tabular
from rltheory.analysis.estimators.sampling_model import SamplingModel

_SHORT = 16


class State(NamedTuple):
    """Policies at s parameter vectors.

    parameters: (s, k); policy: (s, R, V); probabilities: (s, n) of responses given the prompt.
    """

    parameters: Any
    policy: Any
    probabilities: Any


class Batch(NamedTuple):
    """Drawn prompts (s, N) and responses (s, N, G), as numbers in the model's arrays."""

    prompts: Any
    responses: Any


@dataclass(frozen=True, eq=False)
class ResponseTables:
    """Static tables of a model in the arrays of one backend.

    xp: numpy or jax.numpy. choices: (n, T) row * V + action, R * V past the end; ends: whether
    there are such; certain: whether all chances are 1; lengths: (n,) at least 1;
    firsts, lasts: (m,) ends of the prompts' responses; share: (n,) probability of the
    prompt times the reward; cumulative: (m,) of the prompts. visits: (n, R); base: (n, k) sums of
    the features along responses, both None unless norms of scores need them.
    """

    xp: Any
    model: SamplingModel
    choices: Any
    rewards: Any
    lengths: Any
    chances: Any
    prompt_of: Any
    firsts: Any
    lasts: Any
    starts: IntArray
    share: Any
    cumulative: Any
    visits: Any
    base: Any
    rounds: int
    ends: bool
    certain: bool

    @classmethod
    def of(cls, model: SamplingModel, backend: str) -> "ResponseTables":
        """Return the tables of a model; raises ValueError for an unknown backend."""
        xp = array_module(backend)
        policy = model.parametrisation
        ended = policy.rows * policy.actions
        choices = np.where(model.rows >= 0, model.rows * policy.actions + model.actions, ended)
        counts = np.diff(model.starts)
        # Along paths without a return tabular scores have a closed norm, and one choice has its
        # own; other parametrisations sum features over responses.
        response, row, count = visits_of(model)
        once = count.max(initial=1) == 1
        simple = model.rows.shape[1] == 1 or (isinstance(policy, Tabular) and once)
        base: Any = None
        if not simple and isinstance(policy, (Tabular, Linear)):
            flat = np.asarray(policy.features(np.zeros(policy.size))).reshape(-1, policy.size)
            base = np.concatenate([flat, np.zeros((1, policy.size))])[choices].sum(axis=1)
        visits: Any = None
        if not simple:
            visits = np.zeros((len(model.rewards), policy.rows))
            visits[response, row] = count
            visits = xp.asarray(visits)
        return cls(
            xp=xp,
            model=model,
            choices=xp.asarray(choices),
            rewards=xp.asarray(model.rewards),
            lengths=xp.asarray(np.maximum(model.lengths, 1)),
            chances=xp.asarray(model.chances),
            prompt_of=xp.asarray(model.prompt_of),
            firsts=xp.asarray(model.starts[:-1]),
            lasts=xp.asarray(model.starts[1:] - 1),
            starts=model.starts,
            share=xp.asarray(model.weights[model.prompt_of] * model.rewards),
            cumulative=xp.asarray(np.cumsum(model.weights)),
            visits=visits,
            base=None if base is None else xp.asarray(base),
            rounds=int(counts.max() - 1).bit_length(),
            ends=bool((model.rows < 0).any()),
            certain=bool((model.chances == 1).all()),
        )

    @property
    def parametrisation(self) -> Parametrisation:
        """The policy's."""
        return self.model.parametrisation

    def state(self, parameters: Any) -> State:
        """Return the policies at parameters (s, k)."""
        xp = self.xp
        logits = self._logits(parameters)
        powers = xp.exp(logits - fold(xp.maximum, logits))
        policy = powers / fold(xp.add, powers)
        drawn = self.along(policy, xp.multiply)
        return State(parameters, policy, drawn if self.certain else self.chances * drawn)

    def _logits(self, parameters: Any) -> Any:
        # One product for each vector: the bits of a joint one depend on how many there are.
        return self.parametrisation.logits(parameters[:, None])[:, 0]

    def along(self, table: Any, operation: Any) -> Any:
        """Return sums or products along responses, (s, n), of numbers of choices (s, R, V).

        operation: add or multiply of the arrays' module; choices past the end change nothing.
        """
        flat = table.reshape(len(table), -1)
        if self.ends:
            past = self.xp.full((len(flat), 1), operation is self.xp.multiply, dtype=flat.dtype)
            flat = self.xp.concatenate([flat, past], axis=1)
        total = self.xp.take(flat, self.choices[:, 0], axis=1)
        for t in range(1, self.choices.shape[1]):
            total = operation(total, self.xp.take(flat, self.choices[:, t], axis=1))
        return total

    def log_ratios(self, state: State, others: State) -> Any:
        """Return the logarithms (s, R, V) of one policy's probabilities over another's."""
        logs = []
        for parameters in (state.parameters, others.parameters):
            logits = self._logits(parameters)
            shifted = logits - fold(self.xp.maximum, logits)
            logs.append(shifted - self.xp.log(fold(self.xp.add, self.xp.exp(shifted))))
        return logs[0] - logs[1]

    def values(self, state: State) -> Any:
        """Return J of each policy, (s,)."""
        return (state.probabilities * self.share).sum(axis=-1)

    def draw(self, state: State, uniforms: Any) -> Batch:
        """Return what uniforms (s, N, 1 + G) draw: the first of each row the prompt, the others it.

        By inversion: the first response whose cumulative probability exceeds the uniform.
        """
        if self.xp is np:
            ends = (self.cumulative, self.firsts, self.lasts)
            return Batch(*invert(state.probabilities, uniforms, *ends))
        xp, (s, groups, width) = self.xp, uniforms.shape
        shape = (s, groups, width - 1)
        sums = xp.cumsum(state.probabilities, axis=1)
        ends = xp.take(sums, self.lasts, axis=1)
        prompts = xp.zeros((s, groups), dtype=int)
        for edge in self.cumulative[:-1]:
            prompts = prompts + (uniforms[..., 0] >= edge)
        before = xp.concatenate([xp.zeros((s, 1)), ends[:, :-1]], axis=1)
        least = gather(xp, before, prompts)[..., None]
        most = gather(xp, ends, prompts)[..., None]
        aim = (least + uniforms[..., 1:] * (most - least)).reshape(s, -1)
        found = xp.zeros(shape, dtype=int) + self.firsts[prompts][..., None]
        found = found.reshape(aim.shape)
        # Steps of halving length; past the last response of the prompt sums exceed the aim.
        for power in range(self.rounds - 1, -1, -1):
            probe = xp.minimum(found + (2**power - 1), sums.shape[1] - 1)
            found = found + (gather(xp, sums, probe) <= aim) * 2**power
        # A uniform next to 1 may be rounded up to the end.
        last = self.lasts[prompts][..., None]
        return Batch(prompts, xp.minimum(found.reshape(shape), last))

    def features(self, state: State) -> Any:
        """Return the derivatives of the logits, (R, V, k) or (s, R, V, k)."""
        return self.xp.asarray(self.parametrisation.features(state.parameters))

    def squared_norms(self, state: State) -> Any:
        """Return the squared norms of the scores of all responses, (s, n)."""
        xp, policy = self.xp, state.policy
        if self.visits is None and isinstance(self.parametrisation, Tabular):
            # 1 - 2 pi_a + ||pi||^2 without its cancellation where pi_a is close to 1.
            others = xp.ones((policy.shape[-1],) * 2) - xp.eye(policy.shape[-1])
            norms = (policy @ others) ** 2 + (policy * policy) @ others
            return self.along(norms, xp.add)
        phi = self.features(state)
        # Term by term, as short axes are slow to sum over in NumPy.
        mean = sum(policy[..., v, None] * phi[..., v, :] for v in range(policy.shape[-1]))
        if self.visits is None:
            if phi.shape[-1] <= _SHORT:
                norms = sum((phi[..., j] - mean[..., j, None]) ** 2 for j in range(phi.shape[-1]))
            else:
                norms = ((phi - mean[..., None, :]) ** 2).sum(axis=-1)
            return self.along(xp.broadcast_to(norms, policy.shape), xp.add)
        base = self.base
        if base is None:
            flat = phi.reshape(*phi.shape[:-3], -1, phi.shape[-1])
            none = xp.zeros((*flat.shape[:-2], 1, flat.shape[-1]))
            base = xp.concatenate([flat, none], axis=-2)[..., self.choices, :].sum(axis=-2)
        scores = base - self.visits @ mean
        return (scores * scores).sum(axis=-1)

    def given_prompt(self, quantity: Any) -> Any:
        """Return the sums over the responses to each prompt, (s, m), of (s, n)."""
        if self.xp is np:
            return np.add.reduceat(quantity, self.starts[:-1], axis=1)
        m = len(self.starts) - 1
        return self.xp.zeros((len(quantity), m)).at[:, self.prompt_of].add(quantity)

    def greedy(self, state: State) -> Any:
        """Return the expected rewards (s, m) where every row takes its likeliest action."""
        xp = self.xp
        best = state.policy.argmax(axis=-1)
        chosen = best[..., None] == xp.arange(self.parametrisation.actions)
        followed = self.along(chosen, xp.multiply)
        return self.given_prompt(xp.where(followed, self.chances * self.rewards, 0.0))


def visits_of(model: SamplingModel) -> tuple[IntArray, IntArray, IntArray]:
    """Return which responses visit which rows, and how often: three arrays of one length."""
    response, time = np.nonzero(model.rows >= 0)
    width = model.parametrisation.rows
    pairs, count = np.unique(response * width + model.rows[response, time], return_counts=True)
    return pairs // width, pairs % width, count


def fold(operation: Any, array: Any) -> Any:
    """Return the last axis folded to length 1: many short rows are slow to reduce in NumPy."""
    if array.shape[-1] > _SHORT:
        reduce = {"add": array.sum, "maximum": array.max}[operation.__name__]
        return reduce(axis=-1, keepdims=True)
    total = array[..., :1]
    for i in range(1, array.shape[-1]):
        total = operation(total, array[..., i : i + 1])
    return total


def gather(xp: Any, table: Any, index: Any) -> Any:
    """Return table[i, index[i, ...]] for each i, of a table (s, n) and an index (s, ...)."""
    s, n = table.shape
    rows = xp.arange(s) * n
    return xp.take(table.reshape(-1), index + rows.reshape(-1, *[1] * (index.ndim - 1)))


def uniforms(
    generators: list[np.random.Generator], steps: int, prompts: int, size: int
) -> FloatArray:
    """Return the next uniforms (steps, s, prompts, 1 + size) of each seed's generator.

    What a seed draws at a step does not depend on how steps are cut into calls.
    """
    drawn = np.empty((steps, len(generators), prompts, 1 + size))
    for i, generator in enumerate(generators):
        drawn[:, i] = generator.random((steps, prompts, 1 + size))
    return drawn
