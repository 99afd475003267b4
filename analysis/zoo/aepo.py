r"""AEPO: a REINFORCE term on samples of another temperature steers the policy's entropy.

The term is E over pi^T of R grad log pi, with pi^T = softmax(z / T) at every choice and the score
at temperature one. Where all responses succeed it is pi^T - pi in a bandit, which is
(1 - 1 / T) grad H up to second order: hot samples raise the entropy, cold ones lower it.
Sources: Wang et al. (2025), "Arbitrary Entropy Policy Optimization", renamed SCOPE-RL in 2026.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import FloatArray, as_float_array, check_positive_integer, check_range
from rltheory.analysis.estimators.sampling_model import SamplingModel
from rltheory.analysis.simplex import log_softmax, softmax
from rltheory.analysis.zoo.entropy import as_policy, mean_entropy

Thermostat = Callable[[float], float]
"""A temperature for an entropy, both of the policy before the step."""


def tempered(policy: ArrayLike, temperature: float) -> FloatArray:
    """Return the distributions proportional to p^(1 / T), (..., A); T > 0."""
    rows = as_float_array(as_policy(policy), "policy")
    heat = _temperature(temperature, "temperature")
    with np.errstate(divide="ignore"):
        return softmax(np.log(rows) / heat)


def tempered_probabilities(
    model: SamplingModel, parameters: FloatArray, temperature: float
) -> FloatArray:
    """Return the probabilities (n,) of responses whose every choice is made at a temperature."""
    heat = _temperature(temperature, "temperature")
    logits = model.parametrisation.logits(as_float_array(parameters, "parameters", (model.size,)))
    logs = log_softmax(logits / heat)
    chosen = np.where(model.rows >= 0, logs[model.rows, model.actions], 0.0)
    return np.asarray(model.chances * np.exp(chosen.sum(axis=1)))


def tempered_term(model: SamplingModel, parameters: FloatArray, temperature: float) -> FloatArray:
    """Return E over pi^T of R times the score at temperature one, (k,), averaged over prompts."""
    outcomes = model.at(parameters)
    drawn = tempered_probabilities(model, parameters, temperature)
    masses = model.weights[model.prompt_of] * drawn * model.rewards
    return np.asarray(outcomes.scores.T @ masses)


def switching(target: float, *, low: float = 0.8, high: float = 1.2) -> Thermostat:
    """Return the rule that samples hot below the target entropy (nats), else cold."""
    aim = check_range(target, "target", 0.0, np.inf, include_high=False)
    cold, hot = _between(low, high)
    return lambda entropy: hot if entropy < aim else cold


def proportional(target: float, *, low: float = 0.8, high: float = 1.2) -> Thermostat:
    """Return the rule clip(1 + target - entropy, low, high) of the later version."""
    aim = check_range(target, "target", 0.0, np.inf, include_high=False)
    cold, hot = _between(low, high)
    return lambda entropy: float(np.clip(1.0 + aim - entropy, cold, hot))


class ControlledRun(NamedTuple):
    """What a run went through: entropies (nats) and values before each step and after the last.

    entropies, values: (steps + 1,); temperatures: (steps,); parameters: (k,) at the end.
    """

    entropies: FloatArray
    values: FloatArray
    temperatures: FloatArray
    parameters: FloatArray


def controlled_run(
    model: SamplingModel,
    parameters: FloatArray,
    thermostat: Thermostat,
    *,
    rate: float,
    weight: float,
    steps: int,
) -> ControlledRun:
    """Follow grad J + weight times the tempered term, exactly, with steps of size `rate`.

    The thermostat reads the mean entropy of a choice. Raises ValueError naming what does not fit.
    """
    check_range(rate, "rate", 0.0, np.inf, include_high=False)
    check_range(weight, "weight", 0.0, np.inf, include_high=False)
    check_positive_integer(steps, "steps")
    point = as_float_array(parameters, "parameters", (model.size,))
    entropies, values, temperatures = [mean_entropy(model, point)], [model.value(point)], []
    for _ in range(steps):
        heat = thermostat(entropies[-1])
        ascent = model.at(point).gradient + weight * tempered_term(model, point, heat)
        point = point + rate * ascent
        temperatures.append(heat)
        entropies.append(mean_entropy(model, point))
        values.append(model.value(point))
    return ControlledRun(np.array(entropies), np.array(values), np.array(temperatures), point)


def _temperature(number: float, name: str) -> float:
    heat = check_range(number, name, 0.0, np.inf, include_high=False)
    if heat == 0:
        raise ValueError(f"{name} is 0; expected a positive number")
    return heat


def _between(low: float, high: float) -> tuple[float, float]:
    cold, hot = _temperature(low, "low"), _temperature(high, "high")
    if cold > hot:
        raise ValueError(f"low is {cold}, high {hot}; expected low <= high")
    return cold, hot
