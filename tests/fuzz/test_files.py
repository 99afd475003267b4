"""Damaged files are refused, or read as what they say now, and then the answer is checked."""

import io
import json
import re
from fractions import Fraction
from itertools import product
from math import prod
from pathlib import Path

import numpy as np
import pytest
from fuzzing import command, damaged, readable, renumbered, words
from hypothesis import assume, given
from hypothesis import strategies as st

from rltheory import games
from rltheory.tabular import library
from rltheory.theory import verify

DATA = Path(__file__).parents[1] / "games" / "data"
IDS = ("bellman/contraction", "prediction/td-lambda-modulus")


class Files(dict):
    """Files by name, not printed when a test fails."""

    def __repr__(self):
        return f"Files of {sorted(self)}"


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """One small file of each kind that a command reads, by name."""
    folder = tmp_path_factory.mktemp("kept")
    random = library.load("random", states=3, actions=2, seed=1, discount=0.5)
    random.save(folder / "dense.npz")
    library.load("garnet", states=4, actions=2, successors=2, seed=1).save(folder / "sparse.npz")
    library.load("american_put", horizon=2).save(folder / "steps.npz")
    verify(IDS, budget="quick", jobs=1, store=folder / "log.jsonl")
    command("falsify", IDS[0], "--budget", "quick", "--json", "worst.json", folder=folder)
    run = ("solve", "kuhn_poker", "--iterations", "4", "--save", "run.npz")
    assert command(*run, folder=folder).status == 0
    files = {path.name: path.read_bytes() for path in (*folder.iterdir(), *DATA.iterdir())}
    return Files(files | {name: text.encode() for name, text in TEXTS.items()})


COIN = "3 4 6\n0 0 1 0.5 toss\n0 0 2 0.5 toss\n0 1 0 1 wait\n1 0 1 1 stay\n2 0 2 0.75\n2 0 0 0.25\n"
TEXTS = {
    "coin.tra": COIN,
    "interval.tra": COIN.replace("1 0.5", "1 [0.25,0.75]").replace("2 0.5", "2 [0.25,0.75]"),
    "coin.drn": """@type: MDP
@parameters

@reward_models
gain
@nr_states
2
@nr_choices
3
@model
state 0 [1] init
\taction a [0.5]
\t\t0 : 0.5
\t\t1 : 0.5
\taction b [0]
\t\t1 : 1
state 1 [0]
\taction c [0]
\t\t1 : 1
""",
    "study.toml": 'experiment = "planning"\n[fixed]\nmodel = "chain"\nstates = 3\n[grid]\n'
    'radius = [0.1, 0.2]\nuncertainty = ["tv"]\n',
}
COMMANDS = {
    "dense.npz": ("solve", "{}"),
    "sparse.npz": ("solve", "{}", "--uncertainty", "tv", "--radius", "0.1"),
    "steps.npz": ("solve", "{}"),
    "coin.tra": ("solve", "{}", "--discount", "0.5"),
    "interval.tra": ("solve", "{}", "--discount", "0.5"),
    "coin.drn": ("solve", "{}", "--discount", "0.5"),
    "entry.efg": ("solve", "{}", "--iterations", "2"),
    "sides.nfg": ("solve", "{}", "--iterations", "2"),
    "outcomes.nfg": ("solve", "{}", "--iterations", "2"),
    "run.npz": ("solve", "kuhn_poker", "--iterations", "5", "--save", "{}"),
    "log.jsonl": ("report", "--store", "{}", "--out", "page.html"),
    "worst.json": ("replay", "{}"),
    "study.toml": ("sweep", "{}", "--backend", "threads", "--jobs", "1"),
}


@pytest.mark.parametrize("name", COMMANDS)
@given(data=st.data())
def test_damaged_files(name, data, kept, tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged")
    readable(folder, name, data.draw(damaged(kept[name])))
    command(*(word.format(name) for word in COMMANDS[name]), folder=folder)


def solved(folder, *arguments):
    """The answer of a command as JSON, or None if the input was refused."""
    answer = command("solve", *arguments, "--json", "answer.json", folder=folder)
    if answer.status == 2:
        return None
    return json.loads((Path(folder) / "answer.json").read_text())


def best_values(kernel, rewards, discount):
    """Optimal values by policy iteration, in plain NumPy."""
    policy = rewards.argmax(axis=1)
    states = np.arange(len(rewards))
    for _ in range(1000):
        matrix = np.eye(len(rewards)) - discount * kernel[states, policy]
        values = np.linalg.solve(matrix, rewards[states, policy])
        action_values = rewards + discount * kernel @ values
        gain = action_values.max(axis=1) - action_values[states, policy]
        if (gain <= 1e-12 * (1 + np.abs(values).max())).all():
            break
        policy = action_values.argmax(axis=1)
    return values


def encloses(answer, values):
    scale = 1e-7 * (1 + np.abs(values).max())
    lower, upper = np.array(answer["lower"]), np.array(answer["upper"])
    assert (lower <= values + scale).all(), (answer, values)
    assert (values - scale <= upper).all(), (answer, values)


ENTRIES = [np.nan, np.inf, -np.inf, -0.25, 0.0, 1.0, 0.5, 1e-12, 2.0, 1e300, -1e308, 5e-324]


@given(data=st.data())
def test_arrays_of_an_mdp(data, kept, tmp_path_factory):
    """An entry, a shape or a type of an archive is another: refused, or solved as it stands."""
    with np.load(io.BytesIO(kept["dense.npz"])) as archive:
        arrays = dict(archive)
    name = data.draw(st.sampled_from(sorted(arrays)))
    array = arrays[name]
    kind = data.draw(st.sampled_from(["entry", "entry", "swap", "shape", "type", "gone", "other"]))
    if kind in ("entry", "swap"):
        array = np.array(array, dtype=np.float64)
        at = data.draw(st.integers(0, array.size - 1))
        if kind == "swap":
            array = np.roll(array, at, axis=-1) if array.ndim else array
        else:
            array.flat[at] = data.draw(st.sampled_from(ENTRIES) | st.floats())
    elif kind == "shape":
        array = data.draw(
            st.sampled_from(
                [array[None], array.ravel(), array[..., None], array[:0] if array.ndim else array]
            )
        )
    elif kind == "type":
        array = data.draw(
            st.sampled_from(
                [np.ones(array.shape, dtype=t) for t in (bool, int, complex, "U1", "M8[s]")]
            )
        )
    elif kind == "other":
        name = data.draw(words) or "x"
    arrays[name] = array
    if kind == "gone":
        del arrays[name]
    assume("/" not in name and "\0" not in name)
    folder = tmp_path_factory.mktemp("arrays")
    np.savez(Path(folder) / "model.npz", **{key: arrays[key] for key in arrays if key != "file"})
    answer = solved(folder, "model.npz")
    if answer is None:
        return
    kernel, rewards = (np.array(arrays[key], dtype=float) for key in ("transitions", "rewards"))
    discount = float(arrays["discount"])
    # What was accepted has to be an MDP.
    assert kernel.shape == (3, 2, 3)
    assert rewards.shape == (3, 2)
    # Actions whose reward is -inf are not to be had.
    assert (np.isfinite(rewards) | (rewards == -np.inf)).all()
    assert np.isfinite(rewards).any(axis=1).all()
    assert (kernel >= 0).all()
    assert np.abs(kernel.sum(axis=2) - 1).max() <= 2e-9
    assert 0 <= discount < 1
    if np.abs(rewards[rewards > -np.inf]).max() < 1e100 and discount < 0.9999:
        encloses(answer, best_values(kernel, rewards, discount))


@given(data=st.data())
def test_numbers_of_a_transition_file(data, tmp_path_factory):
    text = data.draw(renumbered(COIN))
    folder = tmp_path_factory.mktemp("tra")
    readable(folder, "coin.tra", text)
    answer = solved(folder, "coin.tra", "--discount", "0.5")
    if answer is None:
        return
    # No rewards are beside the file, so that its values are nothing; its rows are what counts.
    rows = {}
    for line in text.splitlines()[1:]:
        state, choice, successor, chance = line.split()[:4]
        key = int(state), int(choice)
        assert int(successor) not in rows.setdefault(key, {})
        rows[key][int(successor)] = float(Fraction(chance))
    states, choices, transitions = (int(word) for word in text.splitlines()[0].split())
    assert answer["states"] == states
    assert len(rows) == choices
    assert sum(len(row) for row in rows.values()) == transitions
    assert all(abs(sum(row.values()) - 1) <= 2e-9 for row in rows.values())
    assert all(0 <= successor < states for row in rows.values() for successor in row)


@given(data=st.data())
def test_numbers_of_a_storm_file(data, tmp_path_factory):
    text = data.draw(renumbered(TEXTS["coin.drn"]))
    folder = tmp_path_factory.mktemp("drn")
    readable(folder, "coin.drn", text)
    answer = solved(folder, "coin.drn", "--discount", "0.5")
    if answer is None:
        return
    choices = []
    for line in text.splitlines():
        if words_of := re.match(r"state (\S+) \[(.+?)\]", line):
            state, base = int(words_of[1]), float(Fraction(words_of[2]))
        elif words_of := re.match(r"\taction \S+ \[(.+?)\]", line):
            choices.append((state, base + float(Fraction(words_of[1])), {}))
        elif words_of := re.match(r"\t\t(\S+) : (\S+)", line):
            choices[-1][2][int(words_of[1])] = float(Fraction(words_of[2]))
    values = np.zeros(answer["states"])
    for _ in range(200):
        values = np.array(
            [
                max(
                    gain + 0.5 * sum(p * values[j] for j, p in row.items())
                    for s, gain, row in choices
                    if s == i
                )
                for i in range(len(values))
            ]
        )
    encloses(answer, values)


def body_of(text):
    """The payoffs (profiles, players) of a strategic game's file, first player fastest."""
    numbers = text[text.index("fastest") + 8 :].split()
    return np.array([float(Fraction(word)) for word in numbers]).reshape(-1, 3)


@given(data=st.data())
def test_numbers_of_a_strategic_game(data, kept, tmp_path_factory):
    """The profile that is returned is played out by hand."""
    head, mark, body = kept["sides.nfg"].decode().partition('fastest"\n')
    text = head + mark + data.draw(renumbered(body))
    folder = tmp_path_factory.mktemp("nfg")
    readable(folder, "sides.nfg", text)
    answer = solved(folder, "sides.nfg", "--iterations", "3")
    if answer is None:
        return
    shape = (3, 2, 2)
    payoffs = body_of(text)
    assert len(payoffs) == prod(shape)
    mixed = [np.array([*next(iter(table.values())).values()]) for table in answer["strategies"]]
    tables = [payoffs[:, i].reshape(shape, order="F") for i in range(3)]
    worth, gains = [], []
    for player, table in enumerate(tables):
        others = [i for i in range(3) if i != player]
        own = np.zeros(shape[player])
        for profile in product(*map(range, shape)):
            chance = prod(mixed[i][profile[i]] for i in others)
            own[profile[player]] += chance * table[profile]
        worth.append(own @ mixed[player])
        gains.append(own.max() - worth[-1])
    scale = 1e-9 * (1 + np.abs(payoffs).max())
    np.testing.assert_allclose(answer["payoffs"], worth, rtol=1e-9, atol=scale)
    bounds = answer["certified"]
    assert bounds["lower"] - scale <= np.mean(gains) <= bounds["upper"] + scale


@pytest.fixture(scope="module")
def poker(tmp_path_factory):
    """Kuhn poker as Gambit's file."""
    from rltheory.games.interop.efg import write_efg

    path = tmp_path_factory.mktemp("poker") / "kuhn.efg"
    write_efg(games.load("kuhn_poker", form="tree"), path)
    return Files({path.name: path.read_text()})


NODE = re.compile(r'([cpt]) "" (\S+)(?: (\S+))? "(.*?)" \{ (.*) \}(?: (\S+))?')


def played(lines, strategies, names, outcomes):
    """What a profile is worth in a tree whose nodes are the lines, in depth order.

    names: of information sets by player and number, filled as they are met. outcomes: payments by
    number.
    """
    kind, first, number, label, rest, paid = NODE.fullmatch(next(lines)).groups()
    if kind == "t":
        return outcomes[Fraction(first)]
    if kind == "c":
        chances = [float(Fraction(word)) for word in re.sub(r'".*?"', "", rest).split()]
    else:
        player, place = int(Fraction(first)), int(Fraction(number))
        table = strategies[player - 1]
        name = names.setdefault((player, place), label)
        # Sets that share a name are called by their numbers.
        row = table.get(name) or table[f"{name} ({player}, {place})".strip()]
        chances = [row[action] for action in re.findall(r'"(.*?)"', rest)]
    later = sum(chance * played(lines, strategies, names, outcomes) for chance in chances)
    return later + outcomes[Fraction(paid)]


@given(data=st.data())
def test_numbers_of_an_extensive_game(data, poker, tmp_path_factory):
    """The profile that is returned is played out by hand."""
    head, mark, body = poker["kuhn.efg"].partition('""\n\n')
    text = head + mark + data.draw(renumbered(body))
    folder = tmp_path_factory.mktemp("efg")
    readable(folder, "kuhn.efg", text)
    answer = solved(folder, "kuhn.efg", "--iterations", "2")
    if answer is None:
        return
    nodes = [NODE.fullmatch(line) for line in text.partition('""\n\n')[2].rstrip("\n").split("\n")]
    # A node may be written over several lines; this reader knows no such nodes.
    assume(all(nodes))
    outcomes = {Fraction(0): np.zeros(2)} | {
        Fraction(node[2]): np.array([float(Fraction(word)) for word in node[5].split(", ")])
        for node in nodes
        if node[1] == "t"
    }
    lines = (node[0] for node in nodes)
    worth = played(lines, answer["strategies"], {}, outcomes)
    assert next(lines, None) is None
    scale = 1e-9 * (1 + np.abs(worth).max())
    np.testing.assert_allclose(answer["payoffs"], worth, rtol=1e-9, atol=scale)
