"""What the learners of linear MDPs refuse: the error names the argument and says what came."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from lsvi_reference import random_model

from rltheory.linear_mdp import memory
from rltheory.linear_mdp.feature_mdp import FeatureMDP
from rltheory.linear_mdp.mdp import RobustLinearMDP
from rltheory.linear_mdp.offline import Dataset, collect, drpvi, pevi, r2pvi, run_offline
from rltheory.linear_mdp.online import dr_lsvi_ucb, dr_rpo, lsvi_ucb, run_online
from rltheory.linear_mdp.rules import Settings
from rltheory.linear_mdp.ucb_vi import robust_ucb_vi
from rltheory.tabular.mdp import EpisodicMDP
from rltheory.tabular.uncertainty import (
    Contamination,
    PenalisedTotalVariation,
    TotalVariation,
)

NOMINAL = random_model(3, fails=True)
TABULAR = NOMINAL.to_tabular()
MODEL = RobustLinearMDP(NOMINAL, TotalVariation(0.2))
PLAIN = Settings(name="", bonus=0.5, bonus_form="factors", known_rewards=True)
DATA = collect(NOMINAL, episodes=5, seed=0)
NAN, INF = float("nan"), float("inf")

ONLINE = {
    "lsvi_ucb": partial(lsvi_ucb, MODEL),
    "dr_lsvi_ucb": partial(dr_lsvi_ucb, MODEL),
    "dr_rpo": partial(dr_rpo, MODEL),
    "robust_ucb_vi": partial(robust_ucb_vi, TABULAR, TotalVariation(0.2)),
    "run_online": partial(run_online, MODEL, PLAIN),
}
OFFLINE = {
    "pevi": partial(pevi, MODEL, DATA),
    "drpvi": partial(drpvi, MODEL, DATA),
    "r2pvi": partial(r2pvi, NOMINAL, DATA, uncertainty=PenalisedTotalVariation(0.5)),
    "run_offline": partial(run_offline, MODEL, PLAIN, DATA),
}

RUNS: list[tuple[str, Any]] = [
    *(("episodes", wrong) for wrong in (0, -3, 2.5, NAN, "ten", None, [3], True)),
    *(("ridge", wrong) for wrong in (0.0, -1.0, NAN, INF, "much", None, [1.0, 2.0])),
    *(("seed", wrong) for wrong in (-1, None, 0.5, "zero", True)),
    *(("checkpoints", wrong) for wrong in ("some", 0, -1, [0], [11], [2.5], None, 1.5)),
    *(("save", wrong) for wrong in (3, [1])),
    *(("progress", wrong) for wrong in (3, "bar")),
]
CHOICES: list[tuple[str, Any]] = [
    *(("bonus", wrong) for wrong in (-0.1, NAN, INF, "big", None, [1.0, 2.0], [1.0, -1.0, 0.0])),
    *(("ceilings", wrong) for wrong in ([1.0], [1.0, NAN, 1.0], [1.0, 0.0, 1.0], "high", 3.0)),
]
FORMS: list[tuple[str, Any]] = [("bonus_form", wrong) for wrong in ("sum", None, 3, ["factors"])]


@pytest.mark.parametrize("run", ONLINE)
@pytest.mark.parametrize(("name", "wrong"), RUNS, ids=repr)
def test_runs_name_what_they_refuse(run: str, name: str, wrong: Any) -> None:
    arguments: dict[str, Any] = {"episodes": 10, "seed": 0, name: wrong}
    refuses(partial(ONLINE[run], **arguments), name)


@pytest.mark.parametrize(
    "run", [name for name in [*ONLINE, *OFFLINE] if not name.startswith("run_")]
)
@pytest.mark.parametrize(("name", "wrong"), CHOICES, ids=repr)
def test_settings_are_named_where_refused(run: str, name: str, wrong: Any) -> None:
    call = partial(ONLINE[run], episodes=2, seed=0) if run in ONLINE else OFFLINE[run]
    refuses(partial(call, **{name: wrong}), name)


@pytest.mark.parametrize("run", ["lsvi_ucb", "dr_lsvi_ucb", "dr_rpo", "pevi", "drpvi", "r2pvi"])
@pytest.mark.parametrize(("name", "wrong"), FORMS, ids=repr)
def test_forms_of_the_bonus_are_named_where_refused(run: str, name: str, wrong: Any) -> None:
    call = partial(ONLINE[run], episodes=2, seed=0) if run in ONLINE else OFFLINE[run]
    refuses(partial(call, **{name: wrong}), name)


@pytest.mark.parametrize("run", OFFLINE)
@pytest.mark.parametrize("ridge", [-1.0, NAN, INF, "much", None])
def test_ridges_of_offline_learners(run: str, ridge: Any) -> None:
    refuses(partial(OFFLINE[run], ridge=ridge), "ridge")


@pytest.mark.parametrize(
    ("change", "name"),
    [
        *(({"temperature": wrong}, "temperature") for wrong in (-0.1, NAN, INF, "hot", None)),
        ({"reference": np.full((4, 3), 0.5)}, "reference"),
        ({"reference": np.full((3, 4), 0.25)}, "reference"),
        ({"reference": np.tile([0.5, 0.5, 0.0], (4, 1))}, r"reference\[0, 2\] is 0"),
        ({"reference": np.full((4, 3), NAN)}, "reference"),
        ({"reference": "uniform"}, "reference"),
        ({"temperature": 0.0, "reference": np.full((4, 3), 1 / 3)}, "temperature is 0"),
        ({"temperature": 0.0, "update": "mirror", "step": 1.0}, "temperature is 0"),
        ({"update": "gradient"}, "update"),
        ({"update": None}, "update"),
        ({"update": "mirror"}, "step is None"),
        ({"step": 1.0}, "step is 1.0"),
        *(
            ({"update": "mirror", "step": wrong}, "step")
            for wrong in (0.0, -1.0, 10.1, NAN, INF, "long")
        ),
    ],
    ids=repr,
)
def test_dr_rpo_names_what_it_refuses(change: dict[str, Any], name: str) -> None:
    refuses(partial(dr_rpo, MODEL, episodes=2, seed=0, **change), name)


@pytest.mark.parametrize("known", ["yes", None, 1.0])
def test_whether_rewards_are_known_is_yes_or_no(known: Any) -> None:
    refuses(partial(lsvi_ucb, MODEL, known_rewards=known, episodes=2, seed=0), "known_rewards")
    refuses(partial(pevi, MODEL, DATA, known_rewards=known), "known_rewards")


@pytest.mark.parametrize("model", [None, TABULAR, 3, NOMINAL.features])
def test_models_of_another_kind(model: Any) -> None:
    for learn in (lsvi_ucb, dr_lsvi_ucb, dr_rpo):
        refuses(partial(learn, model, episodes=2, seed=0), "model is")
    for learn_offline in (pevi, drpvi, r2pvi):
        refuses(partial(learn_offline, model, DATA), "model is")
    refuses(partial(run_online, model, PLAIN, seed=0), "model is")
    refuses(partial(collect, model, episodes=2, seed=0), "model is")


def test_tabular_models_of_another_kind() -> None:
    for model in (None, NOMINAL, 3):
        refuses(partial(robust_ucb_vi, model, episodes=2, seed=0), "mdp")
    large = EpisodicMDP(
        np.broadcast_to(np.eye(50)[:, None, :], (1, 50, 41, 50)), np.zeros((1, 50, 41))
    )
    refuses(partial(robust_ucb_vi, large, episodes=2, seed=0), "2050 pairs")
    for fail in (4, -1, 0, "last", True):
        run = partial(robust_ucb_vi, TABULAR, fail_state=fail, episodes=2, seed=0)
        refuses(run, "fail_state")


@pytest.mark.parametrize("settings", [None, "LSVI-UCB", {"bonus": 1.0}])
def test_settings_of_another_kind(settings: Any) -> None:
    refuses(partial(run_online, MODEL, settings, seed=0), "settings is")
    refuses(partial(run_offline, MODEL, settings, DATA), "settings is")


@pytest.mark.parametrize("ball", [0.1, "tv", Contamination(0.1), TotalVariation(0.1, "nominal")])
def test_sets_without_a_dual(ball: Any) -> None:
    feature = FeatureMDP(TABULAR, NOMINAL.features, fail_state=3)
    for model in (NOMINAL, feature):
        refuses(partial(dr_rpo, model, uncertainty=ball, episodes=2, seed=0), "uncertainty is")
        refuses(partial(drpvi, model, DATA, uncertainty=ball), "uncertainty is")


def test_radii_that_do_not_fit() -> None:
    feature = FeatureMDP(TABULAR, NOMINAL.features, fail_state=3)
    for model in (NOMINAL, feature):
        for radius in (1.5, np.zeros(2)):
            ball = TotalVariation(radius)
            refuses(partial(dr_rpo, model, uncertainty=ball, episodes=2, seed=0), "radius")


def test_two_sets_are_one_too_many() -> None:
    refuses(partial(dr_rpo, MODEL, uncertainty=TotalVariation(0.1), seed=0), "uncertainty")
    refuses(partial(drpvi, MODEL, DATA, uncertainty=TotalVariation(0.1)), "uncertainty")
    refuses(partial(r2pvi, MODEL, DATA), "uncertainty is TotalVariation")


def test_factor_bonuses_need_features_of_one_sign() -> None:
    turned = NOMINAL.replace(features=-NOMINAL.features, measures=-NOMINAL.measures,
                             reward_weights=-NOMINAL.reward_weights)  # fmt: skip
    refuses(partial(dr_lsvi_ucb, turned, episodes=2, seed=0), "bonus_form 'factors' needs")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "data is None"),
        ([DATA], "data is"),
        (collect(random_model(3, fails=True, actions=5), episodes=99, seed=0), "data.actions"),
        (collect(random_model(3, fails=True, states=9), episodes=99, seed=0), "data.states"),
        (Dataset(DATA.states[:, :3], DATA.actions[:, :2], DATA.rewards[:, :2]), "2 steps"),
        (memory.population(random_model(3, fails=True, states=5), norms=True), "data has sums"),
    ],
)
def test_data_of_another_model(data: Any, message: str) -> None:
    for learn in (pevi, drpvi):
        refuses(partial(learn, MODEL, data), message)


def test_data_that_say_too_little() -> None:
    one = Dataset(DATA.states[:1], DATA.actions[:1], DATA.rewards[:1])
    refuses(partial(drpvi, MODEL, one, ridge=0.0), r"design of step \d is singular")
    # An elliptical bonus reads norms, which this memory was made without.
    refuses(partial(pevi, MODEL, memory.population(NOMINAL)), "lacks the norms")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"states": DATA.states[:, :-1]}, "states has shape"),
        ({"states": DATA.states.astype(float)}, "states holds float64"),
        ({"states": DATA.states - 10}, "states holds -1"),
        ({"actions": DATA.actions[0]}, "actions has shape"),
        ({"actions": DATA.actions[:, :0]}, "actions has shape"),
        ({"actions": [[0], [1, 2]]}, "actions must be an array"),
        ({"actions": "left"}, "actions holds"),
        ({"rewards": DATA.rewards[:, :-1]}, "rewards has shape"),
        ({"rewards": DATA.rewards * NAN}, "rewards"),
        ({"rewards": "much"}, "rewards"),
    ],
)
def test_datasets_that_do_not_fit(change: dict[str, Any], message: str) -> None:
    fields = {"states": DATA.states, "actions": DATA.actions, "rewards": DATA.rewards}
    refuses(partial(Dataset, **{**fields, **change}), message)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        *(({"episodes": wrong}, "episodes") for wrong in (0, -1, 2.5, NAN, "ten", None)),
        *(({"seed": wrong}, "seed") for wrong in (-1, None, 0.5, "zero")),
        ({"policy": np.full((3, 4, 3), 0.5)}, "policy"),
        ({"policy": np.full((3, 4, 3), NAN)}, "policy"),
        ({"policy": np.full((3, 4), 3)}, "policy"),
        ({"policy": np.full((3, 4), -1)}, "policy"),
        ({"policy": np.zeros((3, 4))}, "policy"),
        ({"policy": np.zeros((4, 3), dtype=int)}, "policy"),
        ({"policy": "greedy"}, "policy"),
    ],
    ids=repr,
)
def test_collect_names_what_it_refuses(change: dict[str, Any], name: str) -> None:
    refuses(partial(collect, MODEL, **{"episodes": 2, "seed": 0, **change}), name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mdp": NOMINAL}, "mdp"),
        ({"features": NOMINAL.features[:2]}, "features has shape"),
        ({"features": NOMINAL.features[..., :0]}, "features has shape"),
        ({"features": NOMINAL.features * NAN}, "features"),
        *(({"fail_state": wrong}, "fail_state") for wrong in (4, -1, 1.0, "last", True, 0)),
    ],
)
def test_feature_mdps_that_do_not_fit(change: dict[str, Any], message: str) -> None:
    fields: dict[str, Any] = {"mdp": TABULAR, "features": NOMINAL.features, "fail_state": 3}
    refuses(partial(FeatureMDP, **{**fields, **change}), message)


def refuses(call: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call()
