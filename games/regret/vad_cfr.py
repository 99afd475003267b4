"""VAD-CFR: discounting, optimism and averaging that answer to how volatile regrets are.

A set's volatility is a moving average of the sizes of its regrets (or one average runs through all
sets); from it and the newest size come a set's four signals, which are computed before the
strategies in a loop that is vectorised, as they need two powers each.
Source: Li, Schultz, Hennes and Lanctot (2026), arXiv 2602.16928, listing of the appendix.
"""

from math import log, sqrt

from rltheory.analysis.exponential import exp_minus
from rltheory.games.regret.variant import Variant

# The numbers of VAD-CFR's schedule, by name.
(
    _LOG_T, _FIRST, _BLEND, _PER_SCALE, _ALPHA, _BETA, _SENSITIVITY, _FLOOR, _BOOST,
    _OPTIMISM, _GAMMA, _GAMMA_CAP, _GAMMA_SENSITIVITY, _AVERAGING, _STABILITY, _MAGNITUDE,
) = range(16)  # fmt: skip


def _vad_track(size, ewma, c):  # type: ignore[no-untyped-def]
    """The moving average of regret sizes."""
    return size if c[_FIRST] > 0.0 else c[_BLEND] * size + (1.0 - c[_BLEND]) * ewma


def _least(a: float, b: float) -> float:
    # `min` treats NaNs with care and thereby keeps a loop from being vectorised.
    return a if a < b else b


def _vad_signal(size, ewma, c):  # type: ignore[no-untyped-def]
    """The discounts of positive and negative regrets, the optimism and the averaging weight."""
    relative = size * c[_PER_SCALE]
    lowered = c[_SENSITIVITY] * _least(1.0, ewma * c[_PER_SCALE])
    # A discount is t^a / (t^a + 1) = 1 / (1 + t^-a).
    alpha = -_least(-0.1, lowered - c[_ALPHA])
    beta = _least(alpha, c[_BETA] - lowered)
    positive = 1.0 / (1.0 + exp_minus(-alpha * c[_LOG_T], 0.0))
    negative = 1.0 / (1.0 + exp_minus(-beta * c[_LOG_T], 0.0))
    optimism = c[_OPTIMISM] * (1.0 - _least(1.0, lowered))
    weight = 0.0
    if c[_AVERAGING] > 0.0:
        gamma = _least(c[_GAMMA_CAP], c[_GAMMA] + c[_GAMMA_SENSITIVITY] * _least(1.0, relative))
        magnitude = sqrt(1.0 + c[_MAGNITUDE] * relative)
        stability = 1.0 + c[_STABILITY] * size * sqrt(size)
        weight = exp_minus(gamma * c[_LOG_T], 0.0) * magnitude / stability
    return positive, negative, optimism, weight


def _vad_regret(R, r, c, s):  # type: ignore[no-untyped-def]
    boosted = c[_BOOST] * r if r > 0.0 else r
    regret = (s[0] if R >= 0.0 else s[1]) * R + boosted
    return regret if regret > c[_FLOOR] else c[_FLOOR]


def _vad_projected(R, r, m, c, s):  # type: ignore[no-untyped-def]
    boosted = c[_BOOST] * r if r > 0.0 else r
    projected = (s[0] if R >= 0.0 else s[1]) * R + s[2] * boosted
    return projected if projected > 0.0 else 0.0


def _vad_strategy(R, r, m, c, s):  # type: ignore[no-untyped-def]
    boosted = c[_BOOST] * r if r > 0.0 else r
    projected = (s[0] if R >= 0.0 else s[1]) * R + s[2] * boosted
    projected = projected if projected > 0.0 else 0.0
    return projected * sqrt(projected)


def _vad_weight(c, s):  # type: ignore[no-untyped-def]
    return s[3]


def vad_cfr(
    *,
    volatility: str = "shared",
    alpha: float = 1.5,
    beta: float = -0.1,
    sensitivity: float = 0.5,
    scale: float = 2.0,
    blend: float = 0.1,
    boost: float = 1.1,
    floor: float = -20.0,
    optimism: float = 1.0,
    optimism_decay: float = 100.0,
    sharpened: bool = True,
    gamma: float = 2.0,
    gamma_cap: float = 4.0,
    gamma_sensitivity: float = 1.5,
    warm_up: int = 500,
    stability: float = 1.0,
    magnitude: float = 1.0,
) -> Variant:
    """VAD-CFR: discounts, optimism and averaging that answer to the volatility of regrets.

    volatility: "shared" keeps one moving average that runs through all information sets in the
    order of a depth-first walk, "per_infoset" one for each set. The published listing holds the
    average in a field of the accumulator while it keys other state by information set, so "shared"
    is what the text says and the default; the report compares both.

    alpha, beta: exponents of the discounts of positive and negative regrets without volatility;
    sensitivity: how much both fall at volatility 1; scale: the size of regret that counts as 1;
    blend: weight of the newest size in the moving average. boost: factor on positive instantaneous
    regrets; floor: smallest accumulated regret. optimism / (1 + (t - 1) / optimism_decay): weight
    of the prediction. sharpened: whether the strategy is proportional to the projected regrets to
    the power 3/2, or to them themselves. Averaging starts at iteration warm_up + 1 with weights
    t^min(gamma_cap, gamma + gamma_sensitivity * volatility), divided by
    1 + stability * size^(3/2), times (1 + magnitude * size / scale)^(1/2), where size is the
    largest regret of the visit; 0 switches a factor off.

    Raises ValueError if `volatility` is neither of the two. Source: Li, Schultz, Hennes, Lanctot
    (2026), listing of the appendix.
    """
    if volatility not in ("shared", "per_infoset"):
        raise ValueError(f"volatility is {volatility!r}; expected 'shared' or 'per_infoset'")

    def schedule(t: int, n: int) -> tuple[float, ...]:
        return (
            log(t), float(t == 1), blend, 1.0 / scale,
            alpha, beta, sensitivity, floor, boost,
            optimism / (1.0 + (t - 1) / optimism_decay),
            gamma, gamma_cap, gamma_sensitivity, float(t > warm_up), stability, magnitude,
        )  # fmt: skip

    return Variant(
        name="vad_cfr",
        title="VAD-CFR" if volatility == "shared" else "VAD-CFR (per set)",
        source="Li, Schultz, Hennes, Lanctot (2026)",
        schedule=schedule,
        regret=_vad_regret,
        strategy=_vad_strategy if sharpened else _vad_projected,
        weight=_vad_weight,
        track=_vad_track,
        signal=_vad_signal,
        shared_state=volatility == "shared",
    )
