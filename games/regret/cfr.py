"""Counterfactual regret minimisation: the family's loop, with exact exploitability as it goes.

Which member runs is a `Variant`; see `rltheory.games.regret.variants` for the table of them and
`rltheory.games.regret.variant` for how to write another. With two players and zero-sum payoffs the
average strategies approach a Nash equilibrium (Zinkevich et al., 2007); otherwise the
exploitability is reported all the same, and nothing is promised.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
from numba.core.errors import NumbaError

from rltheory.analysis.arrays import FloatArray, IntArray, check_progress, read_only
from rltheory.analysis.backends import array_module
from rltheory.analysis.checkpoints import checkpoint_iterations
from rltheory.games import kernels
from rltheory.games.best_response import Deviations, deviations
from rltheory.games.forms.extensive import ExtensiveGame, check_game
from rltheory.games.regret.cfr_kernel import iterate
from rltheory.games.regret.cfr_run import CFRState, RunFile, check_state, fingerprint, initial_state
from rltheory.games.regret.variant import Variant, specialise
from rltheory.games.regret.variants import as_variant

if TYPE_CHECKING:
    from rltheory.analysis.sweeps.table import SweepTable
    from rltheory.games.regret.jax_cfr import Traversal

BLOCK = 4096
"""Iterations compiled code runs at a time: their schedule is kept in memory."""


@dataclass(frozen=True, eq=False)
class CFRResult:
    """A run of CFR.

    game and variant: their names. average, current (slots,): the average strategies, which carry
    the guarantee, and the last ones. Where the variant has not begun to average (VAD-CFR before its
    warm-up ends), `average` is the current profile and `averaging` is False.
    iterations (checkpoints,) and exploitability (checkpoints,): of the average profile, exact up to
    rounding; payoffs (checkpoints, players): what it pays each player.
    state: to go on from with `cfr(..., state=result.state)`.
    """

    game: str
    variant: str
    average: FloatArray
    current: FloatArray
    averaging: bool
    iterations: IntArray
    exploitability: FloatArray
    payoffs: FloatArray
    state: CFRState

    def table(self) -> "SweepTable":
        """Return a row for each checkpoint: iteration, exploitability, what each player gets."""
        # Loaded where it is needed: it brings Joblib, which takes long.
        from rltheory.analysis.sweeps.table import SweepTable

        rows = zip(self.iterations, self.exploitability, self.payoffs, strict=True)
        return SweepTable(
            tuple(
                {"game": self.game, "variant": self.variant, "iteration": t, "exploitability": gap}
                | {f"payoff_{player}": paid for player, paid in enumerate(payoffs)}
                for t, gap, payoffs in rows
            )
        )


def cfr(
    game: ExtensiveGame,
    variant: str | Variant = "vad_cfr",
    *,
    iterations: int = 1000,
    checkpoints: int | Sequence[int] = 50,
    alternating: bool = True,
    state: CFRState | None = None,
    save: str | PathLike[str] | None = None,
    progress: Callable[[int, float], None] | None = None,
    backend: str = "numpy",
) -> CFRResult:
    """Run a member of the CFR family.

    variant: a name in `VARIANTS`, or a `Variant`. iterations: how many, in each of which every
    player is updated once. checkpoints: after how many of them the average's exploitability is
    computed, spaced evenly on a logarithmic axis, or after which ones; after the last it always is.
    alternating: players are updated in turn, each against the others' newest strategies; otherwise
    all at once.

    state: of an earlier run of the same variant, to go on from. `iterations` still counts from the
    beginning, and so must checkpoints after it. save: a file that gets the run after every
    checkpoint; if it exists the run goes on from there, to the same bits as without interruption.
    progress: called at every checkpoint with the iteration and the exploitability. backend:
    "numpy", compiled for the CPU, or "jax", which runs where JAX does and agrees up to rounding; a
    file or state of the one can go on with the other.

    Raises ValueError for an unknown variant, checkpoints outside 1, ..., iterations, a state of
    another game, a variant whose numbers stop being finite or give no strategy, or a file of
    another run; TypeError for a variant that does not compile, or an argument of another kind;
    ImportError if JAX is asked for and is not there; OSError if the file cannot be written.
    """
    game, rule = check_game(game), as_variant(variant)
    check_progress(progress)
    marks = checkpoint_iterations(checkpoints, iterations)
    total = marks[-1]
    advance = _advancing(game, rule, alternating, backend)
    state = initial_state(game) if state is None else check_state(state, CFRState).check(game)
    done: list[tuple[int, Deviations]] = []
    file = None
    if save is not None:
        file = RunFile(save, fingerprint(game, rule, total, alternating, marks, state))
        state, done = file.read(state)
    for mark in marks:
        if mark > state.iteration:
            state = advance(state, mark, total)
            done.append((mark, deviations(game, profile_of(game, state))))
            if file is not None:
                file.write(state, done)
            if progress is not None:
                progress(mark, done[-1][1].exploitability)
    if not done:
        done.append((state.iteration, deviations(game, profile_of(game, state))))
    return result_of(game, rule, state, done)


def result_of(
    game: ExtensiveGame, rule: Variant, state: CFRState, done: Sequence[tuple[int, Deviations]]
) -> CFRResult:
    """Return a run that ended in a state, with what was measured on the way."""
    return CFRResult(
        game=game.name,
        variant=rule.name,
        average=read_only(profile_of(game, state)),
        current=state.strategies,
        averaging=bool(np.any(state.average > 0)),
        iterations=read_only(np.array([mark for mark, _ in done])),
        exploitability=read_only(np.array([d.exploitability for _, d in done])),
        payoffs=read_only(np.array([d.payoffs for _, d in done])),
        state=state,
    )


def _advancing(
    game: ExtensiveGame, rule: Variant, alternating: bool, backend: str
) -> Callable[[CFRState, int, int], CFRState]:
    """Return what runs from a state to some iteration of so many."""
    if array_module(backend) is np:
        return partial(_advance, game, rule, alternating)
    from rltheory.games.regret.jax_cfr import traversal

    return partial(_advance_jax, traversal([game], rule, alternating), rule)


def _advance_jax(
    traversal: "Traversal", rule: Variant, state: CFRState, until: int, total: int
) -> CFRState:
    numbers = rule.numbers(range(state.iteration + 1, until + 1), total)
    given = {name: array[None] for name, array in state.copies().items()}
    found, fit = traversal.run(numbers, given)
    return checked_state(rule, {name: array[0] for name, array in found.items()}, until, fit)


def checked_state(
    rule: Variant, arrays: dict[str, FloatArray], iteration: int, fit: bool = True
) -> CFRState:
    """Return the state after an iteration; ValueError if the variant's numbers are no good.

    fit: whether all strategies met on the way could be played.
    """
    _check_finite(rule, arrays, arrays, iteration)
    if not fit:
        raise ValueError(
            f"strategy of variant {rule.name!r} gives a number below 0 or NaN by iteration "
            f"{iteration}; expected numbers of at least 0 (backend='numpy' says for which action)"
        )
    if np.any(arrays["average"] < 0):
        raise ValueError(
            f"variant {rule.name!r} has an average below 0 by iteration {iteration}; "
            "expected its weight and decay to give numbers of at least 0"
        )
    return CFRState(iteration, **{name: read_only(array) for name, array in arrays.items()})


def _advance(
    game: ExtensiveGame, rule: Variant, alternating: bool, state: CFRState, until: int, total: int
) -> CFRState:
    """Run from a state to iteration `until` of `total`; the old state stays as it is."""
    arrays = state.copies()
    reach, worth = np.ones((2, game.slots + game.players))
    for p in range(game.players):
        kernels.reaches(game.compiled, p, arrays["strategies"], reach)
    for begin in range(state.iteration + 1, until + 1, BLOCK):
        block = range(begin, min(begin + BLOCK, until + 1))
        schedule = rule.numbers(block, total)
        try:
            row, infoset = specialise(iterate, rule)(
                game.compiled,
                alternating,
                schedule,
                *arrays.values(),
                reach,
                worth,
                np.empty(game.infosets),
            )
        except NumbaError as error:
            lines = [line for line in str(error).splitlines() if line.strip()]
            cause = next((line for line in lines if not line.startswith("Failed in")), lines[0])
            raise TypeError(
                f"the functions of variant {rule.name!r} do not compile: {cause}"
            ) from error
        if infoset >= 0:
            _check_finite(rule, arrays, ("regrets", "memories", "states"), block[row])
            _refuse_strategy(game, rule, arrays["strategies"], block[row], infoset)
    return checked_state(rule, arrays, until)


def _check_finite(
    rule: Variant, arrays: dict[str, FloatArray], names: Iterable[str], iteration: int
) -> None:
    """Raise ValueError naming the first of a run's arrays that is not finite."""
    for name in names:
        if not np.all(np.isfinite(arrays[name])):
            raise ValueError(
                f"variant {rule.name!r} has {name} that are not finite by iteration {iteration}; "
                "expected its functions to return finite numbers"
            )


def _refuse_strategy(
    game: ExtensiveGame, rule: Variant, strategies: FloatArray, iteration: int, infoset: int
) -> None:
    """Raise ValueError for what a variant's `strategy` gave at an information set."""
    first, last = game.form.first[infoset : infoset + 2].tolist()
    slot = first + int(np.argmin(strategies[first:last] >= 0))
    raise ValueError(
        f"strategy of variant {rule.name!r} gives {strategies[slot]} for action "
        f"{game.describe(slot)} in iteration {iteration}; expected a number of at least 0"
    )


def profile_of(game: ExtensiveGame, state: CFRState) -> FloatArray:
    """Return the average strategies; the current ones if nothing has been averaged yet."""
    if not np.any(state.average > 0):
        return state.strategies
    profile = np.empty(game.slots)
    kernels.normalise(game.compiled, state.average, profile)
    return profile
