"""The sequence-form program of a two-player zero-sum game, and its vertices by HiGHS.

Player 0 chooses a realisation plan x and, for each information set J of player 1, what reaching it
leaves at least, q(J): maximise what the first sets of player 1 leave, subject to
q(J) <= x . A(j) + the sum of q over the sets after j, for every slot j of J. The program grows
linearly with the game; its multipliers are player 1's plan.
Source: Koller, Megiddo and von Stengel (1996); von Stengel (1996).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.arrays import FloatArray
from rltheory.games.forms.extensive import ExtensiveGame
from rltheory.games.forms.public_tree import spelled_out

ZERO = 1e-9
"""Entries of a vertex of HiGHS this small are taken for zero when it is solved for exactly."""


@dataclass(frozen=True, eq=False)
class FloatVertex:
    """What HiGHS found.

    plan (slots,): the plans of both players. tight (slots,): whether a slot's inequality, in the
    program of its owner's opponent, holds with equality.
    """

    plan: FloatArray
    tight: NDArray[np.bool_]


def float_vertex(game: ExtensiveGame, method: str = "highs-ds") -> FloatVertex:
    """Solve the program of player 0 in floats; its multipliers give the plan of player 1.

    Raises RuntimeError with HiGHS' message should it fail.
    """
    if not game.slots:
        return FloatVertex(np.zeros(0), np.zeros(0, dtype=bool))
    # A third of a second that only the linear programs should cost.
    from scipy import sparse
    from scipy.optimize import linprog

    payoffs = _payoffs(game)
    mine, theirs = _constraints(game, 0), _constraints(game, 1)
    own, other = mine.shape[1] - 1, theirs.shape[1] - 1
    # HiGHS takes its tolerances in absolute terms.
    largest = abs(payoffs).max()
    payoffs = (payoffs.T / (largest if largest > np.finfo(float).tiny else 1.0)).tocsr()
    follow = theirs.T.tocsr()
    no_costs = sparse.csr_array((mine.shape[0], theirs.shape[0]))
    equal, bounded = mine.shape[0] > 0, other > 0
    result = linprog(
        np.concatenate([-_dense(payoffs[[other], :own]), _dense(follow[[other]])]),
        A_ub=sparse.hstack([-payoffs[:other, :own], follow[:other]]).tocsr() if bounded else None,
        b_ub=_dense(payoffs[:other, [own]]) if bounded else None,
        A_eq=sparse.hstack([mine[:, :own], no_costs]).tocsr() if equal else None,
        b_eq=-_dense(mine[:, [own]]) if equal else None,
        bounds=[(0, None)] * own + [(None, None)] * theirs.shape[0],
        method=method,
    )
    if result.status != 0:
        raise RuntimeError(f"HiGHS did not solve the program: {result.message}")
    multipliers = -result.ineqlin.marginals if bounded else np.zeros(0)
    residuals = result.ineqlin.residual if bounded else np.zeros(0)
    return FloatVertex(
        np.concatenate([result.x[:own], multipliers]),
        np.concatenate([result.lower.marginals[:own], residuals]) < ZERO,
    )


def _payoffs(game: ExtensiveGame) -> Any:
    """What player 0 is paid, sparse: own sequences by those of player 1, empty ones last."""
    from scipy import sparse

    form = spelled_out(game.form) if len(game.form.hands) else game.form
    mine = int(form.slot_start[1])
    theirs = game.slots - mine
    rows = np.repeat(np.arange(game.slots + 2), np.diff(form.row_start))
    own = (rows < mine) | (rows == game.slots)
    columns = form.others[own, 0].astype(np.int64)
    return sparse.csr_array(
        (
            form.values[own],
            (
                np.minimum(rows[own], mine),
                np.where(columns >= game.slots, theirs, columns - mine),
            ),
        ),
        shape=(mine + 1, theirs + 1),
    )


def _constraints(game: ExtensiveGame, player: int) -> Any:
    """Rows that are 0 for plans of a player: what follows a set minus what reaches it, sparse.

    Shape (the player's sets, the player's slots + 1), the empty sequence last.
    """
    from scipy import sparse

    form = game.form
    begin, end = form.infoset_start[player : player + 2]
    offset, after = form.slot_start[player : player + 2]
    own, sets = int(after - offset), int(end - begin)
    parent = form.parent[begin:end].astype(np.int64)
    above = np.where(parent >= game.slots, own, parent - offset)
    rows = np.repeat(np.arange(sets), np.diff(form.first)[begin:end])
    return sparse.csr_array(
        (
            np.concatenate([np.ones(own), -np.ones(sets)]),
            (np.concatenate([rows, np.arange(sets)]), np.concatenate([np.arange(own), above])),
        ),
        shape=(sets, own + 1),
    )


def _dense(row: Any) -> FloatArray:
    return np.asarray(row.toarray(), dtype=np.float64).ravel()
