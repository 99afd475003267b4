"""MDPs as programs in PRISM's language: read by a small interpreter, and by Storm where it is."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import discounted_mdps

from rltheory.tabular import DiscountedMDP, ExplicitModel
from rltheory.tabular.prism_program import program, write_prism_program

COMMAND = re.compile(r"\[(\w+)\] s=(\d+) -> (.*);")
UPDATE = re.compile(r"([-+.e\d]+):\(s'=(\d+)\)")
PAID = re.compile(r"\[(\w+)\] s=(\d+) : (.*);")


def meaning(lines):
    """What a program says: {(state, action): law}, {reward: {(state, action): paid}}, {label: set}
    with "init" among the labels. Commands of one state must have different actions."""
    kernel, rewards, labels, reward = {}, {}, {}, None
    for line in map(str.strip, lines):
        if match := re.fullmatch(r'rewards "(\w+)"', line):
            reward = rewards.setdefault(match[1], {})
        elif line == "endrewards":
            reward = None
        elif match := COMMAND.fullmatch(line):
            place = (int(match[2]), match[1])
            assert place not in kernel
            kernel[place] = {int(t): float(p) for p, t in UPDATE.findall(match[3])}
        elif (match := PAID.fullmatch(line)) and reward is not None:
            reward[int(match[2]), match[1]] = float(match[3])
        elif match := re.fullmatch(r'(?:label "(\w+)" =|init) (.*?)(?:;| endinit)', line):
            states = [int(s) for s in re.findall(r"s=(\d+)", match[2])]
            labels[match[1] or "init"] = set(states)
    return kernel, rewards, labels


def starting_in_one(mdp):
    return mdp.replace(initial=np.eye(mdp.states)[mdp.states - 1])


@given(mdp=discounted_mdps())
@settings(max_examples=20, deadline=None)
def test_a_program_says_what_the_mdp_says(mdp):
    mdp = starting_in_one(mdp)
    kernel, rewards, labels = meaning(program(ExplicitModel.from_mdp(mdp)))
    assert labels == {"init": {mdp.states - 1}}
    expected = {}
    for s, a in np.argwhere(mdp.available).tolist():
        law = mdp.transitions[s, a]
        expected[s, f"a{a}"] = {t: law[t] for t in np.flatnonzero(law).tolist()}
    assert kernel == expected
    paid = {(s, name): mdp.rewards[s, int(name[1:])] for s, name in kernel}
    assert rewards == {"reward": {place: r for place, r in paid.items() if r != 0}}


def model(**changes):
    mdp = DiscountedMDP(np.full((2, 2, 2), 0.5), np.ones((2, 2)), 0.9)
    explicit = ExplicitModel.from_mdp(mdp)
    fields = {name: getattr(explicit, name) for name in explicit.__dataclass_fields__}
    return ExplicitModel(**(fields | changes))


def test_choices_that_share_a_name_or_have_none_get_one_of_their_own():
    names = np.array([["go", "go"], ["go", ""]])
    kernel, rewards, _ = meaning(program(model(action_names=names)))
    assert set(kernel) == {(0, "choice_0"), (0, "choice_1"), (1, "go"), (1, "choice_1")}
    assert set(rewards["reward"]) == set(kernel)
    kernel, *_ = meaning(program(model(action_names=np.array([["choice_1", ""], ["", ""]]))))
    assert set(kernel) == {(0, "choice_1"), (0, "choice__1"), (1, "choice__0"), (1, "choice__1")}


def test_labels_and_a_reward_of_nothing():
    init, top = np.array([True, True]), np.array([False, True])
    lines = program(model(labels={"init": init, "top": top}, rewards={"cost": np.zeros((2, 2))}))
    _, rewards, labels = meaning(lines)
    assert labels == {"init": {0, 1}, "top": {1}}
    assert rewards == {"cost": {}}
    assert "  s=0 : 0.0;" in lines


def test_what_a_program_cannot_hold_is_refused(tmp_path):
    one = model()
    wide = one.upper.copy()
    wide.data = np.ones_like(wide.data)
    for changes, message in [
        ({"upper": wide}, "model has intervals"),
        ({"initial": np.array([0.3, 0.7])}, "initial is not uniform"),
        ({"rewards": {"two words": np.zeros((2, 2))}}, "name 'two words' is no identifier"),
        ({"action_names": np.array([["max", ""], ["", ""]])}, "name 'max' is no identifier"),
        ({"labels": one.labels | {"deadlock": np.ones(2, bool)}}, "label 'deadlock'"),
    ]:
        with pytest.raises(ValueError, match=message):
            write_prism_program(tmp_path / "x.prism", model(**changes))
    assert not list(tmp_path.iterdir())


@given(mdp=discounted_mdps())
@settings(max_examples=10, deadline=None)
def test_storm_reads_the_program(mdp, tmp_path_factory):
    stormpy = pytest.importorskip("stormpy")
    path = tmp_path_factory.mktemp("storm") / "model.prism"
    mdp = starting_in_one(mdp)
    write_prism_program(path, ExplicitModel.from_mdp(mdp))
    options = stormpy.BuilderOptions()
    options.set_build_all_reward_models()
    options.set_build_choice_labels()
    options.set_build_state_valuations()
    theirs = stormpy.build_model(stormpy.parse_prism_program(str(path)), options=options)
    # Only what can be reached is built.
    names = [int(theirs.state_valuations.to_string(i)[3:-1]) for i in range(theirs.nr_states)]
    assert [names[i] for i in theirs.initial_states] == [mdp.states - 1]
    rewards = theirs.reward_models["reward"]
    for i, s in enumerate(names):
        rows = list(theirs.transition_matrix.get_rows_for_group(i))
        assert len(rows) == mdp.available[s].sum()
        for row in rows:
            (name,) = theirs.choice_labeling.get_labels_of_choice(row)
            law = np.zeros(mdp.states)
            for entry in theirs.transition_matrix.get_row(row):
                law[names[entry.column]] = entry.value
            paid = rewards.state_action_rewards[row] if rewards.has_state_action_rewards else 0.0
            # Storm reads decimals to within a rounding.
            assert law == pytest.approx(mdp.transitions[s, int(name[1:])], rel=1e-15)
            assert paid == pytest.approx(mdp.rewards[s, int(name[1:])], rel=1e-15)
