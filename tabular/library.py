"""Models by name: the generators, and Gymnasium's toy-text environments."""

import difflib
import inspect
from collections.abc import Callable
from typing import Any

from rltheory.analysis.arrays import check_range
from rltheory.tabular import generators
from rltheory.tabular.gymnasium_tables import from_gymnasium
from rltheory.tabular.mdp import DiscountedMDP, EpisodicMDP


def frozen_lake(
    *,
    map_name: str = "4x4",
    is_slippery: bool = True,
    success_rate: float | None = None,
    discount: float = 0.99,
) -> DiscountedMDP:
    """Return Gymnasium's FrozenLake, `map_name` "4x4" or "8x8"; the last state is the end.

    success_rate: probability of the intended move on slippery ice, Gymnasium's 1/3 by default.
    """
    settings: dict[str, Any] = {"map_name": map_name, "is_slippery": is_slippery}
    _check_flag(is_slippery, "is_slippery")
    if success_rate is not None:
        settings["success_rate"] = check_range(success_rate, "success_rate", 0.0, 1.0)
    if map_name not in ("4x4", "8x8"):
        raise ValueError(f"map_name is {map_name!r}; expected '4x4' or '8x8'")
    return _toy_text("FrozenLake-v1", discount, **settings)


def cliff_walking(*, is_slippery: bool = False, discount: float = 0.99) -> DiscountedMDP:
    """Return Gymnasium's CliffWalking; the last state is the end."""
    _check_flag(is_slippery, "is_slippery")
    return _toy_text("CliffWalking-v1", discount, is_slippery=is_slippery)


def taxi(*, is_rainy: bool = False, discount: float = 0.99) -> DiscountedMDP:
    """Return Gymnasium's Taxi; the last state is the end."""
    _check_flag(is_rainy, "is_rainy")
    return _toy_text("Taxi-v4", discount, is_rainy=is_rainy)


def garnet(
    states: int = 1000,
    actions: int = 4,
    successors: int = 5,
    *,
    seed: int = 0,
    discount: float = 0.95,
) -> DiscountedMDP:
    """Return `generators.garnet`, by default of 1000 states, 4 actions and 5 successors."""
    return generators.garnet(states, actions, successors, seed=seed, discount=discount)


def random(
    states: int = 100,
    actions: int = 4,
    *,
    seed: int = 0,
    concentration: float = 1.0,
    discount: float = 0.95,
) -> DiscountedMDP:
    """Return `generators.random_mdp`, by default of 100 states and 4 actions."""
    return generators.random_mdp(
        states, actions, seed=seed, concentration=concentration, discount=discount
    )


MODELS: dict[str, Callable[..., DiscountedMDP | EpisodicMDP]] = {
    "american_put": generators.american_put,
    "chain": generators.chain,
    "cliff_walking": cliff_walking,
    "frozen_lake": frozen_lake,
    "garnet": garnet,
    "gridworld": generators.gridworld,
    "inventory": generators.inventory,
    "machine_replacement": generators.machine_replacement,
    "random": random,
    "river_swim": generators.river_swim,
    "taxi": taxi,
}


def load(name: str, **parameters: Any) -> DiscountedMDP | EpisodicMDP:
    """Return the model of that name in `MODELS`, its parameters by keyword.

    Raises ValueError for an unknown name, with near matches; TypeError for an unknown parameter,
    with the known ones; and what the model's own function raises for a bad value.
    """
    if not isinstance(name, str):
        raise TypeError(f"name is {name!r}; expected the name of a model")
    if name not in MODELS:
        near = difflib.get_close_matches(name, MODELS, n=3) or list(MODELS)
        raise ValueError(f"no model is named {name!r}; did you mean {', '.join(near)}?")
    known = list(inspect.signature(MODELS[name]).parameters)
    unknown = [key for key in parameters if key not in known]
    if unknown:
        raise TypeError(f"{name} has no parameter {unknown[0]!r}; expected one of {known}")
    return MODELS[name](**parameters)


def _check_flag(flag: bool, name: str) -> None:
    if not isinstance(flag, bool):
        raise TypeError(f"{name} is {flag!r}; expected True or False")


def _toy_text(identifier: str, discount: float, **settings: Any) -> DiscountedMDP:
    try:
        import gymnasium
    except ImportError:
        raise ImportError(f"{identifier} needs Gymnasium: install rltheory[interop]") from None
    return from_gymnasium(gymnasium.make(identifier, **settings), discount=discount)
