"""Linear MDPs: exact planning, robust and regularised, and learning with least squares."""

from rltheory.linear_mdp.feature_mdp import FeatureMDP
from rltheory.linear_mdp.learner import Learnt
from rltheory.linear_mdp.library import ENVIRONMENTS, load
from rltheory.linear_mdp.mdp import LinearMDP, RobustLinearMDP
from rltheory.linear_mdp.memory import population
from rltheory.linear_mdp.offline import Dataset, collect, drpvi, pevi, r2pvi, run_offline
from rltheory.linear_mdp.online import RegretCurve, dr_lsvi_ucb, dr_rpo, lsvi_ucb, run_online
from rltheory.linear_mdp.planning import LinearSolution, plan
from rltheory.linear_mdp.rules import BONUSES, DUALS, Settings
from rltheory.linear_mdp.sweep import sweep_seeds
from rltheory.linear_mdp.ucb_vi import robust_ucb_vi

__all__ = [
    "BONUSES",
    "DUALS",
    "ENVIRONMENTS",
    "Dataset",
    "FeatureMDP",
    "Learnt",
    "LinearMDP",
    "LinearSolution",
    "RegretCurve",
    "RobustLinearMDP",
    "Settings",
    "collect",
    "dr_lsvi_ucb",
    "dr_rpo",
    "drpvi",
    "load",
    "lsvi_ucb",
    "pevi",
    "plan",
    "population",
    "r2pvi",
    "robust_ucb_vi",
    "run_offline",
    "run_online",
    "sweep_seeds",
]
