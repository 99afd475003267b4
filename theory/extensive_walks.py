"""What strategies give in a tree by walks from node to node, exact and whatever the recall.

Independent of the passes over sequences in `games.exact`, and defined where those are not: without
perfect recall a player's own probability of a set is not one number.
"""

from collections.abc import Sequence
from fractions import Fraction

from rltheory.analysis.rational import FractionArray, simplest
from rltheory.games.exact.exact_form import fraction_array
from rltheory.games.forms.tree import CHANCE, TERMINAL, GameTree


def node_chances(
    tree: GameTree, strategies: FractionArray, first: Sequence[int]
) -> dict[int, Fraction]:
    """Return each node's chance under a profile (slots,), whatever the recall.

    first (infosets + 1,): where the slots of each set start.
    """
    chances = {0: Fraction(1)}
    # Depth first: a node comes before all below it.
    for node in range(tree.nodes):
        for a, edge in enumerate(range(tree.first_child[node], tree.first_child[node + 1])):
            if tree.to_move[node] == CHANCE:
                step = simplest(float(tree.probability[edge]))
            else:
                step = strategies[first[tree.infoset[node]] + a]
            chances[int(tree.child[edge])] = chances[node] * step
    return chances


def tree_payoffs(
    tree: GameTree, strategies: FractionArray, first: Sequence[int]
) -> tuple[Fraction, ...]:
    """Return what each player expects under a profile (slots,), whatever the recall."""
    totals = [Fraction(0)] * tree.players
    for node, chance in node_chances(tree, strategies, first).items():
        if tree.to_move[node] == TERMINAL:
            totals = [
                total + chance * Fraction(float(x))
                for total, x in zip(totals, tree.payoffs[node], strict=True)
            ]
    return tuple(totals)


def counterfactual(
    tree: GameTree, strategies: FractionArray, first: Sequence[int], player: int
) -> FractionArray:
    """Return v(I, a) of a player's slots by a walk of the tree, whatever its recall; 0 elsewhere.

    The sum over nodes of I of nature's and the others' chance of it times what is expected after a.
    first (infosets + 1,): where the slots of each set start.
    """
    values = fraction_array([Fraction(0)] * len(strategies))

    def below(node: int, others: Fraction) -> Fraction:
        mover = int(tree.to_move[node])
        if mover == TERMINAL:
            return Fraction(float(tree.payoffs[node, player]))
        total = Fraction(0)
        edges = range(int(tree.first_child[node]), int(tree.first_child[node + 1]))
        for a, edge in enumerate(edges):
            if mover == CHANCE:
                slot, step = -1, simplest(float(tree.probability[edge]))
            else:
                slot = int(first[tree.infoset[node]]) + a
                step = strategies[slot]
            worth = below(int(tree.child[edge]), others if mover == player else others * step)
            if mover == player:
                values[slot] += others * worth
            total += step * worth
        return total

    below(0, Fraction(1))
    return values
