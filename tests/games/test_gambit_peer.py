"""Gambit reads our files as the same games, and finds the same equilibrium."""

from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from rltheory.games.best_response import deviations, exploitability
from rltheory.games.forms.extensive import ExtensiveGame, from_tree
from rltheory.games.forms.factored import Unfolded
from rltheory.games.forms.tree import TERMINAL, build_tree
from rltheory.games.interop.efg import read_efg, write_efg
from rltheory.games.interop.nfg import (
    read_nfg,
    write_nfg,
)
from rltheory.games.rules.kuhn import Kuhn

DATA = Path(__file__).parent / "data"
EFG, NFG, OUTCOMES = DATA / "entry.efg", DATA / "sides.nfg", DATA / "outcomes.nfg"


def kuhn() -> ExtensiveGame:
    return from_tree(build_tree(Unfolded(Kuhn(players=2))), "kuhn")


def exact(number: object) -> Fraction:
    return Fraction(str(number))


def test_gambit_reads_the_same_game(tmp_path: Path) -> None:
    gambit = pytest.importorskip("pygambit")
    file = read_efg(EFG)
    write_efg(file, tmp_path / "again.efg")
    write_efg(file.game(), tmp_path / "game.efg")
    leaves = file.tree().leaves
    for path in (EFG, tmp_path / "again.efg", tmp_path / "game.efg"):
        theirs = gambit.read_efg(str(path))
        assert len(list(theirs.nodes)) == len(file.nodes)
        assert len(list(theirs.infosets)) == sum(s.player > 0 for s in file.infosets)
        paid = sorted(_gambit_leaves(theirs, theirs.root, [Fraction(0)] * 2))
        assert len(paid) == leaves
        tree = file.tree()
        ours = tree.payoffs[tree.to_move == TERMINAL].tolist()
        assert paid == sorted([Fraction(x) for x in row] for row in ours)


def _gambit_leaves(game: object, node: object, paid: list[Fraction]) -> list[list[Fraction]]:
    try:
        here = [exact(node.outcome[player]) for player in game.players]  # type: ignore[attr-defined]
    except KeyError:
        here = [Fraction(0)] * len(paid)
    total = [x + y for x, y in zip(paid, here, strict=True)]
    children = list(node.children)  # type: ignore[attr-defined]
    if not children:
        return [total]
    return [row for child in children for row in _gambit_leaves(game, child, total)]


def test_gambit_finds_the_same_equilibrium(tmp_path: Path) -> None:
    gambit = pytest.importorskip("pygambit")
    game = kuhn()
    write_efg(game, tmp_path / "kuhn.efg")
    theirs = gambit.read_efg(str(tmp_path / "kuhn.efg"))
    found = gambit.nash.lp_solve(theirs, rational=True, use_strategic=False).equilibria[0]
    profile = [
        float(exact(found[action]))
        for player in theirs.players
        for infoset in player.infosets
        for action in infoset.actions
    ]
    # Gambit orders sets by their first visit, as we do.
    assert exploitability(game, profile) == pytest.approx(0, abs=1e-15)
    assert deviations(game, profile).payoffs == pytest.approx([-1 / 18, 1 / 18], abs=1e-15)


def test_gambit_reads_the_same_normal_form(tmp_path: Path) -> None:
    gambit = pytest.importorskip("pygambit")
    for source, again in product((NFG, OUTCOMES), (False, True)):
        file = read_nfg(source)
        path = source
        if again:
            path = tmp_path / "again.nfg"
            write_nfg(file, path)
        theirs = gambit.read_nfg(str(path))
        payoffs = file.payoffs()
        for cell in np.ndindex(payoffs.shape[1:]):
            pure = [
                [int(a == chosen) for a in range(count)]
                for chosen, count in zip(cell, payoffs.shape[1:], strict=True)
            ]
            profile = theirs.mixed_strategy_profile(data=pure, rational=True)
            paid = [exact(profile.payoff(player)) for player in theirs.players]
            assert paid == payoffs[(slice(None), *cell)].tolist()
