"""Algorithms as data: what of the shared loop sets one apart, checked and in compiled form."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import (
    FloatArray,
    as_float_array,
    check_finite,
    check_range,
)
from rltheory.linear_mdp import duals, kernels
from rltheory.linear_mdp.feature_mdp import FeatureMDP
from rltheory.linear_mdp.kernels import Rule
from rltheory.linear_mdp.mdp import LinearMDP, RobustLinearMDP, as_reference
from rltheory.linear_mdp.simulation import World
from rltheory.tabular.uncertainty import (
    ChiSquare,
    KullbackLeibler,
    PenalisedChiSquare,
    PenalisedKullbackLeibler,
    PenalisedTotalVariation,
    TotalVariation,
)
from rltheory.tabular.uncertainty.base import UncertaintySet

Model = LinearMDP | RobustLinearMDP | FeatureMDP
Nominal = LinearMDP | FeatureMDP

BONUSES = {
    "none": kernels.NO_BONUS,
    "elliptical": kernels.ELLIPTICAL,
    "factors": kernels.FACTORS,
    "diagonal": kernels.DIAGONAL,
}
"""Forms of the bonus, each times its scale: 0, (x' G^-1 x)^(1/2), sum_i x_i (G^-1)_ii^(1/2) and
(x' diag(G^-1) x)^(1/2), for features x and the regularised design G."""

DUALS: dict[type, int] = {
    TotalVariation: duals.TOTAL_VARIATION,
    PenalisedTotalVariation: duals.PENALISED_TOTAL_VARIATION,
    KullbackLeibler: duals.KULLBACK_LEIBLER,
    PenalisedKullbackLeibler: duals.PENALISED_KULLBACK_LEIBLER,
    ChiSquare: duals.CHI_SQUARE,
    PenalisedChiSquare: duals.PENALISED_CHI_SQUARE,
}
"""The sets that can be learnt against."""

UPDATES = ("closed_form", "mirror")


@dataclass(frozen=True, eq=False, kw_only=True)
class Settings:
    """An algorithm of least-squares value iteration; the learners' keywords, as in `dr_rpo`.

    bonus: scale of the bonus, a number or one per step (H,), which offline algorithms take off.
    bonus_form: a name in `BONUSES`. known_rewards: whether rewards are known or regressed.
    """

    name: str
    bonus: Any
    bonus_form: str
    known_rewards: bool
    temperature: float = 0.0
    reference: ArrayLike | None = None
    update: str = "closed_form"
    step: float | None = None
    ceilings: ArrayLike | None = None

    def rule(self, nominal: Nominal, uncertainty: UncertaintySet | None) -> Rule:
        """Check the settings against a model and return their compiled form."""
        shape = nominal.rewards.shape
        horizon, dimension = nominal.horizon, nominal.dimension
        _check_choice(self.bonus_form, "bonus_form", BONUSES)
        _check_choice(self.update, "update", UPDATES)
        if not isinstance(self.known_rewards, bool | np.bool_):
            raise TypeError(f"known_rewards is {self.known_rewards!r}; expected True or False")
        if self.bonus_form == "factors" and nominal.features.min() < 0:
            raise ValueError("bonus_form 'factors' needs features >= 0; expected 'elliptical'")
        heat = check_range(self.temperature, "temperature", 0.0, np.inf, include_high=False)
        if heat == 0.0 and (self.reference is not None or self.update != "closed_form"):
            raise ValueError("temperature is 0; reference and update need temperature > 0")
        if (self.step is None) == (self.update == "mirror"):
            raise ValueError(
                f"step is {self.step!r} with update {self.update!r}; "
                "expected one with 'mirror' and none without"
            )
        step = 0.0
        if self.step is not None:
            step = check_range(self.step, "step", 0.0, 1.0 / heat)
            if step == 0.0:
                raise ValueError("step is 0; expected a positive number, as nothing is learnt")
        dual = dual_of(uncertainty)
        budgets = np.zeros((horizon, dimension))
        if uncertainty is not None:
            budgets = uncertainty.budgets(budgets.shape).reshape(budgets.shape)
        if dual == duals.TOTAL_VARIATION and budgets.max() > 1.0:
            raise ValueError(
                f"radius is {budgets.max():g}; expected at most 1, which is everything"
            )
        fail = -1 if nominal.fail_state is None else int(nominal.fail_state)
        return Rule(
            dual=dual,
            budgets=budgets,
            bonus=BONUSES[self.bonus_form],
            scale=_scale(self.bonus, horizon),
            known=bool(self.known_rewards),
            temperature=heat,
            step=step,
            reference=np.ascontiguousarray(as_reference(self.reference, shape)),
            ceilings=_ceilings(self.ceilings, nominal),
            fail=fail,
        )


def as_settings(settings: Any) -> Settings:
    """Return settings as they are. Raises TypeError for another type."""
    if not isinstance(settings, Settings):
        raise TypeError(f"settings is {settings!r:.80}; expected Settings")
    return settings


def dual_of(uncertainty: UncertaintySet | None) -> int:
    """Return the code of a set's dual. Raises ValueError for a set that has none here."""
    if uncertainty is None:
        return duals.NOMINAL
    kind = type(uncertainty)
    if kind not in DUALS or (
        isinstance(uncertainty, TotalVariation) and uncertainty.support != "simplex"
    ):
        names = ", ".join(known.__name__ for known in DUALS)
        raise ValueError(f"uncertainty is {uncertainty!r:.80}; expected one of {names}")
    return DUALS[kind]


def split(
    model: Model, uncertainty: UncertaintySet | None = None
) -> tuple[Nominal, UncertaintySet | None]:
    """Return the nominal model and its set. Raises TypeError for another type, or two sets."""
    if isinstance(model, RobustLinearMDP):
        if uncertainty is not None:
            raise TypeError("uncertainty is given for a model that has one; expected one of both")
        return model.nominal, model.uncertainty
    if not isinstance(model, LinearMDP | FeatureMDP):
        raise TypeError(
            f"model is {model!r:.80}; expected a LinearMDP, a RobustLinearMDP or a FeatureMDP"
        )
    if uncertainty is not None and isinstance(model, LinearMDP):
        return split(RobustLinearMDP(model, uncertainty))
    return model, uncertainty


def world_of(nominal: Nominal) -> World:
    """Return what the simulator needs of a model."""
    mixed = False
    if isinstance(nominal, FeatureMDP):
        measures = nominal.mdp.transitions
    elif nominal.simplex:
        measures, mixed = nominal.measures, True
    else:
        measures = nominal.to_tabular().transitions
    rows = measures.reshape(nominal.horizon, -1, nominal.states)
    return World(
        features=np.ascontiguousarray(nominal.features),
        columns=np.ascontiguousarray(np.moveaxis(nominal.features, -1, 1)),
        rewards=np.ascontiguousarray(nominal.rewards),
        initial=np.cumsum(nominal.initial),
        measures=np.cumsum(rows, axis=-1),
        mixed=mixed,
    )


def _check_choice(choice: Any, name: str, known: Iterable[str]) -> None:
    if not isinstance(choice, str) or choice not in known:
        raise ValueError(f"{name} is {choice!r:.80}; expected one of {', '.join(known)}")


def _scale(bonus: Any, horizon: int) -> FloatArray:
    """Return the scale of the bonus of each step (H,)."""
    array = as_float_array(bonus, "bonus")
    check_finite(array, "bonus")
    if array.shape not in ((), (horizon,)):
        raise ValueError(f"bonus has shape {array.shape}; expected a number or ({horizon},)")
    if array.min() < 0.0:
        raise ValueError(f"bonus is {array.min()}; expected a nonnegative number")
    return np.array(np.broadcast_to(array, (horizon,)))


def _ceilings(ceilings: ArrayLike | None, nominal: Nominal) -> FloatArray:
    if ceilings is None:
        return nominal.ceilings
    array = as_float_array(ceilings, "ceilings", (nominal.horizon,))
    check_finite(array, "ceilings")
    if array.min() <= 0:
        raise ValueError(f"ceilings holds {array.min()}; expected positive numbers")
    return array
