"""Policy-space response oracles: populations that grow by best responses to mixtures of them.

Each iteration, a meta-solver mixes the policies that every player has, from the payoffs among them,
and an exact best response of each player to the others' mixtures joins. Payoffs, best responses and
exploitability are exact up to rounding. With Nash equilibria as mixtures this is double oracle
(McMahan et al., 2003). Sources: Lanctot et al. (2017); for separate training and evaluation
meta-solvers and SHOR, Li, Schultz, Hennes and Lanctot (2026), arXiv 2602.16928.

A meta-solver of one's own is any callable that takes the payoff tensor (players, k_1, ..., k_n) and
the iteration (from 1), and returns one mixed strategy (k_i,) per player:

    def last_only(payoffs, iteration):
        return tuple(np.eye(count)[-1] for count in payoffs.shape[1:])

    psro(load("kuhn_poker"), last_only, evaluation="nash")

It should depend on its two arguments only; a run that is saved could not be taken up again to the
same bits otherwise. Settings belong into a dataclass with `__call__`, as in
`rltheory.games.oracles.meta_solvers`: its representation tells the file of a saved run what they
were.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import (
    FloatArray,
    IntArray,
    as_float_array,
    as_generator,
    check_positive_integer,
    check_progress,
    check_range,
    read_only,
)
from rltheory.games.forms.extensive import ExtensiveGame, check_game
from rltheory.games.forms.one_shot import one_shot
from rltheory.games.normal_form.matrix_game import MatrixGame, Profile
from rltheory.games.oracles.meta_solvers import META_SOLVERS, MetaSolver, NashLP
from rltheory.games.oracles.meta_solvers import meta_solver as named_solver
from rltheory.games.oracles.psro_payoffs import Plans, behaviour, expanded, has, plans_of
from rltheory.games.oracles.psro_run import PSROFile, PSROState, fingerprint, frozen, solver_name
from rltheory.games.oracles.psro_step import Run

Ties = Literal["uniform", "first"]
Repeats = Literal["keep", "drop"]

ALIASES = {"prd": "projected_replicator", "pm": "projection_matching"}
"""Short names of meta-solvers, beside those of `META_SOLVERS`."""


@dataclass(frozen=True, eq=False)
class PSROResult:
    """A run of PSRO. Row t of the measurements: after t iterations, with 1 + t policies at most.

    game, meta_solver, evaluation: what ran. strategies (slots,): the evaluation meta-strategy as a
    profile of behaviour strategies, which `exploitability` of `games` takes. exploitability,
    training_exploitability (rows,): in the whole game, of the evaluation and of the training
    meta-strategy. restricted_gap (rows,): the exploitability of the evaluation meta-strategy when
    only policies of the populations may be played. payoffs (rows, players): what it pays. sizes
    (rows, players): of the populations.
    stopped: why the run ended, "iterations", "tolerance" or "no new best response".
    meta_strategies, training_strategies: the last mixtures, (k_p,) per player. state: with the
    populations as realisation plans and the payoff tensor.
    """

    game: str
    meta_solver: str
    evaluation: str
    strategies: FloatArray
    exploitability: FloatArray
    training_exploitability: FloatArray
    restricted_gap: FloatArray
    payoffs: FloatArray
    sizes: IntArray
    stopped: str
    meta_strategies: Profile
    training_strategies: Profile
    state: PSROState

    @property
    def policies(self) -> Plans:
        """Each player's policies as realisation plans, (k_p, own slots)."""
        return self.state.plans

    @property
    def payoff_tensor(self) -> FloatArray | None:
        """Payoffs among the populations (players, k_1, ..., k_n), None where nobody needed them."""
        payoffs = self.state.payoffs
        return None if payoffs is None else read_only(expanded(payoffs, self.state.plans))


def psro(
    game: ExtensiveGame | MatrixGame,
    meta_solver: str | MetaSolver = "shor",
    *,
    evaluation: str | MetaSolver | None = None,
    iterations: int = 100,
    initial: str | ArrayLike = "uniform",
    seed: int | np.random.Generator | None = None,
    ties: Ties = "uniform",
    repeats: Repeats = "keep",
    tolerance: float | None = None,
    tie_tolerance: float = 1e-12,
    memory_limit: float = 2.0**31,
    save: str | PathLike[str] | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> PSROResult:
    """Grow populations by exact best responses to a meta-solver's mixtures.

    meta_solver: mixes the populations that best responses are trained against; a name in
    `META_SOLVERS` ("prd" and "pm" for the long ones) or a callable, see the module's text.
    evaluation: mixes them for what is reported; by default the evaluation form of `meta_solver`.
    iterations: how many best responses of each player at most; row 0 of the measurements is the
    initial population. initial: "uniform", which plays all actions equally often, "first", which
    plays each set's first action, "random", a pure strategy drawn with `seed`, or a profile of
    behaviour strategies (slots,). ties: whether a best response shares equally between all best
    actions of a set, those within `tie_tolerance` times the player's range of payoffs, or plays the
    first of them. In a `MatrixGame` a player has one set, the actions.

    repeats: "keep" adds every best response, as the paper does, so that a policy found again counts
    twice where meta-solvers count policies (uniform, SHOR); "drop" leaves out those that the
    population has, and ends the run when no player has a new one. tolerance: ends the run once the
    training meta-strategy's exploitability is at most this, in units of payoff.

    With three or more players the payoff tensor grows with the power of the players. SHOR and
    Uniform work without it where it is larger than the game; for other meta-solvers, populations
    whose tensor takes more than `memory_limit` bytes raise ValueError, before the run starts unless
    repeats are dropped.
    save: a file that gets the run after every iteration; if it exists the run goes on from there,
    to the same bits as without interruption, and may have more iterations than before. progress:
    called after every iteration, 0 for the initial population, with it and the exploitability.

    Raises ValueError for an unknown meta-solver, "nash" in a game that is not two-player zero-sum,
    a meta-solver that returns no mixed strategies, or a file of another run; TypeError for an
    argument of another kind; OSError if the file cannot be written.
    """
    form = one_shot(game) if isinstance(game, MatrixGame) else check_game(game)
    train, evaluate = _solvers(form, meta_solver, evaluation)
    total = check_positive_integer(iterations, "iterations")
    check_progress(progress)
    _check_choice(ties, "ties", ("uniform", "first"))
    _check_choice(repeats, "repeats", ("keep", "drop"))
    slack = check_range(tie_tolerance, "tie_tolerance", 0.0, 1.0) * form.payoff_range
    if tolerance is not None:
        check_range(tolerance, "tolerance", 0.0, np.inf)
    check_range(memory_limit, "memory_limit", 0.0, np.inf)
    run = Run(form, train, evaluate, slack, ties == "first", float(memory_limit))
    if repeats == "keep":
        run.check_memory((total + 1,) * form.players)
    plans = plans_of(form, _initial(form, initial, seed))
    file, state = None, None
    if save is not None:
        names = solver_name(train), solver_name(evaluate)
        settings = *names, ties, repeats, tolerance, tie_tolerance
        file = PSROFile(save, fingerprint(form, plans, *settings), form.players)
        state = file.read()
    if state is not None and len(state.measured) > total + 1:
        raise ValueError(
            f"{save} holds {len(state.measured) - 1} iterations; expected at most "
            f"iterations ({total})"
        )
    if state is None:
        state = run.measure(None, plans, None)
        _report(state, file, progress)
    while not (stopped := _stopped(state, total, repeats, tolerance)):
        state = run.step(state, repeats == "drop")
        _report(state, file, progress)
    return _result(form, run, frozen(state), stopped)


def double_oracle(
    game: ExtensiveGame | MatrixGame | ArrayLike,
    *,
    tolerance: float = 1e-9,
    iterations: int | None = None,
    initial: str | ArrayLike = "first",
    seed: int | np.random.Generator | None = None,
    save: str | PathLike[str] | None = None,
) -> PSROResult:
    """Solve a two-player zero-sum game by PSRO with equilibria of the restricted games.

    Best responses are pure, the first of those equally good, and those that a population has are
    not added again. The run ends when no player has a new one, or the exploitability is at most
    `tolerance` times the range of payoffs; in either case `exploitability[-1]` is what the answer's
    is, exactly up to rounding. As every iteration adds a pure strategy, there are fewer than the
    players have together (in extensive games: reduced ones), from a pure start.

    game: with a matrix (A, B), the row player's payoffs. iterations: at most; unlimited if None.
    Raises ValueError if the game is not two-player zero-sum.
    Source: McMahan, Gordon and Blum (2003); Bosansky et al. (2014) for the sequence form.
    """
    if not isinstance(game, ExtensiveGame | MatrixGame | str):
        game = MatrixGame.zero_sum(as_float_array(game, "game", (None, None)))
    form = one_shot(game) if isinstance(game, MatrixGame) else check_game(game)
    relative = check_range(tolerance, "tolerance", 0.0, 1.0)
    return psro(
        form,
        "nash",
        # No population can have as many policies as this.
        iterations=2**62 if iterations is None else iterations,
        initial=initial,
        seed=seed,
        ties="first",
        repeats="drop",
        tolerance=relative * float(form.payoff_range.max(initial=0.0)),
        save=save,
    )


def _report(
    state: PSROState, file: PSROFile | None, progress: Callable[[int, float], None] | None
) -> None:
    """Keep and announce what a run has come to."""
    if file is not None:
        file.write(state)
    if progress is not None:
        progress(len(state.measured) - 1, float(state.measured[-1, 0]))


def _stopped(state: PSROState, total: int, repeats: Repeats, tolerance: float | None) -> str:
    """Why a run ends here; empty if it goes on."""
    if tolerance is not None and state.measured[-1, 1] <= tolerance:
        return "tolerance"
    if repeats == "drop" and all(map(has, state.plans, state.responses)):
        return "no new best response"
    return "iterations" if len(state.measured) > total else ""


def _result(game: ExtensiveGame, run: Run, state: PSROState, stopped: str) -> PSROResult:
    reached = run.reach(state.plans, state.evaluation)
    return PSROResult(
        game=game.name,
        meta_solver=solver_name(run.train),
        evaluation=solver_name(run.evaluate),
        strategies=read_only(behaviour(game, reached)),
        exploitability=state.measured[:, 0],
        training_exploitability=state.measured[:, 1],
        restricted_gap=state.measured[:, 2],
        payoffs=state.measured[:, 3 : 3 + game.players],
        sizes=read_only(state.measured[:, 3 + game.players :].astype(np.int64)),
        stopped=stopped,
        meta_strategies=state.evaluation,
        training_strategies=state.training,
        state=state,
    )


def _solvers(
    game: ExtensiveGame, train: str | MetaSolver, evaluation: str | MetaSolver | None
) -> tuple[MetaSolver, MetaSolver]:
    """The training and the evaluation meta-solver."""
    training, evaluating = _named(train, "meta_solver")
    if evaluation is not None:
        evaluating = _named(evaluation, "evaluation")[1]
    for solver in (training, evaluating):
        if isinstance(solver, NashLP) and not (game.players == 2 and game.zero_sum):
            kind = "zero-sum" if game.zero_sum else "general-sum"
            raise ValueError(
                f"meta_solver 'nash' needs a two-player zero-sum game; {game.name} is {kind} with "
                f"{game.players} players"
            )
    return training, evaluating


def _named(solver: str | MetaSolver, name: str) -> tuple[MetaSolver, MetaSolver]:
    """The training and the evaluation form of a meta-solver, an argument called `name`."""
    if isinstance(solver, str):
        solver = ALIASES.get(solver, solver)
        _check_choice(solver, name, (*META_SOLVERS, *ALIASES))
    elif not callable(solver):
        raise TypeError(
            f"{name} is {solver!r}; expected a name or a callable of payoffs and iteration"
        )
    return named_solver(solver)


def _initial(
    game: ExtensiveGame, initial: str | ArrayLike, seed: int | np.random.Generator | None
) -> FloatArray:
    """The profile with which a run starts, (slots,)."""
    if not isinstance(initial, str):
        return game.check_strategies(initial, "initial")
    _check_choice(initial, "initial", ("uniform", "first", "random"))
    if initial == "uniform":
        return game.uniform()
    counts = np.diff(game.form.first)
    chosen = np.zeros(len(counts), dtype=np.int64)
    if initial == "random":
        if seed is None:
            raise ValueError("seed is None; initial 'random' needs one")
        chosen = as_generator(seed).integers(counts)
    profile = np.zeros(game.slots)
    profile[game.form.first[:-1] + chosen] = 1.0
    return profile


def _check_choice(given: str, name: str, choices: Sequence[str]) -> None:
    if given not in choices:
        raise ValueError(f"{name} is {given!r}; expected one of {list(choices)}")
