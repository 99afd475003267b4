"""Monte Carlo counterfactual regret minimisation: regrets from sampled parts of the tree.

Each iteration draws for every player in turn a sample of leaves and adds an unbiased estimate of
the player's counterfactual regrets. External sampling draws nature's and the others' moves and
follows all of the player's own; outcome sampling draws one leaf. An iteration costs a small part of
a full pass, and more of them are needed. With two players and zero-sum payoffs the average
approaches a Nash equilibrium with high probability; otherwise its exploitability is reported all
the same. `rltheory.games.regret.mccfr_samples` lists all samples of a traversal with their chances.

Source: Lanctot, Waugh, Zinkevich and Bowling (2009), sections 3.1 to 3.3 and Theorem 5.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from os import PathLike
from typing import Any, Literal

import numpy as np

from rltheory.analysis.arrays import (
    FloatArray,
    IntArray,
    as_generator,
    check_positive_integer,
    check_progress,
    check_range,
    check_shape,
    read_only,
)
from rltheory.analysis.checkpoints import checkpoint_iterations
from rltheory.games import kernels
from rltheory.games.best_response import Deviations, deviations
from rltheory.games.forms.extensive import ExtensiveGame, check_game
from rltheory.games.forms.tree import GameTree
from rltheory.games.regret.cfr_run import RunFile, check_state
from rltheory.games.regret.mccfr_kernels import (
    SampledTree,
    external_iterations,
    external_sizes,
    longest_path,
    outcome_iterations,
    sampled_tree,
)

Sampling = Literal["external", "outcome"]
Rule = Literal["regret_matching", "regret_matching_plus"]

SAMPLINGS = ("external", "outcome")
RULES = ("regret_matching", "regret_matching_plus")

_BLOCK = 1 << 16
"""Random numbers drawn at once, unless one iteration may need more."""


@dataclass(frozen=True, eq=False)
class MCCFRState:
    """All that a run needs to go on.

    iteration: how many are done. regrets, average (not normalised), each (slots,). seed, draws: the
    stream of random numbers, and how many of it are used. walked: nodes looked at so far, in
    external sampling those of the updated player and leaves.
    """

    iteration: int
    regrets: FloatArray
    average: FloatArray
    seed: int
    draws: int
    walked: int


@dataclass(frozen=True, eq=False)
class MCCFRResult:
    """A run of Monte Carlo CFR.

    average (slots,): the average strategies, which carry the guarantee; current (slots,): regret
    matching on the last regrets. iterations, exploitability (checkpoints,), payoffs
    (checkpoints, players): of the average profile, exact up to rounding. state: to go on from with
    `mccfr(..., state=result.state)`.
    """

    game: str
    sampling: Sampling
    average: FloatArray
    current: FloatArray
    iterations: IntArray
    exploitability: FloatArray
    payoffs: FloatArray
    state: MCCFRState


def mccfr(
    game: ExtensiveGame,
    sampling: Sampling = "external",
    *,
    iterations: int = 100_000,
    seed: int | np.random.Generator | None = None,
    checkpoints: int | Sequence[int] = 20,
    exploration: float = 0.6,
    rule: Rule = "regret_matching",
    state: MCCFRState | None = None,
    save: str | PathLike[str] | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> MCCFRResult:
    """Run Monte Carlo CFR on a game's tree; return the average strategies.

    sampling: "external" or "outcome". iterations: how many, in each of which every player is
    updated once, in turn. seed: an integer, or a Generator that one is drawn from; the same seed
    gives the same bits. A run needs one, unless it goes on from a state. checkpoints: as in `cfr`.
    exploration, for outcome sampling only: the chance that the updated player's move is drawn
    uniformly. rule: what turns regrets into strategies; "regret_matching_plus" cuts sampled regrets
    at zero.

    The average gains, in external sampling, the strategy at every node passed of the player next
    after the updated one: such a node is reached as often as its owner plays to it, as the average
    needs, times nature's and, among three or more, the remaining players' chances ("simple"
    averaging, as in OpenSpiel). In outcome sampling it gains at the updated player's nodes own
    reach divided by the chance of having come there ("stochastically weighted", section 3.3).

    state: of an earlier run, to go on from with its random numbers, to the same bits as without
    interruption; `iterations` counts from the beginning. save: a file that gets the run after every
    checkpoint, and is taken up if it exists. progress: called at every checkpoint with the
    iteration and the exploitability.

    Raises ValueError if the game has no tree (`load(..., form="tree")` gives one), the sampling or
    rule is unknown, exploration is not in (0, 1], or a state or file is of another game or run;
    TypeError for an argument of another kind.
    """
    tree = check_tree(check_game(game))
    check_sampling(sampling, exploration)
    check_progress(progress)
    if rule not in RULES:
        raise ValueError(f"rule is {rule!r}; expected one of {', '.join(RULES)}")
    total = check_positive_integer(iterations, "iterations")
    marks = checkpoint_iterations(checkpoints, total)
    if state is None:
        state = _initial_state(game, seed)
    elif seed is not None:
        raise ValueError(f"seed is {seed!r}; expected none beside a state, which has its own")
    check_state(state, MCCFRState)
    for name in ("regrets", "average"):
        check_shape(getattr(state, name), f"state.{name}", (game.slots,))
    done: list[tuple[int, Deviations]] = []
    file = None
    if save is not None:
        settings = (sampling, exploration if sampling == "outcome" else None, rule, marks)
        file = RunFile(save, _fingerprint(game, state, settings), "an MCCFR run")
        state, done = file.read(state)
    run = _Run(game, sampled_tree(game, tree), sampling, exploration, rule)
    for mark in marks:
        if mark > state.iteration:
            state = run.advance(state, mark)
            done.append((mark, deviations(game, _average(game, state))))
            if file is not None:
                file.write(state, done)
            if progress is not None:
                progress(mark, done[-1][1].exploitability)
    if not done:
        done.append((state.iteration, deviations(game, _average(game, state))))
    current = np.empty(game.slots)
    kernels.normalise(game.compiled, np.maximum(state.regrets, 0.0), current)
    return MCCFRResult(
        game=game.name,
        sampling=sampling,
        average=read_only(_average(game, state)),
        current=read_only(current),
        iterations=read_only(np.array([mark for mark, _ in done])),
        exploitability=read_only(np.array([d.exploitability for _, d in done])),
        payoffs=read_only(np.array([d.payoffs for _, d in done])),
        state=state,
    )


def check_tree(game: ExtensiveGame) -> GameTree:
    """Return the game's tree; ValueError if it was built in factored form."""
    if game.tree is None:
        raise ValueError(
            f"game {game.name!r} has no tree, which sampling walks; expected one built from "
            'a tree, as by load(..., form="tree")'
        )
    return game.tree


def check_sampling(sampling: str, exploration: float) -> None:
    """Raise ValueError for an unknown sampling or an exploration outside (0, 1]."""
    if sampling not in SAMPLINGS:
        raise ValueError(f"sampling is {sampling!r}; expected one of {', '.join(SAMPLINGS)}")
    if check_range(exploration, "exploration", 0.0, 1.0) == 0.0:
        raise ValueError("exploration is 0; expected more, or some leaves may never be drawn")


class _Run:
    """The arrays that one call works on."""

    def __init__(
        self,
        game: ExtensiveGame,
        tree: SampledTree,
        sampling: Sampling,
        exploration: float,
        rule: Rule,
    ) -> None:
        self.tree = tree
        self.sampling = sampling
        self.exploration = float(exploration)
        self.plus = rule == "regret_matching_plus"
        self.strategies = np.empty(game.slots)
        if sampling == "external":
            sizes = [external_sizes(tree, p) for p in range(game.players)]
            entries = max(entries for entries, _ in sizes)
            self.need = int(sum(draws for _, draws in sizes))
            self.work: tuple[Any, ...] = (
                *np.empty((2, entries), dtype=np.uint32),
                np.empty(entries),
            )
        else:
            longest = longest_path(tree)
            self.need = int(longest * game.players)
            self.work = tuple(np.empty((3, longest), dtype=np.uint32))
        self.block = max(_BLOCK, 4 * self.need)

    def advance(self, state: MCCFRState, until: int) -> MCCFRState:
        """Run from a state to iteration `until`; the old state stays as it is."""
        regrets, average = state.regrets.copy(), state.average.copy()
        done, used, walked = state.iteration, state.draws, state.walked
        # One output of the generator makes one number, so `used` of them are skipped exactly.
        bits = np.random.PCG64(state.seed)
        random = np.random.Generator(bits.advance(used))
        left = np.empty(0)
        while done < until:
            draws = np.concatenate([left, random.random(self.block - len(left))])
            if self.sampling == "external":
                more, spent, seen = external_iterations(
                    self.tree, self.plus, until - done, self.need, draws,
                    regrets, average, self.strategies, *self.work,
                )  # fmt: skip
            else:
                more, spent, seen = outcome_iterations(
                    self.tree, self.plus, until - done, self.need, draws, self.exploration,
                    regrets, average, self.strategies, *self.work,
                )  # fmt: skip
            done, used, walked = done + more, used + spent, walked + seen
            left = draws[spent:]
        return MCCFRState(until, read_only(regrets), read_only(average), state.seed, used, walked)


def _initial_state(game: ExtensiveGame, seed: int | np.random.Generator | None) -> MCCFRState:
    if isinstance(seed, np.random.Generator):
        seed = int(seed.integers(2**63))
    elif seed is None:
        raise TypeError("seed is missing; expected an integer or a numpy Generator")
    as_generator(seed)
    zeros = read_only(np.zeros(game.slots))
    return MCCFRState(0, zeros, zeros, int(seed), draws=0, walked=0)


def _average(game: ExtensiveGame, state: MCCFRState) -> FloatArray:
    """The average strategies, uniform where nothing has been averaged."""
    profile = np.empty(game.slots)
    kernels.normalise(game.compiled, state.average, profile)
    return profile


def _fingerprint(game: ExtensiveGame, start: MCCFRState, settings: tuple[object, ...]) -> str:
    digest = sha256()
    for array in (*game.form, start.regrets, start.average):
        digest.update(np.ascontiguousarray(array).tobytes())
    stream = (start.iteration, start.seed, start.draws, start.walked)
    digest.update(repr(("mccfr", settings, stream)).encode())
    return digest.hexdigest()
