"""The CFR family as a table: each member a few lines of `Variant`.

Where an iteration number enters, t = 1, 2, ... Discounts of regret follow the reference
implementations: what was accumulated before iteration t is discounted with t - 1, unless a source
says otherwise.
"""

from dataclasses import replace
from difflib import get_close_matches
from math import inf, sqrt

from rltheory.analysis.arrays import check_range
from rltheory.games.regret.vad_cfr import vad_cfr as vad_cfr
from rltheory.games.regret.variant import Variant, one


def _discount(t: float, exponent: float) -> float:
    """t^a / (t^a + 1), where t^-inf is 0."""
    if exponent == -inf:
        return 0.0
    power = float(t) ** exponent if t > 0 else (0.0 if exponent > 0 else inf)
    return 1.0 if power == inf else power / (power + 1.0)


def _add_scaled(R, r, c, s):  # type: ignore[no-untyped-def]
    return R + c[0] * r


def _add_clipped(R, r, c, s):  # type: ignore[no-untyped-def]
    return max(R + r, 0.0)


def _add_discounted(R, r, c, s):  # type: ignore[no-untyped-def]
    return (c[1] if R > 0.0 else c[2]) * R + r


def _add_discounted_clipped(R, r, c, s):  # type: ignore[no-untyped-def]
    return max(c[1] * R + r, 0.0)


def _predicted(R, r, m, c, s):  # type: ignore[no-untyped-def]
    return max(R + r, 0.0)


def _predicted_discounted(R, r, m, c, s):  # type: ignore[no-untyped-def]
    return max(c[2] * R + r, 0.0)


def _first_weight(c, s):  # type: ignore[no-untyped-def]
    return c[0]


def _first_decay(c):  # type: ignore[no-untyped-def]
    return c[0]


def cfr() -> Variant:
    """Counterfactual regret minimisation."""
    return Variant(
        name="cfr",
        title="CFR",
        source="Zinkevich, Johanson, Bowling, Piccione (2007)",
        schedule=lambda t, n: (1.0,),
    )


def cfr_plus() -> Variant:
    """CFR+: regrets clipped at zero, linear averaging."""
    return Variant(
        name="cfr_plus",
        title="CFR+",
        source="Tammelin (2014)",
        schedule=lambda t, n: (float(t),),
        regret=_add_clipped,
        weight=_first_weight,
    )


def lcfr() -> Variant:
    """Linear CFR: iteration t counts t times, in the regrets and in the average."""
    return Variant(
        name="lcfr",
        title="Linear CFR",
        source="Brown, Sandholm (2019)",
        schedule=lambda t, n: (float(t),),
        regret=_add_scaled,
        weight=_first_weight,
    )


def dcfr(*, alpha: float = 1.5, beta: float = 0.0, gamma: float = 2.0, ahead: int = 0) -> Variant:
    """Discounted CFR.

    Regrets from before iteration t are multiplied by u^a / (u^a + 1), u = t - 1 + ahead, with
    a = alpha where positive and beta where negative; iteration t counts t^gamma in the average.
    """

    def schedule(t: int, n: int) -> tuple[float, ...]:
        u = t - 1 + ahead
        return float(t) ** gamma, _discount(u, alpha), _discount(u, beta)

    return Variant(
        name="dcfr",
        title=f"DCFR({alpha:g}, {beta:g}, {gamma:g})",
        source="Brown, Sandholm (2019)",
        schedule=schedule,
        regret=_add_discounted,
        weight=_first_weight,
    )


def pcfr_plus(*, gamma: float = 2.0) -> Variant:
    """Predictive CFR+: the last regret is the prediction of the next; weights t^gamma."""
    return Variant(
        name="pcfr_plus",
        title="PCFR+",
        source="Farina, Kroer, Sandholm (2021)",
        schedule=lambda t, n: (float(t) ** gamma,),
        regret=_add_clipped,
        strategy=_predicted,
        weight=_first_weight,
    )


def dcfr_plus(*, alpha: float = 1.5, gamma: float = 4.0) -> Variant:
    """Discounted CFR+: regrets discounted, then clipped."""
    return Variant(
        name="dcfr_plus",
        title="DCFR+",
        source="Xu et al. (2024)",
        schedule=lambda t, n: (float(t) ** gamma, _discount(t - 1, alpha)),
        regret=_add_discounted_clipped,
        weight=_first_weight,
    )


def pdcfr_plus(*, alpha: float = 2.3, gamma: float = 5.0) -> Variant:
    """Predictive discounted CFR+ (also DPCFR+)."""
    return Variant(
        name="pdcfr_plus",
        title="PDCFR+",
        source="Xu et al. (2024)",
        schedule=lambda t, n: (
            float(t) ** gamma,
            _discount(t - 1, alpha),
            _discount(t, alpha),
        ),
        regret=_add_discounted_clipped,
        strategy=_predicted_discounted,
        weight=_first_weight,
    )


def _scheduled_decay(t: int, n: int, gamma: float) -> float:
    """What a hyperparameter schedule over n iterations multiplies the average so far by."""
    return float(((t - 1) / t) ** (gamma - 5.0 * t / n))


def hs_dcfr(*, gamma: float = 30.0) -> Variant:
    """DCFR under a hyperparameter schedule over the run's length."""

    def schedule(t: int, n: int) -> tuple[float, ...]:
        decay = _scheduled_decay(t, n, gamma)
        return decay, _discount(t - 1, 1.0 + 3.0 * t / n), _discount(t - 1, -1.0 - 2.0 * t / n)

    return Variant(
        name="hs_dcfr",
        title=f"HS-DCFR({gamma:g})",
        source="Zhang, McAleer, Sandholm (2024)",
        schedule=schedule,
        regret=_add_discounted,
        decay=_first_decay,
    )


def hs_pcfr_plus(*, gamma: float = 30.0) -> Variant:
    """PCFR+ under a hyperparameter schedule over the run's length."""
    return replace(
        pcfr_plus(),
        name="hs_pcfr_plus",
        title=f"HS-PCFR+({gamma:g})",
        source="Zhang, McAleer, Sandholm (2024)",
        schedule=lambda t, n: (_scheduled_decay(t, n, gamma),),
        weight=one,
        decay=_first_decay,
    )


def _aod_regret(R, r, c, s):  # type: ignore[no-untyped-def]
    scale = 1.0
    if R > 1e-9:
        scale = 1.1 if r > 1e-9 else (0.9 if r < -1e-9 else 1.0)
    elif R < -1e-9:
        scale = 0.7 if r > 1e-9 else (1.2 if r < -1e-9 else 1.0)
    return (c[1] if R > 0.0 else c[2]) * R + scale * r


def _aod_strategy(R, r, m, c, s):  # type: ignore[no-untyped-def]
    share = max(R + 0.5 * (R - m), 0.0)
    return share * share


def _aod_memory(R, r, m, c):  # type: ignore[no-untyped-def]
    return 0.1 * R + 0.9 * m


def _aod_decay(c):  # type: ignore[no-untyped-def]
    return c[3]


def aod_cfr() -> Variant:
    """AOD-CFR: asymmetric, optimistic, discounted (found by search over programs)."""

    def schedule(t: int, n: int) -> tuple[float, ...]:
        progress = min(1.0, (t - 1) / 500)
        power = float(t) ** (1.0 + 4.0 * progress)
        positive, negative = 1.0 + 1.5 * progress, 0.5 - 0.5 * progress
        return power, _discount(t, positive), _discount(t, negative), power / (power + 1.0)

    return Variant(
        name="aod_cfr",
        title="AOD-CFR",
        source="Li, Schultz, Hennes, Lanctot (2026)",
        schedule=schedule,
        regret=_aod_regret,
        strategy=_aod_strategy,
        weight=_first_weight,
        decay=_aod_decay,
        memory=_aod_memory,
    )


def _wop_strategy(R, r, m, c, s):  # type: ignore[no-untyped-def]
    projected = c[2] * R + c[3] * r
    return projected * sqrt(projected) if projected > 0.0 else 0.0


def wop_cfr(
    *,
    alpha: float = 1.5,
    gamma: float = 2.0,
    optimism_decay: float = 100.0,
    warm_up: float = 0.5,
) -> Variant:
    """WOP-CFR, warm-started optimistic predictive CFR: our reconstruction from its description.

    The text of the published algorithm was not available. What is here is what an ablation of
    VAD-CFR leaves (figure `vad-ablation`): discounted regrets clipped at zero as in DCFR+; the last
    regret as a prediction that counts 1 / (1 + (t - 1) / optimism_decay); strategies proportional
    to the projected regrets to the power 3/2; an average with weights t^gamma that starts after the
    fraction `warm_up` of the run.

    Raises ValueError unless 0 <= warm_up < 1. Source: the name and the description are of Li,
    Schultz, Hennes, Lanctot (2026, version 3); the algorithm is ours.
    """
    check_range(warm_up, "warm_up", 0.0, 1.0, include_high=False)

    def schedule(t: int, n: int) -> tuple[float, ...]:
        weight = float(t) ** gamma if t > warm_up * n else 0.0
        optimism = 1.0 / (1.0 + (t - 1) / optimism_decay)
        return weight, _discount(t - 1, alpha), _discount(t, alpha), optimism

    return Variant(
        name="wop_cfr",
        title="WOP-CFR (ours)",
        source="reconstruction from the description in Li et al. (2026)",
        schedule=schedule,
        regret=_add_discounted_clipped,
        strategy=_wop_strategy,
        weight=_first_weight,
    )


VARIANTS = {
    make.__name__: make
    for make in (
        cfr, cfr_plus, lcfr, dcfr, pcfr_plus, dcfr_plus, pdcfr_plus, hs_dcfr, hs_pcfr_plus,
        aod_cfr, vad_cfr, wop_cfr,
    )
}  # fmt: skip
"""The family by name: each call gives a `Variant`, its parameters as keywords."""


def as_variant(variant: str | Variant) -> Variant:
    """Return the variant itself, or the one of that name with its default parameters.

    Raises ValueError naming the known variants if there is none of that name.
    """
    if isinstance(variant, Variant):
        return variant
    if not isinstance(variant, str) or variant not in VARIANTS:
        near = get_close_matches(str(variant), VARIANTS, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise ValueError(
            f"variant is {variant!r}; expected one of {', '.join(VARIANTS)}, or a Variant{hint}"
        )
    return VARIANTS[variant]()
