"""Environments by name."""

from collections.abc import Callable
from typing import Any

from rltheory.linear_mdp.environments.american_put import american_put
from rltheory.linear_mdp.environments.off_dynamics import off_dynamics, off_dynamics_target
from rltheory.linear_mdp.feature_mdp import FeatureMDP
from rltheory.linear_mdp.mdp import LinearMDP

ENVIRONMENTS: dict[str, Callable[..., LinearMDP | FeatureMDP]] = {
    make.__name__: make for make in (off_dynamics, off_dynamics_target, american_put)
}
"""What `load` knows; each call takes keywords, see there."""


def load(name: str, **parameters: Any) -> LinearMDP | FeatureMDP:
    """Return an environment by its name in `ENVIRONMENTS`, made with these parameters.

    Raises ValueError for an unknown name, and what the environment says of its parameters.
    """
    if name not in ENVIRONMENTS:
        raise ValueError(f"name is {name!r}; expected one of {', '.join(ENVIRONMENTS)}")
    return ENVIRONMENTS[name](**parameters)
