"""Linear MDPs and MDPs with features in archives: the same bits, and nothing else is read."""

import numpy as np
import pytest

from rltheory.linear_mdp.environments.american_put import american_put
from rltheory.linear_mdp.environments.lock import linear_lock
from rltheory.linear_mdp.environments.off_dynamics import off_dynamics
from rltheory.linear_mdp.environments.random_models import random_linear_mdp
from rltheory.linear_mdp.feature_mdp import FeatureMDP
from rltheory.linear_mdp.formats import load_npz, save_npz
from rltheory.linear_mdp.mdp import LinearMDP
from rltheory.tabular import EpisodicMDP


def featured(shared):
    rng = np.random.default_rng(0)
    kernel, rewards = rng.dirichlet(np.ones(3), size=(4, 3, 2)), rng.normal(size=(4, 3, 2))
    if shared:
        mdp = EpisodicMDP.stationary(kernel[0], rewards[0], 4)
    else:
        mdp = EpisodicMDP(kernel, rewards, [0.5, 0.25, 0.25])
    return FeatureMDP(mdp, rng.normal(size=(3, 2, 5)))


def arrays_of(model):
    mdp = model.mdp if isinstance(model, FeatureMDP) else model
    names = ("measures", "reward_weights") if mdp is model else ("transitions", "rewards")
    return [model.features, mdp.initial, *(getattr(mdp, name) for name in names)]


@pytest.mark.parametrize(
    "model",
    [
        linear_lock(seed=0),
        off_dynamics(),
        random_linear_mdp(seed=0, states=6, actions=2, dimension=3, horizon=4),
        american_put(),
        featured(shared=True),
        featured(shared=False),
    ],
    ids=["lock", "off_dynamics", "random", "put", "features, one kernel", "features"],
)
def test_models_read_back_bit_for_bit(tmp_path, model):
    save_npz(tmp_path / "model.npz", model)
    back = load_npz(tmp_path / "model.npz")
    assert type(back) is type(model)
    assert (back.horizon, back.fail_state) == (model.horizon, model.fail_state)
    for one, two in zip(arrays_of(back), arrays_of(model), strict=True):
        assert one.shape == two.shape
        assert one.tobytes() == two.tobytes()
        # What steps share in memory they share again.
        assert (one.strides[0] == 0) == (two.strides[0] == 0)


def test_what_is_no_model_is_refused_by_name(tmp_path):
    path = tmp_path / "bad.npz"
    with pytest.raises(TypeError, match="model is 3; expected a LinearMDP or a FeatureMDP"):
        save_npz(path, 3)
    path.write_text("no archive")
    with pytest.raises(ValueError, match=r"bad\.npz is not a linear MDP archive"):
        load_npz(path)
    model = linear_lock(seed=0)
    assert isinstance(model, LinearMDP)
    save_npz(path, model)
    arrays = dict(np.load(path))
    for name, array, message in [
        ("measures", arrays["measures"] * 2, "holds no valid model: features @ measures"),
        ("horizon", np.array(0), "holds no valid model: horizon is 0"),
        ("horizon", np.array(model.horizon + 1), "holds no valid model: measures has"),
        ("fail_state", np.array(99), "holds no valid model: fail_state is 99"),
    ]:
        np.savez(path, **(arrays | {name: array}))
        with pytest.raises(ValueError, match=message):
            load_npz(path)
    del arrays["features"]
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match="it has no array 'features'"):
        load_npz(path)
