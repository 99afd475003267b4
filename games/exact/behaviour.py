"""Three ways to write a strategy: behaviour, realisation plan, mixture of pure strategies.

Under perfect recall they reach the same leaves with the same chances (Kuhn, 1953). A realisation
plan gives each sequence the product of the own probabilities along it (von Stengel, 1996); a pure
strategy is a plan of zeros and ones. Reduced pure strategies say nothing about information sets
that their own moves exclude.

Arrays of floats give floats, object arrays of Fractions give Fractions, without rounding.
"""

from collections.abc import Sequence
from fractions import Fraction
from functools import reduce
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rltheory.analysis.arrays import ROW_SUM_TOLERANCE, as_float_array, check_finite
from rltheory.analysis.rational import FractionArray
from rltheory.games.exact.exact_form import check_exact_strategies
from rltheory.games.forms.extensive import ExtensiveGame
from rltheory.games.forms.public_tree import spelled_out
from rltheory.games.normal_form.matrix_game import MatrixGame

LARGEST_NORMAL_FORM = 10_000_000
"""Payoffs, and entries of plans, in a normal form that is still built by default."""

PlanArray = NDArray[Any]
"""Floats or Fractions."""


def realisation_plan(game: ExtensiveGame, strategies: ArrayLike | FractionArray) -> PlanArray:
    """Return the own probability of every sequence, shape (slots + players,), empty ones last.

    strategies (slots,): a profile, of floats or of Fractions that sum to 1 exactly.
    Raises ValueError if it is not a profile of the game.
    """
    profile = _profile(game, strategies)
    plan = np.concatenate([profile, _ones(game.players, profile.dtype)])
    for parent, (begin, end) in zip(game.form.parent, pairwise(game.form.first), strict=True):
        plan[begin:end] = plan[parent] * profile[begin:end]
    return plan


def behaviour(game: ExtensiveGame, plan: ArrayLike | FractionArray) -> PlanArray:
    """Return the profile (slots,) with a realisation plan, shape (slots + players,).

    At information sets that the plan never reaches, where any behaviour has it, all actions are
    equally likely.

    Raises ValueError if a plan's entry is negative, an empty sequence does not have 1, or the
    sequences after an information set do not sum to what reaches it: within 1e-9 for floats,
    exactly for Fractions.
    """
    reach = check_plan(game, plan)
    profile = reach[: game.slots].copy()
    for parent, (begin, end) in zip(game.form.parent, pairwise(game.form.first), strict=True):
        # Over the sum and not over the parent's entry: so roundings leave a distribution.
        total = reach[begin:end].sum()
        if reach[parent] > 0 and total > 0:
            profile[begin:end] = reach[begin:end] / total
        else:
            profile[begin:end] = _ones(end - begin, reach.dtype) / (end - begin)
    return profile


def check_plan(game: ExtensiveGame, plan: ArrayLike | FractionArray) -> PlanArray:
    """Return a realisation plan as an array; ValueError as `behaviour` says if it is none."""
    floats = as_float_array(plan, "plan", (game.slots + game.players,))
    check_finite(floats, "plan")
    given: PlanArray = np.asarray(plan)
    exact = given.dtype == object
    array = given.copy() if exact else floats.copy()
    if array.min() < 0:
        at = int(array.argmin())
        raise ValueError(f"plan[{at}] is {array[at]}; the chances of sequences are >= 0")
    slack = 0 if exact else ROW_SUM_TOLERANCE
    for p in range(game.players):
        if abs(array[game.slots + p] - 1) > slack:
            raise ValueError(
                f"plan[{game.slots + p}], the empty sequence of player {p}, is "
                f"{array[game.slots + p]}; expected 1"
            )
    bounds = pairwise(game.form.first)
    for i, (parent, (begin, end)) in enumerate(zip(game.form.parent, bounds, strict=True)):
        total = array[begin:end].sum()
        if abs(total - array[parent]) > slack:
            raise ValueError(
                f"plan sums to {total} after information set {game.infoset_labels[i]!r}, which it "
                f"reaches with {array[parent]}; expected the same"
            )
    return array


def pure_strategy_count(game: ExtensiveGame, player: int, *, reduced: bool = True) -> int:
    """Return how many pure strategies a player has, reduced ones or all.

    Raises ValueError if `player` is not one of the game's.
    """
    _check_player(game, player)
    form = game.form
    begin, end = form.infoset_start[player : player + 2]
    if not reduced:
        return prod(int(n) for n in np.diff(form.first)[begin:end])
    below = [1] * (game.slots + game.players)
    for i in reversed(range(begin, end)):
        below[form.parent[i]] *= sum(below[form.first[i] : form.first[i + 1]])
    return below[game.slots + player]


def pure_strategies(
    game: ExtensiveGame, player: int, *, reduced: bool = True, limit: int = LARGEST_NORMAL_FORM
) -> NDArray[np.uint8]:
    """Return a player's pure strategies, shape (strategies, the player's slots).

    An entry is 1 where the strategy takes the slot's action; a reduced one takes none at sets that
    its own moves exclude. The order is lexicographic, the first sets turning slowest.

    Raises ValueError if `player` is not one of the game's or the array would have more than `limit`
    entries.
    """
    count = pure_strategy_count(game, player, reduced=reduced)
    form = game.form
    offset, width = form.slot_start[player], int(np.diff(form.slot_start)[player])
    if count * max(width, 1) > limit:
        kind = "reduced pure" if reduced else "pure"
        raise ValueError(
            f"player {player} of {game.name} has {_readable(count)} {kind} "
            f"strategies over {width} actions; expected at most {limit} entries: use the sequence "
            "form, or raise limit"
        )
    # The strategies after each sequence, as rows over all own slots; none to choose: one row.
    below = [[np.zeros((1, width), dtype=np.uint8)] for _ in range(width + 1)]
    for i in reversed(range(form.infoset_start[player], form.infoset_start[player + 1])):
        options = []
        for j in range(form.first[i] - offset, form.first[i + 1] - offset):
            rows = reduce(_combined, below[j]).copy()
            rows[:, j] = 1
            options.append(rows)
        parent = form.parent[i] - offset if reduced and form.parent[i] < game.slots else width
        below[parent].insert(1, np.concatenate(options))
    return reduce(_combined, below[width])


def behaviour_to_mixed(
    game: ExtensiveGame, strategies: ArrayLike | FractionArray, *, reduced: bool = True
) -> list[PlanArray]:
    """Return for each player the mixture of pure strategies that a profile (slots,) stands for.

    A pure strategy has the product of the probabilities of the actions that it takes.
    Raises ValueError if `strategies` is not a profile, or there are too many pure strategies.
    """
    profile = _profile(game, strategies)
    mixtures = []
    for p in range(game.players):
        own = profile[game.form.slot_start[p] : game.form.slot_start[p + 1]]
        chosen = pure_strategies(game, p, reduced=reduced).astype(bool)
        one = _ones(1, profile.dtype)
        factors = np.where(chosen, own, one)
        mixtures.append(np.asarray(factors.prod(axis=1, initial=one[0])))
    return mixtures


def mixed_to_behaviour(
    game: ExtensiveGame, mixed: Sequence[ArrayLike | FractionArray], *, reduced: bool = True
) -> PlanArray:
    """Return a profile (slots,) that reaches all leaves as often as mixtures of pure strategies.

    mixed: one array for each player, over `pure_strategies(game, player, reduced=reduced)`.
    Raises ValueError if one is not a distribution over them, or there are too many.
    Source: Kuhn (1953), Theorem 4.
    """
    if len(mixed) != game.players:
        raise ValueError(f"mixed has {len(mixed)} arrays; expected one for each of {game.players}")
    counts = [pure_strategy_count(game, p, reduced=reduced) for p in range(game.players)]
    exact = any(np.asarray(weights).dtype == object for weights in mixed)
    plans = []
    for p in range(game.players):
        given = as_float_array(mixed[p], f"mixed[{p}]", (counts[p],))
        check_finite(given, f"mixed[{p}]")
        weights: PlanArray = np.asarray(mixed[p]) if exact else given
        total = weights.sum()
        if weights.min() < 0 or abs(total - 1) > (0 if exact else ROW_SUM_TOLERANCE):
            raise ValueError(
                f"mixed[{p}] sums to {total} with smallest entry {weights.min()}; expected "
                "probabilities >= 0 that sum to 1" + (" exactly" if exact else "")
            )
        plans.append(weights @ pure_plans(game, p, reduced=reduced))
    slots = [plan[:-1] for plan in plans]
    return behaviour(game, np.concatenate([*slots, *(plan[-1:] for plan in plans)]))


def normal_form(
    game: ExtensiveGame, *, reduced: bool = True, limit: int = LARGEST_NORMAL_FORM
) -> MatrixGame:
    """Return the game in normal form, actions in the order of `pure_strategies`.

    Raises ValueError with the numbers of pure strategies if there would be more than `limit`
    payoffs: these numbers grow exponentially with the game.
    """
    check_normal_form(game, reduced=reduced, limit=limit)
    form = spelled_out(game.form) if len(game.form.hands) else game.form
    plans = [pure_plans(game, p, reduced=reduced).astype(np.float64) for p in range(game.players)]
    shape = tuple(len(plan) for plan in plans)
    payoffs = np.zeros((game.players, *shape))
    own = np.repeat(np.arange(game.slots + game.players), np.diff(form.row_start))
    for p in range(game.players):
        begin, end = form.slot_start[p : p + 2]
        rows = np.flatnonzero(((own >= begin) & (own < end)) | (own == game.slots + p))
        for k in rows:
            last = np.insert(form.others[k], p, own[k])
            columns = [plans[q][:, own_place(game, q, int(last[q]))] for q in range(game.players)]
            reached = [np.flatnonzero(column) for column in columns]
            payoffs[p][np.ix_(*reached)] += form.values[k]
    if game.zero_sum and game.players == 2:
        # Sums in another order differ in their last digits.
        payoffs[1] = -payoffs[0]
    return MatrixGame(payoffs)


def check_normal_form(game: ExtensiveGame, *, reduced: bool, limit: int) -> tuple[int, ...]:
    """Return the numbers of pure strategies; ValueError if payoffs would exceed `limit`."""
    counts = [pure_strategy_count(game, p, reduced=reduced) for p in range(game.players)]
    if game.players * prod(counts) > limit:
        kinds = " x ".join(map(_readable, counts))
        raise ValueError(
            f"{game.name} has {kinds} {'reduced ' if reduced else ''}pure strategies; expected at "
            f"most {limit} payoffs: use the sequence form, or raise limit"
        )
    return tuple(counts)


def pure_plans(game: ExtensiveGame, player: int, *, reduced: bool = True) -> NDArray[np.uint8]:
    """Return the realisation plans of a player's pure strategies, the empty sequence last.

    Shape (strategies, the player's slots + 1), of zeros and ones.
    Raises ValueError as `pure_strategies` does.
    """
    chosen = pure_strategies(game, player, reduced=reduced)
    form = game.form
    offset, width = form.slot_start[player], chosen.shape[1]
    plans = np.ones((len(chosen), width + 1), dtype=np.uint8)
    for i in range(form.infoset_start[player], form.infoset_start[player + 1]):
        own = slice(form.first[i] - offset, form.first[i + 1] - offset)
        above = plans[:, own_place(game, player, int(form.parent[i]))]
        plans[:, own] = above[:, None] * chosen[:, own]
    return plans


def own_place(game: ExtensiveGame, player: int, slot: int) -> int:
    """Where a slot, or the empty sequence, stands among a player's own, the empty one last."""
    form = game.form
    last = slot >= game.slots
    return int((form.slot_start[player + 1] if last else slot) - form.slot_start[player])


def _combined(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """All sums of a row of one and a row of the other, the first turning slowest."""
    return (first[:, None] + second[None]).reshape(-1, first.shape[1])


def _profile(game: ExtensiveGame, strategies: ArrayLike | FractionArray) -> PlanArray:
    if np.asarray(strategies).dtype == object:
        return check_exact_strategies(game, strategies)
    return game.check_strategies(strategies)


def _ones(count: int, dtype: Any) -> PlanArray:
    return np.full(count, 1.0 if dtype == np.float64 else Fraction(1), dtype=dtype)


def _check_player(game: ExtensiveGame, player: int) -> None:
    if not 0 <= player < game.players:
        raise ValueError(f"player is {player}; expected 0 to {game.players - 1}")


def _readable(count: int) -> str:
    """A number of any size, in a few digits."""
    return str(count) if count < 10**9 else f"1e{len(str(count)) - 1}"
