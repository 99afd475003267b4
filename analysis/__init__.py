"""What the solvers stand on: arrays, certified bounds, divergences, rates, sweeps, plot style.

Also exact policy-gradient estimators on finite sampling models. Names are loaded on first use, as
the packages above need few of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rltheory.analysis.bounds import Bounds

if TYPE_CHECKING:
    from rltheory.analysis.estimators.advantages import Group as Group
    from rltheory.analysis.estimators.baselines import baseline_excess as baseline_excess
    from rltheory.analysis.estimators.baselines import coordinate_baselines as coordinate_baselines
    from rltheory.analysis.estimators.baselines import global_baseline as global_baseline
    from rltheory.analysis.estimators.baselines import optimal_baseline as optimal_baseline
    from rltheory.analysis.estimators.baselines import optimal_baselines as optimal_baselines
    from rltheory.analysis.estimators.comparison import ComparisonRow as ComparisonRow
    from rltheory.analysis.estimators.comparison import compare as compare
    from rltheory.analysis.estimators.dynamics import Certificate as Certificate
    from rltheory.analysis.estimators.dynamics import ExactAscent as ExactAscent
    from rltheory.analysis.estimators.dynamics import exact_ascent as exact_ascent
    from rltheory.analysis.estimators.dynamics import expected_gain as expected_gain
    from rltheory.analysis.estimators.gates import Gate as Gate
    from rltheory.analysis.estimators.gates import clip as clip
    from rltheory.analysis.estimators.gates import soft_gate as soft_gate
    from rltheory.analysis.estimators.gates import stopped_clip as stopped_clip
    from rltheory.analysis.estimators.learning import LearningRun as LearningRun
    from rltheory.analysis.estimators.learning import learn as learn
    from rltheory.analysis.estimators.learning import oblr_po as oblr_po
    from rltheory.analysis.estimators.moments import Moments as Moments
    from rltheory.analysis.estimators.moments import estimator_moments as estimator_moments
    from rltheory.analysis.estimators.outcomes import Outcomes as Outcomes
    from rltheory.analysis.estimators.parametrisations import Linear as Linear
    from rltheory.analysis.estimators.parametrisations import Network as Network
    from rltheory.analysis.estimators.parametrisations import Parametrisation as Parametrisation
    from rltheory.analysis.estimators.parametrisations import Tabular as Tabular
    from rltheory.analysis.estimators.sampling_model import SamplingModel as SamplingModel
    from rltheory.analysis.estimators.sampling_model import contextual_bandit as contextual_bandit
    from rltheory.analysis.estimators.sampling_model import softmax_bandit as softmax_bandit
    from rltheory.analysis.estimators.smoothness import curvature as curvature
    from rltheory.analysis.estimators.smoothness import smoothness as smoothness
    from rltheory.analysis.estimators.step_rules import FixedStep as FixedStep
    from rltheory.analysis.estimators.step_rules import SNRStep as SNRStep
    from rltheory.analysis.estimators.steps import guaranteed_gain as guaranteed_gain
    from rltheory.analysis.estimators.steps import snr_learning_rate as snr_learning_rate
    from rltheory.analysis.estimators.trees import episodes as episodes
    from rltheory.analysis.estimators.trees import token_tree as token_tree
    from rltheory.analysis.estimators.weights import ESTIMATORS as ESTIMATORS
    from rltheory.analysis.estimators.weights import Estimator as Estimator
    from rltheory.analysis.estimators.weights import grpo as grpo
    from rltheory.analysis.estimators.whitening import whitened_moments as whitened_moments
    from rltheory.analysis.rates import fit_rate as fit_rate
    from rltheory.analysis.sweeps.engine import grid as grid
    from rltheory.analysis.sweeps.engine import sweep as sweep
    from rltheory.analysis.sweeps.table import SweepTable as SweepTable
    from rltheory.analysis.sweeps.table import read_table as read_table
    from rltheory.analysis.tables import to_latex as to_latex
    from rltheory.analysis.tables import to_pandas as to_pandas

_HOME = {
    "Certificate": "estimators.dynamics",
    "ComparisonRow": "estimators.comparison",
    "ESTIMATORS": "estimators.weights",
    "Estimator": "estimators.weights",
    "ExactAscent": "estimators.dynamics",
    "FixedStep": "estimators.step_rules",
    "Gate": "estimators.gates",
    "Group": "estimators.advantages",
    "LearningRun": "estimators.learning",
    "Linear": "estimators.parametrisations",
    "Moments": "estimators.moments",
    "Network": "estimators.parametrisations",
    "Outcomes": "estimators.outcomes",
    "Parametrisation": "estimators.parametrisations",
    "SNRStep": "estimators.step_rules",
    "SamplingModel": "estimators.sampling_model",
    "SweepTable": "sweeps.table",
    "Tabular": "estimators.parametrisations",
    "baseline_excess": "estimators.baselines",
    "clip": "estimators.gates",
    "compare": "estimators.comparison",
    "contextual_bandit": "estimators.sampling_model",
    "coordinate_baselines": "estimators.baselines",
    "curvature": "estimators.smoothness",
    "episodes": "estimators.trees",
    "estimator_moments": "estimators.moments",
    "exact_ascent": "estimators.dynamics",
    "expected_gain": "estimators.dynamics",
    "fit_rate": "rates",
    "global_baseline": "estimators.baselines",
    "grid": "sweeps.engine",
    "grpo": "estimators.weights",
    "guaranteed_gain": "estimators.steps",
    "learn": "estimators.learning",
    "oblr_po": "estimators.learning",
    "optimal_baseline": "estimators.baselines",
    "optimal_baselines": "estimators.baselines",
    "read_table": "sweeps.table",
    "smoothness": "estimators.smoothness",
    "snr_learning_rate": "estimators.steps",
    "soft_gate": "estimators.gates",
    "softmax_bandit": "estimators.sampling_model",
    "stopped_clip": "estimators.gates",
    "sweep": "sweeps.engine",
    "to_latex": "tables",
    "to_pandas": "tables",
    "token_tree": "estimators.trees",
    "whitened_moments": "estimators.whitening",
}

__all__ = ["Bounds", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
