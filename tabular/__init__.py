"""Finite MDPs: exact planning with certified bounds, robust planning, real models."""

from rltheory.tabular.average_reward import AverageRewardSolution, relative_value_iteration
from rltheory.tabular.constrained import (
    ConstrainedSolution,
    DualPoint,
    lagrangian_dual,
    solve_constrained,
)
from rltheory.tabular.drn import read_drn, write_drn
from rltheory.tabular.dual_ascent import DualPath, dual_ascent, primal_dual
from rltheory.tabular.evaluation import evaluate_policy, occupancy_measure
from rltheory.tabular.explicit import ExplicitModel
from rltheory.tabular.finite_horizon import EpisodicSolution, backward_induction
from rltheory.tabular.generators import (
    american_put,
    chain,
    garnet,
    gridworld,
    inventory,
    machine_replacement,
    random_mdp,
    river_swim,
)
from rltheory.tabular.gymnasium_tables import episodic_from_gymnasium, from_gymnasium, to_gymnasium
from rltheory.tabular.interop import (
    from_pymdptoolbox,
    from_quantecon,
    to_pymdptoolbox,
    to_quantecon,
)
from rltheory.tabular.iwocs import IncrementalSolution, iwocs
from rltheory.tabular.jax_planning import plan_many
from rltheory.tabular.kernel_family import (
    KernelFamily,
    WorstMember,
    solve_rectangular,
    static_worst_case,
)
from rltheory.tabular.library import load
from rltheory.tabular.linear_programming import linear_programming
from rltheory.tabular.mdp import DiscountedMDP, EpisodicMDP
from rltheory.tabular.mdpo import mdpo
from rltheory.tabular.multi_objective import (
    ParetoFront,
    Scalarised,
    chebyshev,
    deterministic_front,
    pareto_front,
    scalarise,
    vector_returns,
)
from rltheory.tabular.pareto import (
    hypervolume,
    hypervolume_contributions,
    hypervolume_subset,
    non_dominated,
)
from rltheory.tabular.path_consistency import PathConsistency, path_consistency
from rltheory.tabular.policy_iteration import modified_policy_iteration, policy_iteration
from rltheory.tabular.policy_optimisation import (
    PolicyOptimisation,
    direct_gradient,
    mirror_descent,
    natural_policy_gradient,
    policy_gradient,
    softmax_gradient,
)
from rltheory.tabular.prism import read_prism, write_prism
from rltheory.tabular.prism_program import write_prism_program
from rltheory.tabular.robust import (
    RobustSolution,
    best_response_kernel,
    robust_evaluate_policy,
    robust_policy_iteration,
    robust_value_iteration,
)
from rltheory.tabular.robust_horizon import RobustEpisodicSolution, robust_backward_induction
from rltheory.tabular.soft_policy_iteration import SoftPath, soft_optimum, soft_policy_iteration
from rltheory.tabular.solution import Evaluation, Solution
from rltheory.tabular.uncertainty import (
    L1,
    L2,
    ChiSquare,
    Contamination,
    Interval,
    KullbackLeibler,
    LInf,
    Penalised,
    PenalisedChiSquare,
    PenalisedKullbackLeibler,
    PenalisedTotalVariation,
    TotalVariation,
    UncertaintySet,
    Wasserstein,
)
from rltheory.tabular.value_iteration import value_iteration

__all__ = [
    "L1",
    "L2",
    "AverageRewardSolution",
    "ChiSquare",
    "ConstrainedSolution",
    "Contamination",
    "DiscountedMDP",
    "DualPath",
    "DualPoint",
    "EpisodicMDP",
    "EpisodicSolution",
    "Evaluation",
    "ExplicitModel",
    "IncrementalSolution",
    "Interval",
    "KernelFamily",
    "KullbackLeibler",
    "LInf",
    "ParetoFront",
    "PathConsistency",
    "Penalised",
    "PenalisedChiSquare",
    "PenalisedKullbackLeibler",
    "PenalisedTotalVariation",
    "PolicyOptimisation",
    "RobustEpisodicSolution",
    "RobustSolution",
    "Scalarised",
    "SoftPath",
    "Solution",
    "TotalVariation",
    "UncertaintySet",
    "Wasserstein",
    "WorstMember",
    "american_put",
    "backward_induction",
    "best_response_kernel",
    "chain",
    "chebyshev",
    "deterministic_front",
    "direct_gradient",
    "dual_ascent",
    "episodic_from_gymnasium",
    "evaluate_policy",
    "from_gymnasium",
    "from_pymdptoolbox",
    "from_quantecon",
    "garnet",
    "gridworld",
    "hypervolume",
    "hypervolume_contributions",
    "hypervolume_subset",
    "inventory",
    "iwocs",
    "lagrangian_dual",
    "linear_programming",
    "load",
    "machine_replacement",
    "mdpo",
    "mirror_descent",
    "modified_policy_iteration",
    "natural_policy_gradient",
    "non_dominated",
    "occupancy_measure",
    "pareto_front",
    "path_consistency",
    "plan_many",
    "policy_gradient",
    "policy_iteration",
    "primal_dual",
    "random_mdp",
    "read_drn",
    "read_prism",
    "relative_value_iteration",
    "river_swim",
    "robust_backward_induction",
    "robust_evaluate_policy",
    "robust_policy_iteration",
    "robust_value_iteration",
    "scalarise",
    "soft_optimum",
    "soft_policy_iteration",
    "softmax_gradient",
    "solve_constrained",
    "solve_rectangular",
    "static_worst_case",
    "to_gymnasium",
    "to_pymdptoolbox",
    "to_quantecon",
    "value_iteration",
    "vector_returns",
    "write_drn",
    "write_prism",
    "write_prism_program",
]
