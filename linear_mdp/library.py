"""Environments by name.

Their sizes, as they come (states S, actions A, features d, steps H), and what they grow with:

| name | S | A | d | H | grows with |
|---|---|---|---|---|---|
| off_dynamics, off_dynamics_target | 5 | 16 | 4 | 3 | |
| american_put | 331 | 2 | 20 | 10 | starts (H + 1) (H + 2) / 2 + 1 states |
| linear_frozen_lake | 13 | 4 | 14 | 20 | size 8: 55 states, d = 56 |
| linear_gridworld | 21 | 4 | 22 | 11 | cells that are no pits or walls + 1 states, d = S + 1 |
| linear_lock | 7 | 4 | 6 | 6 | length + 2 states, d = A + 2, H = length + 1 |
| random_linear_mdp | 50 | 4 | 8 | 5 | as asked for; S 10,000, A 32, d 60, H 20 takes 0.6 GiB |
"""

from collections.abc import Callable
from typing import Any

from rltheory.linear_mdp.environments.american_put import american_put
from rltheory.linear_mdp.environments.gridworlds import linear_frozen_lake, linear_gridworld
from rltheory.linear_mdp.environments.lock import linear_lock
from rltheory.linear_mdp.environments.off_dynamics import off_dynamics, off_dynamics_target
from rltheory.linear_mdp.environments.random_models import random_linear_mdp
from rltheory.linear_mdp.feature_mdp import FeatureMDP
from rltheory.linear_mdp.mdp import LinearMDP

ENVIRONMENTS: dict[str, Callable[..., LinearMDP | FeatureMDP]] = {
    make.__name__: make
    for make in (
        off_dynamics,
        off_dynamics_target,
        american_put,
        linear_frozen_lake,
        linear_gridworld,
        linear_lock,
        random_linear_mdp,
    )
}
"""What `load` knows; each call takes keywords, see there."""


def load(name: str, **parameters: Any) -> LinearMDP | FeatureMDP:
    """Return an environment by its name in `ENVIRONMENTS`, made with these parameters.

    Raises ValueError for an unknown name, and what the environment says of its parameters.
    """
    if name not in ENVIRONMENTS:
        raise ValueError(f"name is {name!r}; expected one of {', '.join(ENVIRONMENTS)}")
    return ENVIRONMENTS[name](**parameters)
