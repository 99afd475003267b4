"""What the solvers stand on: arrays, certified bounds, divergences, rates, sweeps, plot style.

Also exact policy-gradient estimators on finite sampling models. Names are loaded on first use, as
the packages above need few of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rltheory.analysis.bounds import Bounds

if TYPE_CHECKING:
    from rltheory.analysis.estimators.baselines import optimal_baseline as optimal_baseline
    from rltheory.analysis.estimators.moments import Moments as Moments
    from rltheory.analysis.estimators.moments import estimator_moments as estimator_moments
    from rltheory.analysis.estimators.outcomes import Outcomes as Outcomes
    from rltheory.analysis.estimators.parametrisations import Linear as Linear
    from rltheory.analysis.estimators.parametrisations import Network as Network
    from rltheory.analysis.estimators.parametrisations import Tabular as Tabular
    from rltheory.analysis.estimators.sampling_model import SamplingModel as SamplingModel
    from rltheory.analysis.estimators.sampling_model import contextual_bandit as contextual_bandit
    from rltheory.analysis.estimators.sampling_model import softmax_bandit as softmax_bandit
    from rltheory.analysis.estimators.steps import guaranteed_gain as guaranteed_gain
    from rltheory.analysis.estimators.steps import snr_learning_rate as snr_learning_rate
    from rltheory.analysis.estimators.trees import episodes as episodes
    from rltheory.analysis.estimators.trees import token_tree as token_tree
    from rltheory.analysis.estimators.weights import ESTIMATORS as ESTIMATORS
    from rltheory.analysis.estimators.weights import Estimator as Estimator
    from rltheory.analysis.rates import fit_rate as fit_rate

_HOME = {
    "ESTIMATORS": "estimators.weights",
    "Estimator": "estimators.weights",
    "Linear": "estimators.parametrisations",
    "Moments": "estimators.moments",
    "Network": "estimators.parametrisations",
    "Outcomes": "estimators.outcomes",
    "SamplingModel": "estimators.sampling_model",
    "Tabular": "estimators.parametrisations",
    "contextual_bandit": "estimators.sampling_model",
    "episodes": "estimators.trees",
    "estimator_moments": "estimators.moments",
    "fit_rate": "rates",
    "guaranteed_gain": "estimators.steps",
    "optimal_baseline": "estimators.baselines",
    "snr_learning_rate": "estimators.steps",
    "softmax_bandit": "estimators.sampling_model",
    "token_tree": "estimators.trees",
}

__all__ = ["Bounds", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
