"""The step of largest guaranteed gain, against the parabola that it maximises."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rltheory.analysis import guaranteed_gain, snr_learning_rate

sizes = st.floats(1e-3, 1e3)


@given(signal=sizes, variance=st.floats(0, 1e3), smoothness=sizes, factor=st.floats(0, 3))
def test_no_other_step_gains_more(signal, variance, smoothness, factor):
    given_ = {"gradient": [0.6 * signal, -0.8 * signal], "variance": variance}
    best = snr_learning_rate(**given_, smoothness=smoothness)
    top = guaranteed_gain(**given_, smoothness=smoothness, step=best)
    other = guaranteed_gain(**given_, smoothness=smoothness, step=factor * best)
    assert other <= top * (1 + 1e-12)
    ratio = signal**2 / variance if variance > 0 else np.inf
    share = ratio / (1 + ratio) if np.isfinite(ratio) else 1.0
    assert best == pytest.approx(share / smoothness, rel=1e-12)
    assert top == pytest.approx(signal**2 * share / (2 * smoothness), rel=1e-12)
    # At twice the best step nothing is guaranteed, beyond it a loss.
    twice = guaranteed_gain(**given_, smoothness=smoothness, step=2 * best)
    assert abs(twice) <= 1e-12 * top


def test_edges():
    assert snr_learning_rate(gradient=[0.0, 0.0], variance=0.0, smoothness=1.0) == 0.0
    assert snr_learning_rate(gradient=[0.0], variance=2.0, smoothness=1.0) == 0.0
    assert snr_learning_rate(gradient=[3.0], variance=0.0, smoothness=4.0) == 0.25
    far = snr_learning_rate(gradient=[1e140, 1e140], variance=1e308, smoothness=0.5)
    assert far == pytest.approx(4e-28)
    assert snr_learning_rate(gradient=[1e150] * 9, variance=1.7e308, smoothness=1.0) <= 1.0
    assert snr_learning_rate(gradient=[1e-140], variance=1e308, smoothness=1.0) == 0.0


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"gradient": [np.nan]}, ValueError, r"gradient\[0\] is nan"),
        ({"gradient": [[1.0]]}, ValueError, r"gradient has shape \(1, 1\)"),
        ({"gradient": "x"}, TypeError, "gradient must be an array of real numbers"),
        ({"gradient": [1e200]}, ValueError, r"gradient has entries of up to 1e\+200"),
        ({"variance": -1.0}, ValueError, "variance is -1.0"),
        ({"variance": np.inf}, ValueError, "variance is inf"),
        ({"variance": None}, TypeError, "variance must be a real number"),
        ({"smoothness": 0.0}, ValueError, "smoothness is 0; expected a positive number"),
        ({"smoothness": np.nan}, ValueError, "smoothness is nan"),
        ({"step": -0.1}, ValueError, "step is -0.1"),
        ({"step": np.inf}, ValueError, "step is inf"),
    ],
)
def test_what_does_not_fit_is_refused(change, error, message):
    arguments = {"gradient": [1.0], "variance": 1.0, "smoothness": 1.0, "step": 1.0} | change
    with pytest.raises(error, match=message):
        guaranteed_gain(**arguments)
    if "step" not in change:
        arguments.pop("step")
        with pytest.raises(error, match=message):
            snr_learning_rate(**arguments)
