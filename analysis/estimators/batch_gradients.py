"""Estimates of the gradient from drawn batches: weights by an estimator's record, scores, sums.

The weight of a response is the estimator's, which reads the drawn group and, where it asks, what is
known of the prompt; sums of weighted scores are made in the space of logits, where a choice touches
one row, and then carried to the parameters. NumPy or JAX, as the tables are.
"""

from functools import cached_property
from typing import Any, cast

import numpy as np

from rltheory.analysis.arrays import (
    FloatArray,
    as_float_array,
    as_generator,
    check_finite,
    check_positive_integer,
)
from rltheory.analysis.estimators.advantages import Group
from rltheory.analysis.estimators.draw_kernels import sum_scores
from rltheory.analysis.estimators.parametrisations import Tabular
from rltheory.analysis.estimators.response_tables import (
    Batch,
    ResponseTables,
    State,
    fold,
    gather,
)
from rltheory.analysis.estimators.sampling_model import SamplingModel
from rltheory.analysis.estimators.weights import Estimator, estimator_of

_CHUNK = 2**21
"""Entries of a table of groups and logits that are worked on at a time."""


class _Drawn:
    """A `Group` of drawn responses whose fields are worked out when they are read."""

    def __init__(
        self,
        tables: ResponseTables,
        state: State,
        batch: Batch,
        shape: tuple[int, ...],
        drawn_by: State | None,
    ):
        self._tables, self._state, self._batch = tables, state, batch
        self._shape, self._drawn_by = shape, drawn_by

    @cached_property
    def rewards(self) -> Any:
        return self._tables.rewards[self._batch.responses].reshape(self._shape)

    @cached_property
    def lengths(self) -> Any:
        return self._tables.lengths[self._batch.responses].reshape(self._shape)

    @cached_property
    def squared_norms(self) -> Any:
        norms = self._all_norms if self._ratios is None else self._ratios**2 * self._all_norms
        return gather(self._tables.xp, norms, self._batch.responses).reshape(self._shape)

    @cached_property
    def value(self) -> Any:
        return self._of_prompt(self._values)

    @cached_property
    def optimal(self) -> Any:
        tables, masses = self._tables, self._state.probabilities * self._all_norms
        if self._ratios is not None:
            masses = masses * self._ratios
        norms = tables.given_prompt(masses)
        weighted = tables.given_prompt(masses * tables.rewards)
        safe = tables.xp.where(norms > 0, norms, 1.0)
        return self._of_prompt(tables.xp.where(norms > 0, weighted / safe, self._values))

    @cached_property
    def greedy(self) -> Any:
        return self._of_prompt(self._tables.greedy(self._state))

    @cached_property
    def _all_norms(self) -> Any:
        return self._tables.squared_norms(self._state)

    @cached_property
    def _ratios(self) -> Any:
        if self._drawn_by is None:
            return None
        logs = self._tables.log_ratios(self._state, self._drawn_by)
        return self._tables.xp.exp(self._tables.along(logs, self._tables.xp.add))

    @cached_property
    def _values(self) -> Any:
        return self._tables.given_prompt(self._state.probabilities * self._tables.rewards)

    def _of_prompt(self, table: Any) -> Any:
        """Lay numbers of prompts (s, m) over the groups: one each, or one for each member."""
        found = gather(self._tables.xp, table, self._batch.prompts)[..., None]
        if self._shape == self._batch.responses.shape:
            return found
        return (found + 0.0 * self._batch.responses).reshape(self._shape)


def response_weights(
    tables: ResponseTables,
    estimator: Estimator,
    state: State,
    batch: Batch,
    members: int,
    drawn_by: State | None = None,
) -> Any:
    """Return the weights (s, N, G): the estimate is the mean over N groups of sums over G.

    An estimator of scope "batch" reads `members` responses at a time as one group. drawn_by: the
    policies that drew the batch where they are not those of `state`.
    """
    shape = batch.responses.shape
    if estimator.scope == "prompt":
        return estimator.weights(cast(Group, _Drawn(tables, state, batch, shape, drawn_by)))
    whole = (shape[0], -1, members)
    weights = estimator.weights(cast(Group, _Drawn(tables, state, batch, whole, drawn_by)))
    # Weights are normalised by the size of the batch; those of a prompt's share count G out of it.
    return weights.reshape(shape) * (members / shape[2])


def estimate(
    tables: ResponseTables,
    estimator: Estimator,
    state: State,
    batch: Batch,
    weights: Any,
    *,
    drawn_by: State | None = None,
    by_group: bool = False,
) -> Any:
    """Return the gradient's estimates (s, k), or those of the groups (s, N, k), whose mean it is.

    drawn_by: the policies that drew the batch where they are not those of `state`; the estimator's
    gate then reads the ratios.
    """
    xp, shape = tables.xp, batch.responses.shape
    if estimator.vectors is not None:
        estimates = _by_vectors(tables, estimator, state, batch, weights, drawn_by)
        return estimates if by_group else estimates.mean(axis=1)
    gate = estimator.gate
    coefficients = weights[..., None]
    if drawn_by is None:
        # All ratios are 1.
        up, down = (float(gate.coefficient(np.ones(1), sign)[0]) for sign in (True, False))
        if up != 1.0 or (gate.signed and down != 1.0):
            scale = xp.where(coefficients >= 0, up, down) if gate.signed else up
            coefficients = coefficients * scale
        if gate.level == "geometric":
            coefficients = coefficients / tables.lengths[batch.responses][..., None]
    else:
        coefficients = coefficients * _gated(tables, estimator, state, drawn_by, batch, weights)
    logits = _logit_sums(tables, state.policy, batch.responses, coefficients, by_group)
    if not isinstance(tables.parametrisation, Tabular):
        phi = tables.features(state)
        flat = phi.reshape(*phi.shape[:-3], -1, phi.shape[-1])
        logits = logits @ flat if by_group else (logits[:, None] @ flat)[:, 0]
    return logits if by_group else logits / shape[1]


def group_estimates(
    model: SamplingModel,
    estimator: Estimator | str,
    *,
    parameters: FloatArray,
    group_size: int,
    samples: int,
    seed: int | np.random.Generator,
    behaviour: FloatArray | None = None,
) -> FloatArray:
    """Return `samples` independent draws (samples, k) of what `estimator_moments` has moments of.

    Each comes from one group: `group_size` responses to one prompt, or pairs of prompt and response
    for an estimator of scope "batch". behaviour: parameters of the policy that draws, by default
    the same. Raises ValueError as `estimator_moments` does.
    """
    chosen = estimator_of(estimator)
    size = chosen.check_group(group_size)
    check_positive_integer(samples, "samples")
    point = _point(model, parameters, "parameters")
    tables = ResponseTables.of(model, "numpy")
    state = tables.state(point[None])
    drawn_by = None
    if behaviour is not None:
        drawn_by = tables.state(_point(model, behaviour, "behaviour")[None])
    generator = as_generator(seed)
    batch_scope = chosen.scope == "batch"
    chunk = max(1, _CHUNK // (size * max(state.policy[0].size, model.size)))
    found = []
    for start in range(0, samples, chunk):
        count = min(chunk, samples - start)
        draws = (count * size, 1) if batch_scope else (count, size)
        uniforms = generator.random((1, draws[0], 1 + draws[1]))
        batch = tables.draw(drawn_by or state, uniforms)
        weights = response_weights(tables, chosen, state, batch, size, drawn_by)
        parts = estimate(tables, chosen, state, batch, weights, drawn_by=drawn_by, by_group=True)[0]
        found.append(parts.reshape(count, size, -1).mean(axis=1) if batch_scope else parts)
    return np.concatenate(found)


def _gated(
    tables: ResponseTables,
    estimator: Estimator,
    state: State,
    drawn_by: State,
    batch: Batch,
    weights: Any,
) -> Any:
    """Return the gate's coefficients (s, N, G, T or 1) by the ratios of policy and behaviour."""
    xp, gate, responses = tables.xp, estimator.gate, batch.responses
    choices = tables.choices[responses]
    away = tables.log_ratios(state, drawn_by).reshape(len(state.policy), -1)
    logs = gather(xp, xp.concatenate([away, 0.0 * away[:, :1]], axis=1), choices)
    lengths = tables.lengths[responses][..., None]
    if gate.level == "sequence":
        logs = logs.sum(axis=-1, keepdims=True)
    elif gate.level == "geometric":
        logs = logs.sum(axis=-1, keepdims=True) / lengths
    ratios = xp.exp(logs)
    found = gate.coefficient(ratios, True)
    if gate.signed:
        positive = (weights >= 0)[..., None]
        found = xp.where(positive, found, gate.coefficient(ratios, False))
    return found / lengths if gate.level == "geometric" else found


def _logit_sums(
    tables: ResponseTables, policy: Any, responses: Any, coefficients: Any, by_group: bool
) -> Any:
    """Return the sums of coefficients (s, N, G, T or 1) times scores of choices, for logits.

    (s, N, R * V) by group, else (s, R * V).
    """
    xp, (s, groups, _) = tables.xp, responses.shape
    if xp is np:
        return sum_scores(policy, responses, tables.choices, coefficients, by_group).reshape(
            (s, groups, -1) if by_group else (s, -1)
        )
    rows, actions = policy.shape[1:]
    # One bin more for what is past the end.
    width = rows * actions + 1
    choices = tables.choices[responses]
    lines = xp.arange(s * groups) if by_group else xp.repeat(xp.arange(s), groups)
    index = choices + (lines * width).reshape(s, groups, 1, 1)
    values = xp.broadcast_to(coefficients, choices.shape)
    lead = (s, groups) if by_group else (s,)
    totals = xp.zeros(s * groups * width if by_group else s * width)
    totals = totals.at[index.reshape(-1)].add(values.reshape(-1))
    taken = totals.reshape(*lead, width)[..., :-1].reshape(*lead, rows, actions)
    visited = fold(xp.add, taken) * (policy[:, None] if by_group else policy)
    return (taken - visited).reshape(*lead, -1)


def _by_vectors(
    tables: ResponseTables,
    estimator: Estimator,
    state: State,
    batch: Batch,
    weights: Any,
    drawn_by: State | None,
) -> Any:
    """Return the estimates of groups (s, N, k) where the record brings its own vectors."""
    found = np.empty((*batch.prompts.shape, state.parameters.shape[1]))
    for i, point in enumerate(state.parameters):
        assert estimator.vectors is not None
        behaviour = None if drawn_by is None else drawn_by.parameters[i]
        vectors = estimator.vectors(tables.model.at(point, behaviour=behaviour))
        found[i] = (weights[i][..., None] * vectors[batch.responses[i]]).sum(axis=1)
    return found


def _point(model: SamplingModel, given: FloatArray, name: str) -> FloatArray:
    point = as_float_array(given, name, (model.size,))
    check_finite(point, name)
    return point
