"""Model checkers' files: small ones written by hand, round trips, and errors that say where."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import discounted_mdps

from rltheory.tabular import policy_iteration
from rltheory.tabular.drn import read_drn, write_drn
from rltheory.tabular.explicit import ExplicitModel
from rltheory.tabular.prism import read_prism, write_prism

# A coin that may be flipped or left alone until it shows heads (state 1); tails is state 2.
TRA = """# Transitions (MDP)
3 5 7
0 0 1 0.5 flip
0 0 2 0.5 flip
0 1 0 1 wait
1 0 1 1
2 0 1 0.25 flip
2 0 2 0.75 flip
2 1 2 1 wait
"""
LAB = '0="init" 1="deadlock" 2="heads"\n0: 0\n1: 2\n'
SREW = '# Reward structure "cost"\n# State rewards\n3 1\n2 -4\n'
TREW = '# Reward structure "cost"\n# Transition rewards\n3 5 3\n0 0 1 2\n0 0 2 1/2\n2 0 1 8\n'
DRN = """// A comment
@type: MDP
@value_type: double
@parameters

@placeholders
$half : 1/2
@reward_models
cost extra
@nr_states
3
@nr_choices
5
@model
state 0 [0, 1] init
\taction flip [1.25, 0]
\t\t1 : $half
\t\t2 : $half
\taction wait
\t\t0 : 1
state 1 "shows heads" done
\taction 0
\t\t1 : 1
state 2 [-4, 1]
\taction flip [2, 0]
\t\t1 : 0.25
\t\t2 : 0.75
\taction wait [0, 3]
\t\t2 : 1
"""
INTERVAL_DRN = """@type: MDP
@value_type: double-interval
@reward_models
r
@nr_states
3
@model
state 0 init
\taction 0 [1]
\t\t1 : [0.4, 0.9]
\t\t2 : [0.1, 0.8]
state 1
\taction 0
\t\t1 : [1, 1]
state 2
\taction 0
\t\t0 : [0, 1]
\t\t2 : [0, 1]
"""
KERNEL = np.zeros((3, 2, 3))
KERNEL[0, 0], KERNEL[0, 1] = [0, 0.5, 0.5], [1, 0, 0]
KERNEL[1, 0] = [0, 1, 0]
KERNEL[2, 0], KERNEL[2, 1] = [0, 0.25, 0.75], [0, 0, 1]
COST = np.array([[1.25, 0], [0, -np.inf], [-2, -4]])


@pytest.fixture
def coin(tmp_path):
    for name, text in {
        "coin.tra": TRA,
        "coin.lab": LAB,
        "coin.srew": SREW,
        "coin.trew": TREW,
    }.items():
        (tmp_path / name).write_text(text)
    return tmp_path / "coin.tra"


def test_prism_files_by_hand(coin):
    model = read_prism(coin)
    assert list(model.rewards) == ["cost"]
    mdp = model.to_mdp(0.9)
    np.testing.assert_array_equal(mdp.to_dense().transitions, KERNEL)
    np.testing.assert_array_equal(mdp.rewards, COST)
    np.testing.assert_array_equal(mdp.initial, [1, 0, 0])
    np.testing.assert_array_equal(model.labels["heads"], [False, True, False])
    assert model.action_names.tolist() == [["flip", "wait"], ["", ""], ["flip", "wait"]]


def test_drn_by_hand(tmp_path):
    path = tmp_path / "coin.drn"
    path.write_text(DRN)
    model = read_drn(path)
    mdp = model.to_mdp(0.9, reward="cost")
    np.testing.assert_array_equal(mdp.to_dense().transitions, KERNEL)
    np.testing.assert_array_equal(mdp.rewards, COST)
    np.testing.assert_array_equal(model.rewards["extra"], [[1, 1], [0, 0], [1, 4]])
    assert set(model.labels) == {"init", "shows heads", "done"}
    with pytest.raises(ValueError, match=r"reward is None; expected one of \['cost', 'extra'\]"):
        model.to_mdp()
    with pytest.raises(ValueError, match="reward is 'prize'"):
        model.to_mdp(reward="prize")


def test_intervals_keep_their_bounds_in_the_rows_of_the_mdp(tmp_path):
    path = tmp_path / "tiny.drn"
    path.write_text(INTERVAL_DRN)
    model = read_drn(path)
    assert model.is_interval
    np.testing.assert_array_equal(model.lower.toarray(), [[0, 0.4, 0.1], [0, 1, 0], [0, 0, 0]])
    np.testing.assert_array_equal(model.upper.toarray(), [[0, 0.9, 0.8], [0, 1, 0], [1, 0, 1]])
    nominal = model.to_mdp(0.9).transitions.toarray()
    # Slack 0.5 over widths 0.5 and 0.7; slack 1 over two widths of 1.
    expected = [[0, 0.4 + 0.25 / 1.2, 0.1 + 0.35 / 1.2], [0, 1, 0], [0.5, 0, 0.5]]
    np.testing.assert_allclose(nominal, expected, rtol=0, atol=1e-15)


@st.composite
def models(draw):
    """Explicit models of MDPs, a third of them with intervals around the probabilities."""
    mdp = draw(discounted_mdps(max_states=5, max_actions=3))
    start = np.zeros(mdp.states)
    start[draw(st.integers(0, mdp.states - 1))] = 1.0
    model = ExplicitModel.from_mdp(mdp.replace(initial=start))
    if not draw(st.integers(0, 2)):
        lower, upper = model.lower.copy(), model.lower.copy()
        lower.data = lower.data * 0.5
        upper.data = np.minimum(1.0, upper.data * 1.5)
        model = ExplicitModel(
            lower, upper, model.available, model.rewards, model.labels, model.initial,
            model.action_names,
        )  # fmt: skip
    return model


@pytest.mark.parametrize("suffix", [".tra", ".drn"])
@given(model=models())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_written_reads_back_the_same(tmp_path_factory, suffix, model):
    path = tmp_path_factory.mktemp("explicit") / f"model{suffix}"
    write, read = (write_prism, read_prism) if suffix == ".tra" else (write_drn, read_drn)
    write(path, model)
    back = read(path)
    assert back.is_interval == model.is_interval
    for name in ("lower", "upper"):
        ours, theirs = getattr(model, name), getattr(back, name)
        for part in ("data", "indices", "indptr"):
            np.testing.assert_array_equal(getattr(theirs, part), getattr(ours, part))
    np.testing.assert_array_equal(back.available, model.available)
    np.testing.assert_array_equal(back.rewards["reward"], model.rewards["reward"])
    np.testing.assert_array_equal(back.initial, model.initial)
    np.testing.assert_array_equal(back.action_names, model.action_names)


@given(mdp=discounted_mdps())
@settings(max_examples=15, deadline=None)
def test_an_mdp_and_its_explicit_model_have_the_same_values(mdp):
    model = ExplicitModel.from_mdp(mdp)
    ours = policy_iteration(mdp)
    theirs = policy_iteration(model.to_mdp(mdp.discount))
    # Two enclosures of one truth overlap.
    assert np.all(np.maximum(ours.lower, theirs.lower) <= np.minimum(ours.upper, theirs.upper))


@given(keep=st.integers(0, 10**6), suffix=st.sampled_from([".tra", ".lab", ".trew", ".drn"]))
@settings(max_examples=20, deadline=None)
def test_a_truncated_file_is_refused_or_complete(tmp_path_factory, keep, suffix):
    """Cut at any line, a file is refused with its name and line; only its last line may go."""
    folder = tmp_path_factory.mktemp("cut")
    texts = {".tra": TRA, ".lab": LAB, ".trew": TREW, ".drn": DRN}
    lines = texts[suffix].splitlines(keepends=True)
    texts[suffix] = "".join(lines[: keep % len(lines)])
    for ending, text in texts.items():
        (folder / f"m{ending}").write_text(text)
    path = folder / ("m.drn" if suffix == ".drn" else "m.tra")
    if suffix == ".lab" and keep % len(lines) >= 2:
        return  # Labels have no count, so a file cut after the initial state is complete.
    with pytest.raises(ValueError, match=rf"m{suffix}, line \d+: expected .*; got"):
        (read_drn if suffix == ".drn" else read_prism)(path)


@given(
    suffix=st.sampled_from([".tra", ".lab", ".srew", ".trew", ".drn"]),
    place=st.integers(0, 10**6),
    length=st.integers(0, 12),
    junk=st.text(alphabet=st.sampled_from('0123456789.-[]{}@$#/:,="e \n\t²é\x00'), max_size=6),
)
@settings(max_examples=20, deadline=None)
def test_a_damaged_file_is_read_or_refused_by_name(tmp_path_factory, suffix, place, length, junk):
    folder = tmp_path_factory.mktemp("damaged")
    texts = {".tra": TRA, ".lab": LAB, ".srew": SREW, ".trew": TREW, ".drn": DRN}
    start = place % len(texts[suffix])
    texts[suffix] = texts[suffix][:start] + junk + texts[suffix][start + length :]
    for ending, text in texts.items():
        (folder / f"m{ending}").write_text(text)
    read, path = (
        (read_drn, folder / "m.drn") if suffix == ".drn" else (read_prism, folder / "m.tra")
    )
    try:
        model = read(path)
    except ValueError as error:
        message = str(error)
    else:
        assert all(model.to_mdp(reward=name).states == model.states for name in model.rewards)
        return
    assert message.startswith(str(folder / "m"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0 0 1 0.5", "0 0 1 0.4", r"line 3: expected the probabilities of choice 0 of state 0"),
        ("0 0 1 0.5", "0 0 1 1.5", r"line 3: expected a probability in \[0, 1\]"),
        ("0 0 1 0.5", "0 0 1 nan", r"line 3: expected a probability"),
        ("0 0 1 0.5", "0 0 3 0.5", r"line 3: expected a successor, an integer in 0..2; got '3'"),
        ("0 0 2 0.5", "0 0 1 0.5", r"line 4: expected each successor of a choice once"),
        ("0 0 2 0.5 flip", "0 0 2 0.5 flop", r"line 4: expected action 'flip', as before"),
        ("2 1 2 1 wait", "2 1 2", r"line 9: expected 'state choice successor probability"),
        ("3 5 7", "3 7", r"line 2: expected the counts 'states choices transitions'"),
        ("3 5 7", "3 5 6", r"line 9: expected the end of the file, as line 2 says"),
        ("3 5 7", "3 4 7", r"line 2: expected 5 choices"),
        ("1 0 1 1", "0 2 1 1", r"state 1 has no choice; expected at least one"),
        ("0 1 0 1 wait", "0 2 0 1 wait", r"state 0 has a choice 2 but no choice 1"),
        ("0 0 1 0.5", "0 0 1 [0.6,0.2]", r"line 3: expected a probability"),
        ("0 0 1 0.5", "0 0 1 [0.6,0.7]", r"line 3: .* got bounds that sum to 1.1 and 1.2"),
    ],
)
def test_malformed_transitions_are_refused_by_line(coin, old, new, message):
    assert old in TRA
    coin.write_text(TRA.replace(old, new))
    with pytest.raises(ValueError, match=r"coin\.tra.*" + message):
        read_prism(coin)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("coin.lab", '0="init" oops\n0: 0\n', r"line 1: expected the labels"),
        ("coin.lab", '0="init"\n1 0\n', r"line 2: expected 'state: label label ...'"),
        ("coin.lab", '0="init"\n0: 4\n', r"line 2: expected a label"),
        ("coin.lab", '0="heads"\n0: 0\n', r'line 3: expected a state labelled "init"'),
        ("coin.srew", "3 1\n2 inf\n", r"line 2: expected a reward, a finite number"),
        ("coin.srew", "4 1\n2 1\n", r"line 1: expected '3 count' before state rewards"),
        ("coin.trew", "3 5 1\n0 0 0 1\n", r"line 2: expected a transition of the model"),
    ],
)
def test_malformed_companions_are_refused_by_line(coin, name, text, message):
    coin.with_name(name).write_text(text)
    with pytest.raises(ValueError, match=name.replace(".", r"\.") + ", " + message):
        read_prism(coin)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("@type: MDP", "@type: DTMC", r"line 2: expected the type MDP; got 'DTMC'"),
        ("@type: MDP", "", r"section @type with the type MDP before @model; got 0 lines"),
        ("@parameters\n", "@parameters\np q\n", r"line 5: expected no parameters"),
        ("value_type: double", "value_type: parametric", r"line 3: expected a value type"),
        ("@nr_choices\n5", "@nr_choices\n6", r"expected 6 actions, as @nr_choices says; got 5"),
        ("state 2", "state 1", r"line 24: expected state 2, as states are numbered in order"),
        ("\t\t1 : 0.25\n", "\t\t1 0.25\n", r"expected 'state ID ...', 'action ID ...'"),
        ("[1.25, 0]", "[1.25]", r"expected 2 rewards, one for each of @reward_models"),
        ("\t\t0 : 1\n", "", r"expected a successor, 'state : probability', of the action before"),
        ("\taction 0\n", "", r"expected a state and an action before their successors"),
        ("$half : 1/2", "$other : 1/2", r"expected a probability.*got '\$half'"),
        (" init", "", r'expected a state labelled "init"; got none in the whole file'),
    ],
)
def test_malformed_drn_is_refused_by_line(tmp_path, old, new, message):
    assert old in DRN
    path = tmp_path / "bad.drn"
    path.write_text(DRN.replace(old, new))
    with pytest.raises(ValueError, match=r"bad\.drn, line \d+: .*") as caught:
        read_drn(path)
    caught.match(message)


def test_rounded_digits_are_rescaled_only_when_asked(coin):
    coin.write_text(TRA.replace("0.5 flip", "0.4999999 flip"))
    with pytest.raises(ValueError, match="see rescale_within"):
        read_prism(coin)
    model = read_prism(coin, rescale_within=1e-6)
    np.testing.assert_array_equal(model.to_mdp().to_dense().transitions, KERNEL)


def test_several_rewards_and_a_neighbour_with_a_similar_name(coin):
    coin.with_name("coin2.tra").write_text(TRA)
    coin.with_name("coin2.srew").write_text("3 1\n0 100\n")
    assert list(read_prism(coin).rewards) == ["cost"]
    coin.with_name("coin1.srew").write_text("3 1\n0 7\n")
    model = read_prism(coin)
    assert list(model.rewards) == ["cost", "1"]
    np.testing.assert_array_equal(model.rewards["1"], [[7, 7], [0, 0], [0, 0]])


def test_interval_rewards_that_differ_by_successor_are_refused(coin):
    coin.write_text(TRA.replace("0 0 1 0.5", "0 0 1 [0.4,0.6]"))
    with pytest.raises(ValueError, match=r"line 5: expected one reward for all successors"):
        read_prism(coin)


def test_expectations_of_transition_rewards_are_exact_rationals(coin):
    values = read_prism(coin).rewards["cost"]
    assert Fraction(values[0, 0]) == Fraction(1, 2) * 2 + Fraction(1, 2) * Fraction(1, 2)
    assert Fraction(values[2, 0]) == Fraction(1, 4) * 8 - 4


def test_what_a_format_cannot_hold_is_refused(coin, tmp_path):
    model = read_prism(coin)
    spread = ExplicitModel.from_mdp(model.to_mdp().replace(initial=[0.5, 0.25, 0.25]))
    for write, name in ((write_prism, "out.tra"), (write_drn, "out.drn")):
        with pytest.raises(ValueError, match="initial is not uniform"):
            write(tmp_path / name, spread)
    with pytest.raises(ValueError, match="is no identifier"):
        write_prism(tmp_path / "out.tra", ExplicitModel.from_mdp(model.to_mdp(), reward="a b"))
    with pytest.raises(ValueError, match="has a space"):
        write_drn(tmp_path / "out.drn", ExplicitModel.from_mdp(model.to_mdp(), reward="a b"))
    with pytest.raises(FileExistsError, match="remove it first"):
        write_prism(coin, model)
    binary = tmp_path / "binary.tra"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is not a text file"):
        read_prism(binary)
    with pytest.raises(FileNotFoundError):
        read_drn(tmp_path / "absent.drn")
