"""Counterfactual regret minimisation: the family's loop, with exact exploitability as it goes.

Which member runs is a `Variant`; see `rltheory.games.regret.variants` for the table of them and
`rltheory.games.regret.variant` for how to write another. With two players and zero-sum payoffs the
average strategies approach a Nash equilibrium (Zinkevich et al., 2007); otherwise the
exploitability is reported all the same, and nothing is promised.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
from numba.core.errors import NumbaError

from rltheory.analysis.arrays import FloatArray, IntArray, check_progress, read_only
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
    progress: called at every checkpoint with the iteration and the exploitability.

    Raises ValueError for an unknown variant, checkpoints outside 1, ..., iterations, a state of
    another game, a variant whose numbers stop being finite or give no strategy, or a file of
    another run; TypeError for a variant that does not compile, or an argument of another kind;
    OSError if the file cannot be written.
    """
    game, rule = check_game(game), as_variant(variant)
    check_progress(progress)
    marks = checkpoint_iterations(checkpoints, iterations)
    total = marks[-1]
    state = initial_state(game) if state is None else check_state(state, CFRState).check(game)
    done: list[tuple[int, Deviations]] = []
    file = None
    if save is not None:
        file = RunFile(save, fingerprint(game, rule, total, alternating, marks, state))
        state, done = file.read(state)
    for mark in marks:
        if mark > state.iteration:
            state = _advance(game, rule, state, mark, total, alternating)
            done.append((mark, deviations(game, _profile(game, state))))
            if file is not None:
                file.write(state, done)
            if progress is not None:
                progress(mark, done[-1][1].exploitability)
    if not done:
        done.append((state.iteration, deviations(game, _profile(game, state))))
    return CFRResult(
        game=game.name,
        variant=rule.name,
        average=read_only(_profile(game, state)),
        current=state.strategies,
        averaging=bool(np.any(state.average > 0)),
        iterations=read_only(np.array([mark for mark, _ in done])),
        exploitability=read_only(np.array([d.exploitability for _, d in done])),
        payoffs=read_only(np.array([d.payoffs for _, d in done])),
        state=state,
    )


def _advance(
    game: ExtensiveGame, rule: Variant, state: CFRState, until: int, total: int, alternating: bool
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
    _check_finite(rule, arrays, arrays, until)
    if np.any(arrays["average"] < 0):
        raise ValueError(
            f"variant {rule.name!r} has an average below 0 by iteration {until}; "
            "expected its weight and decay to give numbers of at least 0"
        )
    return CFRState(until, **{name: read_only(array) for name, array in arrays.items()})


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


def _profile(game: ExtensiveGame, state: CFRState) -> FloatArray:
    """The average strategies; the current ones if nothing has been averaged yet."""
    if not np.any(state.average > 0):
        return state.strategies
    profile = np.empty(game.slots)
    kernels.normalise(game.compiled, state.average, profile)
    return profile
