r"""Sampled learning: batches, weights, gradient, step, update, and the exact J after each step.

Seeds learn side by side in arrays of NumPy, or of JAX under `jit` and `scan`; a step is written
once for both. What is drawn depends on the seed and the step alone, so that methods and backends
share random numbers, and a seed's run does not depend on the seeds beside it.
`oblr_po` is the whole algorithm: left-out optimal baselines and the SNR step.
Source: Huang, Sheng and Zheng (2025); details derived (see `step_rules`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import (
    FloatArray,
    IntArray,
    as_float_array,
    check_finite,
    check_positive_integer,
    read_only,
)
from rltheory.analysis.backends import array_module, jax_module
from rltheory.analysis.estimators.batch_gradients import estimate, response_weights
from rltheory.analysis.estimators.response_tables import ResponseTables, State, uniforms
from rltheory.analysis.estimators.sampling_model import SamplingModel
from rltheory.analysis.estimators.smoothness import smoothness as smoothness_of
from rltheory.analysis.estimators.step_rules import (
    Averages,
    FixedStep,
    SNRStep,
    StepRule,
    start_averages,
)
from rltheory.analysis.estimators.weights import Estimator, estimator_of

_DRAWN = 2**22
"""Uniforms that are drawn ahead at a time (32 MiB)."""

_ABREAST = 512
"""Seeds that NumPy takes at a time: their arrays stay in the cache."""


@dataclass(frozen=True, eq=False)
class LearningRun:
    """What a learner did, for s seeds over T steps.

    values: (s, T + 1) the exact J, before the first step and after each; step_sizes: (s, T);
    signal_to_noise: (s, T) as the rule estimates it, NaN for a fixed step;
    parameters: (s, k) at the end; seeds: (s,); estimator, rule; settings: the other arguments.
    """

    values: FloatArray
    step_sizes: FloatArray
    signal_to_noise: FloatArray
    parameters: FloatArray
    seeds: IntArray
    estimator: Estimator
    rule: StepRule
    settings: dict[str, Any] = field(default_factory=dict)


class _Plan(NamedTuple):
    """What a step depends on beside arrays."""

    estimator: Estimator
    rule: StepRule
    epochs: int
    members: int


class _Carry(NamedTuple):
    state: State
    averages: Averages
    scales: Any


class _Record(NamedTuple):
    values: Any
    step_sizes: Any
    signal_to_noise: Any


_Advance = Callable[[_Carry, FloatArray], tuple[_Carry, _Record]]


def learn(
    model: SamplingModel,
    estimator: Estimator | str,
    rule: StepRule,
    *,
    parameters: FloatArray | None = None,
    steps: int,
    prompts: int,
    group_size: int,
    seeds: int | Sequence[int] | IntArray,
    epochs: int = 1,
    step_scale: ArrayLike = 1.0,
    backend: str = "numpy",
) -> LearningRun:
    """Return runs of stochastic gradient ascent, one for each seed.

    A step draws `prompts` prompts with `group_size` responses each, moves along the estimate, the
    mean over the groups, and does so `epochs` times on the same batch: from the second on the
    estimator's gate reads the ratios of the current policy to the one that drew. Advantages and the
    step's size stay those of the first. An estimator of scope "batch" reads all responses as one
    group.

    parameters: (k,) where all start, zeros by default. seeds: integers, or how many, then 0 on; a
    seed may come again. step_scale: factor of the rule's steps, one or one for each seed.
    backend: "numpy", where a seed's run has the same bits whatever the other seeds (but for
    networks, whose Jacobian is JAX's), or "jax".
    Raises ValueError naming an argument that does not fit; an SNRStep needs two prompts.
    """
    chosen = estimator_of(estimator)
    if not isinstance(rule, (FixedStep, SNRStep)):
        raise TypeError(f"rule must be a FixedStep or an SNRStep; got {type(rule).__name__}")
    for number, name in (
        (steps, "steps"),
        (prompts, "prompts"),
        (group_size, "group_size"),
        (epochs, "epochs"),
    ):
        check_positive_integer(number, name)
    members = prompts * group_size if chosen.scope == "batch" else group_size
    chosen.check_group(members)
    if rule.by_group and prompts < 2:
        raise ValueError(
            "prompts is 1; an SNRStep reads the noise off the differences between groups and "
            "needs at least 2"
        )
    array_module(backend)
    if chosen.vectors is not None and (backend != "numpy" or epochs > 1):
        raise ValueError(
            f"estimator {chosen.name!r} is more than a weight of scores; it learns with "
            'backend="numpy" and epochs=1 only'
        )
    start = np.zeros(model.size) if parameters is None else parameters
    start = as_float_array(start, "parameters", (model.size,))
    check_finite(start, "parameters")
    numbers = _seeds(seeds)
    plan = _Plan(chosen, rule, int(epochs), int(members))
    factors = as_float_array(step_scale, "step_scale")
    check_finite(factors, "step_scale")
    if factors.shape not in ((), numbers.shape) or factors.min() <= 0:
        raise ValueError(
            f"step_scale is {step_scale!r}; expected one number above 0 or one for each of the "
            f"{len(numbers)} seeds"
        )
    scales = np.broadcast_to(factors, numbers.shape)
    run = partial(_run, model, plan, start, int(steps), int(prompts), int(group_size), backend)
    abreast = _ABREAST if backend == "numpy" else len(numbers)
    blocks = [slice(i, i + abreast) for i in range(0, len(numbers), abreast)]
    parts = [run(numbers[block], scales[block]) for block in blocks]
    values, sizes, ratios, ends = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return LearningRun(
        values=read_only(values),
        step_sizes=read_only(sizes),
        signal_to_noise=read_only(ratios),
        parameters=read_only(ends),
        seeds=read_only(numbers),
        estimator=chosen,
        rule=rule,
        settings={
            "steps": int(steps),
            "prompts": int(prompts),
            "group_size": int(group_size),
            "epochs": int(epochs),
            "step_scale": step_scale,
            "backend": backend,
        },
    )


def oblr_po(
    model: SamplingModel,
    parameters: FloatArray | None = None,
    *,
    steps: int,
    prompts: int,
    group_size: int,
    seeds: int | Sequence[int] | IntArray,
    smoothness: float | None = None,
    step_min: float = 0.0,
    step_max: float | None = None,
    decay: float = 0.9,
    epochs: int = 1,
    backend: str = "numpy",
) -> LearningRun:
    """Return runs of OBLR-PO: left-out optimal baselines with the SNR-governed step.

    smoothness: L, by default the bound `smoothness(model)`, which networks lack; step_min,
    step_max: bounds of the step, 0 and 1 / L by default; decay: of the averages of signal and
    noise. The other arguments, the result and the errors are those of `learn`.
    """
    rule = SNRStep(
        smoothness=smoothness_of(model) if smoothness is None else smoothness,
        decay=decay,
        smallest=step_min,
        largest=step_max,
    )
    return learn(
        model,
        "oblr",
        rule,
        parameters=parameters,
        steps=steps,
        prompts=prompts,
        group_size=group_size,
        seeds=seeds,
        epochs=epochs,
        backend=backend,
    )


def _step(
    tables: ResponseTables, plan: _Plan, carry: _Carry, uniform: Any
) -> tuple[_Carry, _Record]:
    """Draw a batch by uniforms (s, N, 1 + G) and move along its estimates."""
    estimator, rule, state = plan.estimator, plan.rule, carry.state
    batch = tables.draw(state, uniform)
    weights = response_weights(tables, estimator, state, batch, plan.members)
    found = estimate(tables, estimator, state, batch, weights, by_group=rule.by_group)
    noise = 0.0
    if rule.by_group:
        groups, count = found, found.shape[1]
        found = groups.mean(axis=1)
        away = groups - found[:, None]
        noise = (away * away).sum(axis=(1, 2)) / (count * (count - 1))
    step = rule(carry.averages, (found * found).sum(axis=1), noise)
    size = carry.scales * step.size
    drawn_by = state
    for epoch in range(plan.epochs):
        if epoch:
            found = estimate(tables, estimator, state, batch, weights, drawn_by=drawn_by)
        state = tables.state(state.parameters + size[:, None] * found)
    record = _Record(tables.values(state), size, step.signal_to_noise)
    return _Carry(state, step.averages, carry.scales), record


def _run(
    model: SamplingModel,
    plan: _Plan,
    start: FloatArray,
    steps: int,
    prompts: int,
    group_size: int,
    backend: str,
    seeds: IntArray,
    scales: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    tables, advance = _advance(model, plan, backend)
    xp, s = tables.xp, len(seeds)
    points = xp.asarray(np.tile(start, (s, 1)))
    carry = _Carry(tables.state(points), start_averages(xp, s), xp.asarray(scales))
    generators = [np.random.default_rng(int(seed)) for seed in seeds]
    values, sizes, ratios = np.empty((steps + 1, s)), np.empty((steps, s)), np.empty((steps, s))
    values[0] = tables.values(carry.state)
    block = max(1, min(steps, _DRAWN // (s * prompts * (1 + group_size))))
    for done in range(0, steps, block):
        count = min(block, steps - done)
        carry, record = advance(carry, uniforms(generators, count, prompts, group_size))
        values[1 + done : 1 + done + count] = record.values
        sizes[done : done + count] = record.step_sizes
        ratios[done : done + count] = record.signal_to_noise
    return values.T, sizes.T, ratios.T, np.asarray(carry.state.parameters)


def _advance(model: SamplingModel, plan: _Plan, backend: str) -> tuple[ResponseTables, _Advance]:
    """Return the tables, and a function that takes several steps."""
    if backend == "jax":
        return _compiled(model, plan)
    tables = ResponseTables.of(model, backend)

    def advance(carry: _Carry, drawn: FloatArray) -> tuple[_Carry, _Record]:
        records = []
        for uniform in drawn:
            carry, record = _step(tables, plan, carry, uniform)
            records.append(record)
        return carry, _Record(*map(np.stack, zip(*records, strict=True)))

    return tables, advance


@lru_cache(maxsize=32)
def _compiled(model: SamplingModel, plan: _Plan) -> tuple[ResponseTables, _Advance]:
    """Return the tables and the steps of JAX, kept as they take seconds to compile."""
    jax, tables = jax_module(), ResponseTables.of(model, "jax")
    scan = jax.jit(lambda carry, drawn: jax.lax.scan(partial(_step, tables, plan), carry, drawn))
    return tables, lambda carry, drawn: scan(carry, jax.numpy.asarray(drawn))


def _seeds(given: int | Sequence[int] | IntArray) -> IntArray:
    """Return the seeds as an array, checked."""
    if isinstance(given, (int, np.integer)) and not isinstance(given, bool):
        return np.arange(check_positive_integer(int(given), "seeds"))
    array = np.asarray(given)
    if array.ndim != 1 or not len(array) or array.dtype.kind not in "iu" or array.min() < 0:
        raise ValueError(
            f"seeds is {given!r}; expected a positive number of them, or integers >= 0"
        )
    return array.astype(np.int64)
