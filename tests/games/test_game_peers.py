"""Our games are OpenSpiel's: set by set of information, and paid the same under random play."""

import re

import numpy as np
import pytest
from strategies_games import random_profile

from rltheory.games.best_response import expected_payoffs
from rltheory.games.library import load

pyspiel = pytest.importorskip("pyspiel")


def kuhn(player, told):
    return f"{told[0]} {told[1:]}".rstrip()


def leduc(player, told):
    players = told.split("Money: ")[1].split("]")[0].count(" ") + 1
    ranks = "JQKA"[: players + 1]
    names = [rank + suit for rank in ranks for suit in "sh"]

    def field(name):
        found = re.search(rf"\[{name}: ?([^\]]*)\]", told)
        return found.group(1) if found else ""

    first, second = ("".join("fcr"[int(m)] for m in field(r).split()) for r in ("Round1", "Round2"))
    shown = f" {names[int(field('Public'))]} {second}" if field("Public") else ""
    return f"{names[int(field('Private'))]} {first}{shown}".rstrip()


def liars_dice(player, told):
    return told.replace("-", "x")


def goofspiel(player, told):
    lines = dict(line.split(":", 1) for line in told.splitlines())
    own = "".join(str(int(bid) + 1) for bid in lines[f"P{player} action sequence"].split())
    prizes = lines["Point card sequence"].split()
    takers = ["-" if int(w) < 0 else w for w in lines["Win sequence"].split()]
    takers += [""] * (len(prizes) - len(takers))
    return own + "".join(f" {p}:{t}" for p, t in zip(prizes, takers, strict=True))


def battleship(length, columns):
    def name(row, column):
        return f"{'abcd'[column]}{row + 1}"

    def translate(player, told):
        if not told.split("/")[1:]:
            return "hand"
        placed, *shots = told.split("/")[1:]
        way, row, column = placed.split("_")
        step = (0, 1) if way == "h" else (1, 0)
        ship = [name(int(row) + step[0] * i, int(column) + step[1] * i) for i in range(length)]
        seen, met = [], set()
        for shot in shots:
            kind, r, c = shot.split(":")[0].split("_")
            cell = name(int(r), int(c))
            outcome = shot.split(":")[1] if ":" in shot else ""
            if kind == "oppshot":
                met |= {cell} & set(ship)
                outcome = "W" if cell not in ship else "SH"[len(met) < length]
            seen.append(f"{cell}:{ {'W': 'water', 'H': 'hit', 'S': 'sunk'}[outcome] }")
        return f"{'-'.join(ship)} {' '.join(seen)}".rstrip()

    return translate


def blotto(player, told):
    return "hand"


def spiel(name):
    game = pyspiel.load_game(name)
    if game.get_type().dynamics == pyspiel.GameType.Dynamics.SIMULTANEOUS:
        game = pyspiel.convert_to_turn_based(game)
    return game


DARK_HEX = "dark_hex(num_rows={},num_cols={},gameversion={})"
GOOF = "goofspiel(num_cards={},imp_info=True,points_order={},players={},returns_type={})"
SHIPS = (
    "battleship(board_width={},board_height={},ship_sizes=[{}],ship_values=[{}],num_shots={},"
    "allow_repeated_shots=False,loss_multiplier={})"
)
PAIRS = [
    ("kuhn_poker(players=2)", "kuhn_poker", {"players": 2}, kuhn),
    ("kuhn_poker(players=3)", "kuhn_poker", {"players": 3}, kuhn),
    ("kuhn_poker(players=4)", "kuhn_poker", {"players": 4}, kuhn),
    ("leduc_poker(players=2)", "leduc_poker", {"players": 2}, leduc),
    ("liars_dice(dice_sides=4)", "liars_dice", {"sides": 4}, liars_dice),
    ("liars_dice(dice_sides=5)", "liars_dice", {"sides": 5}, liars_dice),
    ("liars_dice(dice_sides=2,numdice=2)", "liars_dice", {"sides": 2, "dice": 2}, liars_dice),
    *(
        (
            GOOF.format(cards, points, players, returns),
            "goofspiel",
            {"cards": cards, "points": points, "players": players, "returns": returns},
            goofspiel,
        )
        for cards, points, players, returns in [
            (3, "descending", 2, "win_loss"),
            (4, "descending", 2, "win_loss"),
            (4, "ascending", 2, "point_difference"),
            (3, "random", 2, "total_points"),
            (4, "random", 2, "win_loss"),
            (3, "descending", 3, "win_loss"),
            (3, "descending", 3, "point_difference"),
        ]
    ),
    *(
        (
            SHIPS.format(columns, rows, length, value, shots, multiplier),
            "battleship",
            {
                "rows": rows,
                "columns": columns,
                "ships": (length,),
                "values": (value,),
                "shots": shots,
                "loss_multiplier": multiplier,
            },
            battleship(length, columns),
        )
        for rows, columns, length, value, shots, multiplier in [
            (2, 2, 1, 1.0, 2, 1.0),
            (2, 2, 2, 1.5, 3, 2.0),
            (1, 3, 2, 2.0, 2, 3.0),
            (2, 3, 2, 1.0, 1, 1.0),
        ]
    ),
    ("blotto(coins=5,fields=3,players=2)", "blotto", {"coins": 5}, blotto),
    ("blotto(coins=4,fields=3,players=3)", "blotto", {"coins": 4, "players": 3}, blotto),
    (
        "blotto(coins=3,fields=2,players=4)",
        "blotto",
        {"coins": 3, "fields": 2, "players": 4},
        blotto,
    ),
]


def hex_string(player, label, rows, columns):
    """OpenSpiel's information string of dark hex from ours, which also tells when tries were."""
    *tries, count = label.split()
    view, own = ["."] * (rows * columns), ""
    for attempt in tries:
        cell = attempt.split(":")[1]
        at = (int(cell[1]) - 1) * columns + "abcd".index(cell[0])
        view[at] = "xo"[player if "?" not in cell else 1 - player]
        own += f"{player},{at} "
    board = "\n".join("".join(view[r * columns : (r + 1) * columns]) for r in range(rows))
    return f"{board}\n{count.rstrip(':')}\n{own}"


def walk(state, visit):
    """Sum of the payoffs of the leaves times the chances that `visit` gives their moves."""
    if state.is_terminal():
        return np.array(state.returns())
    if state.is_chance_node():
        moves = state.chance_outcomes()
    else:
        player = state.current_player()
        told = state.information_state_string(player)
        moves = zip(state.legal_actions(), visit(player, told), strict=True)
    return sum(chance * walk(state.child(action), visit) for action, chance in moves)


def compare(ours, theirs, translate):
    """Every set of theirs is one of ours, all of ours are met, and payoffs agree.

    The tolerance: payoffs are below 16, chances of leaves sum to 1 and are products of at most 40
    numbers, so both sums are off by less than 16 * 41 / 2 roundings of 2^-52, below 1e-12.
    """
    profile = random_profile(ours, seed=0)
    owner = ours.owner()
    sets = {(int(owner[i]), label): i for i, label in enumerate(ours.infoset_labels)}
    assert len(sets) == ours.infosets
    met = {}

    def visit(player, told):
        infoset = sets[player, translate(player, told)]
        assert met.setdefault((player, told), infoset) == infoset
        return profile[ours.form.first[infoset] : ours.form.first[infoset + 1]]

    theirs_paid = walk(theirs.new_initial_state(), visit)
    assert sorted(met.values()) == list(range(ours.infosets))
    np.testing.assert_allclose(expected_payoffs(ours, profile), theirs_paid, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("peer", "name", "parameters", "translate"), PAIRS)
def test_information_and_payoffs_are_those_of_openspiel(peer, name, parameters, translate):
    compare(load(name, **parameters), spiel(peer), translate)


@pytest.mark.parametrize(
    ("rows", "columns", "version", "peer_version"),
    [
        (2, 2, "classical", "cdh"),
        (2, 2, "abrupt", "adh"),
        pytest.param(2, 3, "abrupt", "adh", marks=pytest.mark.slow),
    ],
)
def test_dark_hex_is_that_of_openspiel(rows, columns, version, peer_version):
    ours = load("dark_hex", rows=rows, columns=columns, version=version)
    labels = {
        (player, hex_string(player, label, rows, columns)): label
        for player, label in zip(ours.owner().tolist(), ours.infoset_labels, strict=True)
    }
    assert len(labels) == ours.infosets
    peer = spiel(DARK_HEX.format(rows, columns, peer_version))
    compare(ours, peer, lambda player, told: labels[player, told])


@pytest.mark.parametrize("points", ["descending", "ascending", "random"])
def test_goofspiel_with_all_bids_seen_pays_what_openspiels_pays(points):
    """Our sets of information are finer, as OpenSpiel's forget the order of the bids."""
    ours = load("goofspiel", cards=3, points=points, imperfect=False)
    theirs = spiel(f"goofspiel(num_cards=3,points_order={points},returns_type=win_loss)")

    def weight(hand):
        # Play that depends on the own hand only, so that both can follow it.
        return np.array(hand) / sum(hand)

    def visit(player, told):
        return weight([int(c) for c in told.split(f"P{player} hand: ")[1].split("\n")[0].split()])

    cards = [weight([int(card) for card in actions]) for actions in ours.action_labels]
    np.testing.assert_allclose(
        expected_payoffs(ours, np.concatenate(cards)),
        walk(theirs.new_initial_state(), visit),
        rtol=0,
        atol=1e-12,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("peer", "name", "parameters", "translate"),
    [
        ("liars_dice(dice_sides=6)", "liars_dice", {"sides": 6}, liars_dice),
        ("liars_dice(dice_sides=3,numdice=2)", "liars_dice", {"sides": 3, "dice": 2}, liars_dice),
        (
            GOOF.format(5, "descending", 2, "win_loss"),
            "goofspiel",
            {"cards": 5},
            goofspiel,
        ),
        ("leduc_poker(players=3)", "leduc_poker", {"players": 3}, leduc),
    ],
)
def test_large_games_are_those_of_openspiel(peer, name, parameters, translate):
    compare(load(name, **parameters), spiel(peer), translate)
