r"""SAPO: a smooth gate for each token in place of a clip, and what it amounts to for a response.

f(w) = (4 / tau) sigmoid(tau (w - 1)) has the slope f'(w) = sech^2(tau (w - 1) / 2); the gradient's
weight on a score is w f'(w). The gate itself is `rltheory.analysis.estimators.gates.soft_gate`.
Source: Gao et al. (2025), "Soft Adaptive Policy Optimization"; peak and constants derived here.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from rltheory.analysis.arrays import FloatArray, as_float_array, check_finite, check_range
from rltheory.analysis.estimators.gates import Gate
from rltheory.analysis.zoo.gspo import log_ratios


def gate_slope(ratios: ArrayLike, temperature: float) -> FloatArray:
    """Return f'(w) = sech^2(tau (w - 1) / 2): 1 at w = 1, below it elsewhere.

    ratios: any shape, finite; temperature: tau > 0. Raises ValueError naming what does not fit.
    """
    table = as_float_array(ratios, "ratios")
    check_finite(table, "ratios")
    # sech^2(x / 2) = 4 e / (1 + e)^2 with e = exp(-|x|), to all digits also far out.
    small = np.exp(-_temperature(temperature) * np.abs(table - 1.0))
    return np.asarray(4.0 * small / (1.0 + small) ** 2)


class Peak(NamedTuple):
    """The ratio at which a gate weighs a score most, and that weight."""

    ratio: float
    weight: float


def peak(temperature: float) -> Peak:
    """Return where w f'(w) is largest: not at w = 1 but where w tau tanh(tau (w - 1) / 2) = 1.

    The slope of w f'(w) at w = 1 is 1 for every tau. The ratio is right to 1e-12 relative.
    """
    tau = _temperature(temperature)
    # At w = 1 + 2 / tau the product is (tau + 2) tanh(1) > 1.
    ratio = brentq(
        lambda w: w * tau * np.tanh(0.5 * tau * (w - 1.0)) - 1.0, 1.0, 1.0 + 2.0 / tau, rtol=1e-14
    )
    return Peak(float(ratio), float(ratio * gate_slope(ratio, tau)))


@dataclass(frozen=True, eq=False)
class SequenceForm:
    """How far a response's average gate is from the gate of its average, arrays (n,).

    token_mean: mean over t of sech^2(tau z_t / 2), z_t the log ratio of token t; at_mean: the
    same of the mean z. lower <= token_mean - at_mean <= upper, of order the variance of z.
    """

    token_mean: FloatArray
    at_mean: FloatArray
    lower: FloatArray
    upper: FloatArray


def sequence_form(ratios: ArrayLike, lengths: ArrayLike, temperature: float) -> SequenceForm:
    r"""Return what is left of a token-wise gate, in log ratios, if it is read for whole responses.

    The second derivative of sech^2(tau z / 2) lies in [-tau^2 / 2, tau^2 / 6], so that the gap is
    at least -(tau^2 / 4) Var and at most (tau^2 / 12) Var, both approached. With
    log w in place of w - 1 this is no statement on w f'(w), whose curvature in log w is larger.
    ratios: (n, T) positive; lengths: (n,). Errors as `rltheory.analysis.zoo.gspo.log_ratios`.
    """
    tau = _temperature(temperature)
    mean, variance = log_ratios(ratios, lengths)
    table, counts = as_float_array(ratios, "ratios"), np.asarray(lengths)
    met = np.arange(table.shape[1]) < counts[:, None]
    slopes = gate_slope(1.0 + np.log(np.where(met, table, 1.0)), tau)
    return SequenceForm(
        token_mean=np.where(met, slopes, 0.0).sum(axis=1) / counts,
        at_mean=gate_slope(1.0 + mean, tau),
        lower=-(tau**2) / 4 * variance,
        upper=tau**2 / 12 * variance,
    )


def sequence_gate(positive_temperature: float = 1.0, negative_temperature: float = 1.05) -> Gate:
    """Return the gate for whole responses that SAPO is said to be near: sech^2(tau log(s) / 2).

    It is the slope of (2 / tau) tanh(tau log(s) / 2) in log s, s the geometric mean of GSPO.
    """
    temperatures = {
        True: _temperature(positive_temperature, "positive_temperature"),
        False: _temperature(negative_temperature, "negative_temperature"),
    }

    def surrogate(ratios: NDArray[np.float64], positive: bool) -> FloatArray:
        tau = temperatures[positive]
        return np.asarray(2.0 / tau * (1.0 + np.tanh(0.5 * tau * np.log(ratios))))

    def coefficient(ratios: NDArray[np.float64], positive: bool) -> FloatArray:
        return gate_slope(1.0 + np.log(ratios), temperatures[positive])

    return Gate(
        name="soft sequence gate", level="geometric", surrogate=surrogate, coefficient=coefficient
    )


def _temperature(value: float, name: str = "temperature") -> float:
    found = check_range(value, name, 0.0, np.inf, include_high=False)
    if found == 0:
        raise ValueError(f"{name} is 0; expected a positive number")
    return found
