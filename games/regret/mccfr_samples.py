"""All samples that one traversal of Monte Carlo CFR may take, with their chances and regrets.

Their mean, weighted by the chances, is the exact counterfactual regret: the sampled one is unbiased
(Lanctot, Waugh, Zinkevich and Bowling, 2009, Lemma 1). Here samples are listed instead of drawn;
they are weighed by the same compiled code as in `rltheory.games.regret.mccfr`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import FloatArray, read_only
from rltheory.games import kernels
from rltheory.games.forms.extensive import ExtensiveGame
from rltheory.games.regret.mccfr import Sampling, check_sampling, check_tree
from rltheory.games.regret.mccfr_kernels import (
    SampledTree,
    sampled_tree,
    weigh_external,
    weigh_outcome,
)

LARGEST = 100_000
"""How many samples are listed at most by default."""


@dataclass(frozen=True, eq=False)
class Samples:
    """The samples of one traversal for one player.

    probabilities (samples,), regrets (samples, slots): the sampled counterfactual regrets, zero
    at sets that the sample does not pass and at the other players' sets.
    """

    player: int
    probabilities: FloatArray
    regrets: FloatArray

    @property
    def mean(self) -> FloatArray:
        """The expected sampled regret, shape (slots,)."""
        mean: FloatArray = self.probabilities @ self.regrets
        return mean


def mccfr_samples(
    game: ExtensiveGame,
    strategies: ArrayLike,
    sampling: Sampling = "external",
    *,
    player: int,
    exploration: float = 0.6,
    limit: int = LARGEST,
) -> Samples:
    """List all samples of a traversal for `player` when all play by a profile, shape (slots,).

    sampling, exploration: as in `mccfr`. A sample of external sampling is a choice at every node of
    nature and the others that the player's moves may lead to, one of outcome sampling a leaf.

    Raises ValueError if the game has no tree, `strategies` is not a profile, `player` is not one of
    the game's, or there are more than `limit` samples.
    """
    tree = sampled_tree(game, check_tree(game))
    check_sampling(sampling, exploration)
    if not 0 <= player < game.players:
        raise ValueError(f"player is {player}; expected 0 to {game.players - 1}")
    profile = game.check_strategies(strategies)
    listed = (
        _external(tree, profile, player)
        if sampling == "external"
        else _outcomes(tree, profile, player, float(exploration))
    )
    probabilities: list[float] = []
    regrets: list[FloatArray] = []
    for probability, regret in listed:
        if len(probabilities) == limit:
            raise ValueError(f"game {game.name!r} has more than {limit} samples; raise limit")
        probabilities.append(probability)
        regrets.append(regret)
    return Samples(player, read_only(np.array(probabilities)), read_only(np.array(regrets)))


def counterfactual_regrets(game: ExtensiveGame, strategies: ArrayLike) -> FloatArray:
    """Return the exact instantaneous counterfactual regret of every action, shape (slots,).

    The counterfactual value of the action minus that of its set under the profile.
    """
    profile = game.check_strategies(strategies)
    reach, worth = np.ones((2, game.slots + game.players))
    values = np.empty(game.infosets)
    for p in range(game.players):
        kernels.reaches(game.compiled, p, profile, reach)
    for p in range(game.players):
        kernels.slot_payoffs(game.compiled, p, reach, worth)
        kernels.set_values(game.compiled, p, profile, worth, values)
    return read_only(worth[: game.slots] - np.repeat(values, np.diff(game.form.first)))


def _chances(tree: SampledTree, profile: FloatArray, h: int) -> FloatArray:
    """The chances of the moves at a node that is nature's or plays by the profile."""
    begin, end = tree.first_child[h], tree.first_child[h + 1]
    if tree.to_move[h] < 0:
        return tree.probability[begin:end]
    return profile[tree.slot[h] : tree.slot[h] + end - begin]


def _external(
    tree: SampledTree, profile: FloatArray, player: int
) -> Iterator[tuple[float, FloatArray]]:
    """Lists of nodes as in `external_iterations`, branching where that draws."""
    stack: list[tuple[float, list[int], list[int]]] = [(1.0, [0], [])]
    while stack:
        probability, nodes, below = stack.pop()
        while len(below) < len(nodes):
            k = len(below)
            h = nodes[k]
            children = tree.child[tree.first_child[h] : tree.first_child[h + 1]].tolist()
            if children and tree.to_move[h] != player:
                for child, chance in zip(children, _chances(tree, profile, h), strict=True):
                    if chance > 0:
                        moved = [*nodes[:k], child, *nodes[k + 1 :]]
                        stack.append((probability * float(chance), moved, below.copy()))
                break
            below.append(len(nodes))
            nodes += children
        else:
            regrets = np.zeros(len(profile))
            weigh_external(
                tree, player, False, *np.array([nodes, below], dtype=np.uint32), len(nodes),
                profile, np.empty(len(nodes)), regrets,
            )  # fmt: skip
            yield probability, regrets


def _outcomes(
    tree: SampledTree, profile: FloatArray, player: int, exploration: float
) -> Iterator[tuple[float, FloatArray]]:
    """Each leaf with the player's moves on its path: the set's slots, from and to, and the one."""
    stack: list[tuple[float, int, list[tuple[int, int, int]]]] = [(1.0, 0, [])]
    while stack:
        probability, h, moves = stack.pop()
        children = tree.child[tree.first_child[h] : tree.first_child[h + 1]].tolist()
        if not children:
            begins, ends, chosen = np.array(moves, dtype=np.uint32).reshape(-1, 3).T.copy()
            regrets = np.zeros(len(profile))
            weigh_outcome(
                False, begins, ends, chosen, len(moves), tree.payoffs[h, player], exploration,
                profile, regrets,
            )  # fmt: skip
            yield probability, regrets
            continue
        chances, own = _chances(tree, profile, h), tree.to_move[h] == player
        if own:
            chances = exploration / len(children) + (1 - exploration) * chances
        first = int(tree.slot[h])
        for a, child in enumerate(children):
            if chances[a] > 0:
                move = [(first, first + len(children), first + a)] if own else []
                stack.append((probability * float(chances[a]), child, moves + move))
