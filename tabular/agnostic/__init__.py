"""Agnostic policy learning: policy classes, their complexity, learners that count samples."""

from rltheory.tabular.agnostic.access import Generative, Hybrid, LocalSimulator, Online, Resets
from rltheory.tabular.agnostic.block_mdp import BlockMDP
from rltheory.tabular.agnostic.capacity import Capacity, reachable_pairs, spanning_capacity
from rltheory.tabular.agnostic.class_values import ClassValues, class_values, occupancies
from rltheory.tabular.agnostic.cores import constant_core, layer_core, open_loop_core, own_core
from rltheory.tabular.agnostic.coverage import (
    Coverage,
    concentrability,
    coverability,
    pushforward_concentrability,
    pushforward_coverability,
)
from rltheory.tabular.agnostic.cpi import CPI, cpi, cpi_exact
from rltheory.tabular.agnostic.emulator import Emulator, emulator_error, ideal_emulator
from rltheory.tabular.agnostic.families import (
    Instance,
    Lock,
    combination_lock,
    deterministic_case,
    psdp_failure,
)
from rltheory.tabular.agnostic.guarantees import (
    FailureFrequency,
    clopper_pearson,
    failure_frequency,
)
from rltheory.tabular.agnostic.importance import importance_sampling_erm, importance_variance
from rltheory.tabular.agnostic.masked_lock import MaskedLock, masked_lock
from rltheory.tabular.agnostic.petals import PetalProcess, petal_process
from rltheory.tabular.agnostic.plhr import PolicyEmulation, policy_emulator
from rltheory.tabular.agnostic.policy_class import PolicyClass
from rltheory.tabular.agnostic.popler import PoplerParameters, PoplerResult, popler
from rltheory.tabular.agnostic.psdp import PSDP, completeness_gap, psdp, psdp_exact, psdp_resets
from rltheory.tabular.agnostic.sunflower import Sunflower, Uncovered, is_sunflower, uncovered
from rltheory.tabular.agnostic.sunflower_search import minimal_petals, sunflower
from rltheory.tabular.agnostic.trees import trajectory_tree_erm

__all__ = [
    "CPI",
    "PSDP",
    "BlockMDP",
    "Capacity",
    "ClassValues",
    "Coverage",
    "Emulator",
    "FailureFrequency",
    "Generative",
    "Hybrid",
    "Instance",
    "LocalSimulator",
    "Lock",
    "MaskedLock",
    "Online",
    "PetalProcess",
    "PolicyClass",
    "PolicyEmulation",
    "PoplerParameters",
    "PoplerResult",
    "Resets",
    "Sunflower",
    "Uncovered",
    "class_values",
    "clopper_pearson",
    "combination_lock",
    "completeness_gap",
    "concentrability",
    "constant_core",
    "coverability",
    "cpi",
    "cpi_exact",
    "deterministic_case",
    "emulator_error",
    "failure_frequency",
    "ideal_emulator",
    "importance_sampling_erm",
    "importance_variance",
    "is_sunflower",
    "layer_core",
    "masked_lock",
    "minimal_petals",
    "occupancies",
    "open_loop_core",
    "own_core",
    "petal_process",
    "policy_emulator",
    "popler",
    "psdp",
    "psdp_exact",
    "psdp_failure",
    "psdp_resets",
    "pushforward_concentrability",
    "pushforward_coverability",
    "reachable_pairs",
    "spanning_capacity",
    "sunflower",
    "trajectory_tree_erm",
    "uncovered",
]
