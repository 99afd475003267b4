"""Games in exact arithmetic: payoffs, best responses, NashConv and regrets without rounding.

A tree holds floats, and the exact number behind a float is the simplest fraction that rounds to it,
as 1/6 is behind 0.16666666666666666. Chances are taken so only where those of a node then sum to 1
exactly; elsewhere each is the dyadic number that the float is, if those do. On this exact form the
passes of `rltheory.games.kernels` run in rationals (python-flint inside, Fractions outside).
Source: von Stengel (1996) for the form; Zinkevich et al. (2007) for counterfactual regrets.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Any, TypeAlias

import flint
import numpy as np
from numpy.typing import ArrayLike

from rltheory.analysis.rational import FractionArray, simplest, to_fractions
from rltheory.games.forms.extensive import ExtensiveGame
from rltheory.games.forms.tree import CHANCE, TERMINAL, GameTree, IndexArray

Exactable: TypeAlias = "ExtensiveGame | ExactForm"
"""What the functions here take; hand them an `ExactForm` to build it only once."""


@dataclass(frozen=True, eq=False)
class ExactForm:
    """A game in sequence form with rational payoffs; slots are those of the game it is made from.

    leaf_slots (leaves, players): for each leaf the last slot of every player, or the empty sequence
    `game.slots + p` where player p has not moved; leaves with equal rows are merged. paid
    (leaves, players): payoffs times the chance of nature's moves, Fractions.
    """

    game: ExtensiveGame
    leaf_slots: IndexArray
    paid: FractionArray

    @property
    def zero_sum(self) -> bool:
        """Whether what the players are paid sums to 0 at every leaf, exactly."""
        return not np.any(self.paid.sum(axis=1))

    @cached_property
    def _leaves(self) -> list[tuple[list[int], list[Any]]]:
        rows = zip(self.leaf_slots.tolist(), self.paid.tolist(), strict=True)
        return [(slots, [_rational(x) for x in paid]) for slots, paid in rows]

    @cached_property
    def _sets(self) -> list[list[tuple[int, int, int]]]:
        """For each player the sets' parents and slots, as (parent, first, end)."""
        form = self.game.form
        sets = list(
            zip(
                form.parent.tolist(), form.first[:-1].tolist(), form.first[1:].tolist(), strict=True
            )
        )
        bounds = form.infoset_start.tolist()
        return [sets[bounds[p] : bounds[p + 1]] for p in range(self.game.players)]


@dataclass(frozen=True)
class ExactDeviations:
    """What each player gets by a profile, and at best against the others; Fractions.

    payoffs, best: one for each player, in the game's units of payoff.
    """

    payoffs: tuple[Fraction, ...]
    best: tuple[Fraction, ...]

    @property
    def nash_conv(self) -> Fraction:
        """The sum over players of the gain of a best response; 0 if and only if Nash."""
        return sum(self.best, Fraction(0)) - sum(self.payoffs, Fraction(0))

    @property
    def exploitability(self) -> Fraction:
        """NashConv divided by the number of players."""
        return self.nash_conv / len(self.payoffs)


def exact_form(game: ExtensiveGame) -> ExactForm:
    """Return the game with rational chances and payoffs, read from its tree.

    Raises ValueError if the game has no tree, as its leaves were then merged in floats, or if the
    chances of a node are fractions that do not sum to 1, simplest or dyadic.
    """
    if game.tree is None:
        raise ValueError(
            f"{game.name} is in factored form, whose leaves are products rounded to floats; exact "
            "arithmetic needs the tree: load the game with form='tree', or build it with "
            "from_tree(build_tree(Unfolded(rules)))"
        )
    merged: dict[tuple[int, ...], list[Any]] = {}
    for slots, paid in _tree_leaves(game.tree, game.form.first.tolist()):
        before = merged.get(slots)
        merged[slots] = (
            paid if before is None else [x + y for x, y in zip(before, paid, strict=True)]
        )
    paid_at = [_fraction(x) for row in merged.values() for x in row]
    return ExactForm(
        game,
        np.array(list(merged), dtype=np.int32).reshape(len(merged), game.players),
        fraction_array(paid_at).reshape(len(merged), game.players),
    )


def rationalise(game: Exactable, strategies: ArrayLike | FractionArray) -> FractionArray:
    """Return a profile (slots,) of Fractions that sum to 1 exactly at every information set.

    strategies: floats, taken as the dyadic numbers that they are, or Fractions; each set is
    divided by its sum. Raises ValueError if they are not a profile of the game within 1e-9.
    """
    form = _game(game).form
    _game(game).check_strategies(strategies)
    exact = to_fractions(strategies)
    for begin, end in pairwise(form.first):
        exact[begin:end] = exact[begin:end] / exact[begin:end].sum()
    return exact


def check_exact_strategies(
    game: Exactable, strategies: ArrayLike | FractionArray, name: str = "strategies"
) -> FractionArray:
    """Return a profile (slots,) as Fractions; ValueError unless each set's sums to 1 exactly."""
    extensive = _game(game)
    extensive.check_strategies(strategies, name)
    exact = to_fractions(strategies)
    for i, (begin, end) in enumerate(pairwise(extensive.form.first)):
        total = exact[begin:end].sum()
        if total != 1:
            raise ValueError(
                f"{name} at information set {extensive.infoset_labels[i]!r} sums to "
                f"1 {'-' if total < 1 else '+'} {float(abs(total - 1)):.3g}; expected 1 exactly "
                "(rationalise divides by the sums)"
            )
        if exact[begin:end].min() < 0:
            raise ValueError(
                f"{name} at information set {extensive.infoset_labels[i]!r} has probability "
                f"{exact[begin:end].min()}; probabilities must be >= 0"
            )
    return exact


def exact_payoffs(game: Exactable, strategies: ArrayLike | FractionArray) -> tuple[Fraction, ...]:
    """Return what a profile (slots,) pays each player, exactly.

    strategies: Fractions, or floats taken as the dyadic numbers that they are.
    Raises ValueError as `exact_form` does, or if a set's probabilities do not sum to 1 exactly.
    """
    form = _form(game)
    reach = _reaches(form, _profile(form, strategies))
    totals = [flint.fmpq(0)] * form.game.players
    for slots, paid in form._leaves:
        weight = _product(reach[j] for j in slots)
        totals = [total + weight * x for total, x in zip(totals, paid, strict=True)]
    return tuple(_fraction(total) for total in totals)


def exact_deviations(game: Exactable, strategies: ArrayLike | FractionArray) -> ExactDeviations:
    """Return every player's payoff and best-response value under a profile, exactly.

    Arguments and errors as for `exact_payoffs`.
    """
    form = _form(game)
    profile = _profile(form, strategies)
    reach = _reaches(form, profile)
    payoffs, best = [], []
    for p in range(form.game.players):
        direct = _slot_payoffs(form, p, reach)
        payoffs.append(_own(form, p, direct.copy(), profile)[form.game.slots + p])
        best.append(_best(form, p, direct)[form.game.slots + p])
    return ExactDeviations(tuple(map(_fraction, payoffs)), tuple(map(_fraction, best)))


def exact_nash_conv(game: Exactable, strategies: ArrayLike | FractionArray) -> Fraction:
    """Return the sum over players of the gain of a best response: 0 if and only if Nash."""
    return exact_deviations(game, strategies).nash_conv


def exact_exploitability(game: Exactable, strategies: ArrayLike | FractionArray) -> Fraction:
    """Return NashConv divided by the number of players, exactly."""
    return exact_deviations(game, strategies).exploitability


def exact_regrets(game: Exactable, strategies: ArrayLike | FractionArray) -> FractionArray:
    """Return the instantaneous counterfactual regret of every slot, Fractions of shape (slots,).

    r(I, a) = v(I, a) - sum over b of strategy(b) v(I, b), v weighted by nature's and the other
    players' chance of reaching I. Arguments and errors as for `exact_payoffs`.
    """
    form = _form(game)
    profile = _profile(form, strategies)
    reach = _reaches(form, profile)
    regrets: list[Fraction] = []
    for p in range(form.game.players):
        worth = _own(form, p, _slot_payoffs(form, p, reach), profile)
        for _, begin, end in form._sets[p]:
            value = sum((profile[j] * worth[j] for j in range(begin, end)), flint.fmpq(0))
            regrets += [_fraction(worth[j] - value) for j in range(begin, end)]
    return fraction_array(regrets)


def fraction_array(fractions: Sequence[Fraction]) -> FractionArray:
    """Return Fractions as an object array of one axis."""
    array = np.empty(len(fractions), dtype=object)
    array[:] = fractions
    return array


def _game(game: Exactable) -> ExtensiveGame:
    return game.game if isinstance(game, ExactForm) else game


def _form(game: Exactable) -> ExactForm:
    return game if isinstance(game, ExactForm) else exact_form(game)


def _profile(form: ExactForm, strategies: ArrayLike | FractionArray) -> list[Any]:
    return [_rational(x) for x in check_exact_strategies(form, strategies)]


def _reaches(form: ExactForm, profile: list[Any]) -> list[Any]:
    """The own probability of every sequence, the empty ones at the end."""
    reach = profile + [flint.fmpq(1)] * form.game.players
    for sets in form._sets:
        for parent, begin, end in sets:
            for j in range(begin, end):
                reach[j] = reach[parent] * profile[j]
    return reach


def _slot_payoffs(form: ExactForm, player: int, reach: list[Any]) -> list[Any]:
    """What each of a player's sequences is paid right after it, weighted by all others."""
    worth = [flint.fmpq(0)] * len(reach)
    for slots, paid in form._leaves:
        others = _product(reach[j] for p, j in enumerate(slots) if p != player)
        worth[slots[player]] += others * paid[player]
    return worth


def _own(form: ExactForm, player: int, direct: list[Any], profile: list[Any]) -> list[Any]:
    """Each sequence's worth when the player goes on with the profile; `direct` is overwritten."""
    for parent, begin, end in reversed(form._sets[player]):
        for j in range(begin, end):
            direct[parent] += profile[j] * direct[j]
    return direct


def _best(form: ExactForm, player: int, direct: list[Any]) -> list[Any]:
    """As `_own` when the player takes a best action everywhere."""
    for parent, begin, end in reversed(form._sets[player]):
        direct[parent] += max(direct[begin:end])
    return direct


def _tree_leaves(tree: GameTree, first: list[int]) -> Iterable[tuple[tuple[int, ...], list[Any]]]:
    """The last slots of the players at each leaf, and the payoffs times nature's chance."""
    known: dict[float, Any] = {}
    rows: dict[tuple[float, ...], list[Any]] = {}
    to_move, infoset = tree.to_move.tolist(), tree.infoset.tolist()
    first_child, child = tree.first_child.tolist(), tree.child.tolist()
    empty = tuple(first[-1] + p for p in range(tree.players))
    stack: list[tuple[int, tuple[int, ...], Any]] = [(0, empty, flint.fmpq(1))]
    while stack:
        node, last, chance = stack.pop()
        below = child[first_child[node] : first_child[node + 1]]
        mover = to_move[node]
        if mover == TERMINAL:
            payoffs = tree.payoffs[node].tolist()
            for x in payoffs:
                if x not in known:
                    known[x] = _rational(simplest(x))
            yield last, [chance * known[x] for x in payoffs]
        elif mover == CHANCE:
            row = tuple(tree.probability[first_child[node] : first_child[node + 1]].tolist())
            if row not in rows:
                rows[row] = [_rational(x) for x in exact_chances(row, f"node {node}")]
            stack += [(h, last, chance * c) for h, c in zip(below, rows[row], strict=True)]
        else:
            slot = first[infoset[node]]
            stack += [
                (h, (*last[:mover], slot + a, *last[mover + 1 :]), chance)
                for a, h in enumerate(below)
            ]


def exact_chances(chances: Sequence[float], where: str) -> list[Fraction]:
    """Return the exact numbers behind the chances of one node; `where` names it in errors.

    Raises ValueError if neither the simplest fractions that round to them nor the floats
    themselves sum to 1.
    """
    for fractions in ([simplest(c) for c in chances], [Fraction(c) for c in chances]):
        if sum(fractions) == 1:
            return fractions
    given = ", ".join(str(c) for c in chances[:6]) + (", ..." if len(chances) > 6 else "")
    raise ValueError(
        f"the chances at {where} are {given}; expected numbers that sum to 1 exactly, taken either "
        "as the simplest fractions that round to them or as the floats that they are"
    )


def _product(factors: Iterable[Any]) -> Any:
    product = flint.fmpq(1)
    for factor in factors:
        product *= factor
    return product


def _rational(x: Fraction) -> Any:
    return flint.fmpq(x.numerator, x.denominator)


def _fraction(x: Any) -> Fraction:
    return Fraction(int(x.p), int(x.q))
