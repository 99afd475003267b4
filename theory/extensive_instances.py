"""Small extensive games and profiles, drawn off a tape in exact arithmetic, for theorem records.

Trees have chance moves, two or three players, and information sets that join nodes after the same
own moves (perfect recall by construction). Chances and payoffs are short rationals, so that
everything computed from them is a Fraction without rounding.
"""

from fractions import Fraction
from itertools import pairwise

from rltheory.analysis.rational import FractionArray
from rltheory.games.exact.exact_form import ExactForm, exact_form, fraction_array
from rltheory.games.forms.extensive import from_tree
from rltheory.games.forms.tree import GameTree, TreeBuilder
from rltheory.theory.tape import Tape

Moves = tuple[tuple[int, int], ...]
"""A player's own moves so far: marks of information sets, and actions."""

_LARGEST = 3


def tree(tape: Tape, depth: int, *, players: int = 2, zero_sum: bool = True) -> GameTree:
    """Return a tree of at most `depth` moves in a row, two or three at a node, off a tape.

    Payoffs are integers from -4 to 4 but for the last player's in a zero-sum game; chances are
    multiples of 1/4.
    """
    builder = TreeBuilder(players)
    sets: dict[tuple[object, ...], list[int]] = {}
    count = 0
    stack: list[tuple[int, float, int, tuple[Moves, ...]]] = [(-1, 1.0, 0, ((),) * players)]
    while stack:
        parent, chance, level, own = stack.pop()
        kind = tape.integer(0, 8)
        if level == depth or (level and kind == 0):
            payoffs = [tape.integer(-4, 4) for _ in range(players - zero_sum)]
            builder.leaf(parent, chance, [*payoffs, -sum(payoffs)] if zero_sum else payoffs)
            continue
        if level and kind <= 2:
            node = builder.chance(parent, chance, 2)
            first = tape.integer(1, 3) / 4
            below = [(node, x, level + 1, own) for x in (1 - first, first)]
        else:
            degree = 2 if level else tape.integer(2, _LARGEST)
            player = kind % players
            group = sets.setdefault((player, degree, own[player]), [])
            at = tape.integer(0, 3)
            if not group or at == 3:
                group.append(count)
                count += 1
                at = len(group) - 1
            mark = group[at % len(group)]
            node = builder.decision(parent, chance, player, mark, range(degree))
            below = [
                (
                    node,
                    1.0,
                    level + 1,
                    (*own[:player], (*own[player], (mark, a)), *own[player + 1 :]),
                )
                for a in reversed(range(degree))
            ]
        stack += below
    return builder.finish()


def game(tape: Tape, depth: int, *, players: int = 2, zero_sum: bool = True) -> ExactForm:
    """Return the exact sequence form of a tree off the tape; arguments as for `tree`."""
    return exact_form(from_tree(tree(tape, depth, players=players, zero_sum=zero_sum)))


def one_shot(tape: Tape, actions: int) -> ExactForm:
    """Return a zero-sum game of two players with one set each, payoffs from -4 to 4."""
    builder = TreeBuilder(2)
    root = builder.decision(-1, 1.0, 0, "row", range(actions))
    for _ in range(actions):
        node = builder.decision(root, 1.0, 1, "column", range(actions))
        for _ in range(actions):
            paid = float(tape.integer(-4, 4))
            builder.leaf(node, 1.0, [paid, -paid])
    return exact_form(from_tree(builder.finish()))


def profile(tape: Tape, form: ExactForm) -> FractionArray:
    """Return behaviour strategies (slots,) in short fractions, pure ones among them."""
    shares: list[Fraction] = []
    for begin, end in pairwise(form.game.form.first.tolist()):
        weights = [max(tape.integer(-2, 4), 0) for _ in range(end - begin)]
        weights[tape.integer(0, end - begin - 1)] += not any(weights)
        shares += [Fraction(w, sum(weights)) for w in weights]
    return fraction_array(shares)
