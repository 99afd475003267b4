"""Robust UCB-VI: the tabular baseline, which is DR-LSVI-UCB with one feature for each pair.

The design is then diagonal with the numbers of visits, the estimates are the empirical kernels
(shrunk by the ridge), the balls are (s, a)-rectangular and the bonus is scale / (visits +
ridge)^(1/2). Source: Azar, Osband and Munos (2017) for UCB-VI with Hoeffding bonuses.
"""

from typing import Any

from numpy.typing import ArrayLike

from rltheory.linear_mdp.mdp import LinearMDP
from rltheory.linear_mdp.online import RegretCurve, run_online
from rltheory.linear_mdp.rules import Settings
from rltheory.tabular.mdp import EpisodicMDP, check_episodic
from rltheory.tabular.uncertainty.base import UncertaintySet

LARGEST = 2000
"""Pairs up to which designs of the size of their square are kept."""


def robust_ucb_vi(
    mdp: EpisodicMDP,
    uncertainty: UncertaintySet | None = None,
    *,
    fail_state: int | None = None,
    bonus: Any = 1.0,
    ceilings: ArrayLike | None = None,
    **run: Any,
) -> RegretCurve:
    """Run robust UCB-VI against a set of `DUALS` around every pair's kernel, or none.

    bonus: number or (H,), divided by (visits + ridge)^(1/2). run: episodes, ridge, seed,
    checkpoints, save, progress, see `run_online`. The curve is of robust values.
    Raises ValueError or TypeError naming what does not fit, more than 2000 pairs included.
    """
    check_episodic(mdp)
    pairs = mdp.states * mdp.actions
    if pairs > LARGEST:
        raise ValueError(f"mdp has {pairs} pairs; expected at most {LARGEST}")
    settings = Settings(
        name="robust UCB-VI", bonus=bonus, bonus_form="factors", known_rewards=True,
        ceilings=ceilings,
    )  # fmt: skip
    return run_online(
        LinearMDP.from_tabular(mdp, fail_state), settings, uncertainty=uncertainty, **run
    )
