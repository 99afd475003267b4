"""CFR on many games at once that share a tree and differ in their payoffs."""

from collections.abc import Sequence

import numpy as np

from rltheory.analysis.backends import array_module
from rltheory.analysis.checkpoints import checkpoint_iterations
from rltheory.games.best_response import Deviations, deviations
from rltheory.games.forms.extensive import ExtensiveGame, check_game
from rltheory.games.regret.cfr import CFRResult, cfr, checked_state, profile_of, result_of
from rltheory.games.regret.cfr_run import initial_state
from rltheory.games.regret.variant import Variant
from rltheory.games.regret.variants import as_variant

TREE = (
    "infoset_start", "slot_start", "first", "parent", "row_start", "others", "hands", "slots_at",
    "block_slots", "table_at",
)  # fmt: skip
"""The arrays of a sequence form that games of one tree have in common."""


def cfr_many(
    games: Sequence[ExtensiveGame],
    variant: str | Variant = "vad_cfr",
    *,
    iterations: int = 1000,
    checkpoints: int | Sequence[int] = 10,
    alternating: bool = True,
    backend: str = "jax",
) -> tuple[CFRResult, ...]:
    """Run a member of the CFR family on games of one tree; return a run for each, in order.

    games: they share players, information sets, actions and who knows what, as builds of one set of
    rules with other stakes do, and differ in payoffs and chances. variant, iterations, checkpoints,
    alternating: as in `cfr`, for all of them. backend: "jax" runs all as one program (`jax.vmap`),
    "numpy" one after the other.

    Raises ValueError if there are no games, or one has another tree than the first, and what `cfr`
    raises.
    """
    each = [check_game(game) for game in games]
    if not each:
        raise ValueError("games is empty; expected at least one game")
    for number, game in enumerate(each):
        for name in TREE:
            ours, theirs = getattr(game.form, name), getattr(each[0].form, name)
            if not np.array_equal(ours, theirs):
                raise ValueError(
                    f"games[{number}] has another tree than games[0] ({name} differs); expected "
                    "games that differ in payoffs only"
                )
    rule = as_variant(variant)
    if array_module(backend) is np:
        return tuple(
            cfr(
                game,
                rule,
                iterations=iterations,
                checkpoints=checkpoints,
                alternating=alternating,
            )
            for game in each
        )
    from rltheory.games.regret.jax_cfr import traversal

    marks = checkpoint_iterations(checkpoints, iterations)
    compiled = traversal(each, rule, alternating)
    states = [initial_state(game) for game in each]
    done: list[list[tuple[int, Deviations]]] = [[] for _ in each]
    for mark in marks:
        numbers = rule.numbers(range(states[0].iteration + 1, mark + 1), marks[-1])
        copies = [state.copies() for state in states]
        given = {name: np.stack([copy[name] for copy in copies]) for name in copies[0]}
        found, fit = compiled.run(numbers, given)
        states = [
            checked_state(rule, {name: array[k] for name, array in found.items()}, mark, fit)
            for k in range(len(each))
        ]
        for game, state, measured in zip(each, states, done, strict=True):
            measured.append((mark, deviations(game, profile_of(game, state))))
    return tuple(
        result_of(game, rule, state, measured)
        for game, state, measured in zip(each, states, done, strict=True)
    )
