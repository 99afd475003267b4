"""The off-dynamics world of the figures on linear MDPs, and what policies are worth in it."""

from typing import Any

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.linear_mdp import LinearMDP, RobustLinearMDP, load, plan
from rltheory.tabular.uncertainty import TotalVariation

XI = 0.3
"""The norm of the weights of the actions: as large as they may be, so that actions differ most."""
WORLD = {"xi_norm": XI}
RIDGE = 0.1
"""As the authors' code has it."""


def source(radius: float) -> RobustLinearMDP:
    """Return the world that is learnt in; the radius is of the factor that pays, at its first step.

    Elsewhere the adversary has nothing to change, as in the authors' code.
    """
    nominal = load("off_dynamics", **WORLD)
    assert isinstance(nominal, LinearMDP)
    radii = np.zeros((nominal.horizon, nominal.dimension))
    radii[0, 3] = radius
    return RobustLinearMDP(nominal, TotalVariation(radii))


def target(perturbation: float) -> Any:
    """Return the world that is tested in."""
    return load("off_dynamics_target", perturbation=perturbation, **WORLD)


def start_value(model: Any, **settings: Any) -> float:
    """Return a value of `plan` at the initial distribution."""
    nominal = model.nominal if isinstance(model, RobustLinearMDP) else model
    return float(nominal.initial @ plan(model, **settings).values[0])


def paid(model: LinearMDP, policy: FloatArray, reference: FloatArray | None) -> float:
    """Return the divergence from a reference, in nats, that a policy is expected to add up to."""
    plain = start_value(model, policy=policy)
    return plain - start_value(model, policy=policy, temperature=1.0, reference=reference)
