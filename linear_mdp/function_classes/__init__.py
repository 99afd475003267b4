"""Finite classes of value functions: completeness, confidence sets, eluder dimensions, GOLF."""

from rltheory.linear_mdp.function_classes.coefficients import (
    Extrapolation,
    cumulative_reachability,
    extrapolation,
    reachability,
    sequential_extrapolation,
)
from rltheory.linear_mdp.function_classes.completeness import (
    Completeness,
    completeness,
    is_complete,
)
from rltheory.linear_mdp.function_classes.confidence import (
    excess_losses,
    in_sample_bound,
    theory_radii,
)
from rltheory.linear_mdp.function_classes.eluder import (
    EluderDimension,
    bellman_eluder,
    bellman_rank,
    distributional_eluder,
    eluder_dimension,
)
from rltheory.linear_mdp.function_classes.finite import FiniteClass, complete_class, dyadic_mdp
from rltheory.linear_mdp.function_classes.golf import (
    ALGORITHMS,
    Algorithm,
    FiniteRun,
    douhua,
    golf,
    nora,
    run_finite,
)

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "Completeness",
    "EluderDimension",
    "Extrapolation",
    "FiniteClass",
    "FiniteRun",
    "bellman_eluder",
    "bellman_rank",
    "complete_class",
    "completeness",
    "cumulative_reachability",
    "distributional_eluder",
    "douhua",
    "dyadic_mdp",
    "eluder_dimension",
    "excess_losses",
    "extrapolation",
    "golf",
    "in_sample_bound",
    "is_complete",
    "nora",
    "reachability",
    "run_finite",
    "sequential_extrapolation",
    "theory_radii",
]
