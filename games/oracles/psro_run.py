"""The state of a PSRO run, and the file that keeps it so that a run can be taken up again."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from os import PathLike
from typing import Any

import numpy as np

from rltheory.analysis.archive import archive_path, check_names, read_archive
from rltheory.analysis.arrays import FloatArray, read_only
from rltheory.analysis.files import replacing
from rltheory.games.forms.extensive import ExtensiveGame
from rltheory.games.normal_form.matrix_game import Profile
from rltheory.games.oracles.psro_payoffs import Plans


@dataclass(frozen=True, eq=False)
class PSROState:
    """All that a run of PSRO needs to go on.

    plans: the populations. payoffs: among the different policies, in the order in which they were
    found, (players, ...), or None where no meta-solver needs them. training, evaluation: the
    meta-strategies over all policies. responses: the best response of each player to the training
    one, not yet in the population. measured (rows, 3 + 2 players): of each iteration from 0 on the
    evaluation's exploitability, the training's, the evaluation's gap in the restricted game, what
    it pays each player, and the size of each population.
    """

    plans: Plans
    payoffs: FloatArray | None
    training: Profile
    evaluation: Profile
    responses: tuple[FloatArray, ...]
    measured: FloatArray


def solver_name(solver: Callable[..., Any]) -> str:
    """What a meta-solver is called: its representation if it has one, its own name otherwise.

    A dataclass shows its settings in it, so that a saved run knows them.
    """
    name = getattr(solver, "__qualname__", None)
    own = any("__repr__" in vars(kind) for kind in type(solver).__mro__[:-1])
    if name is None and own:
        return repr(solver)
    return f"{solver.__module__}.{name or type(solver).__qualname__}"


def fingerprint(game: ExtensiveGame, plans: Plans, *settings: object) -> str:
    """A digest of all that determines a run's results, however many iterations it has."""
    digest = sha256()
    for array in (*game.form, *plans):
        digest.update(np.ascontiguousarray(array).tobytes())
    digest.update(repr(settings).encode())
    return digest.hexdigest()


class PSROFile:
    """A run on disk (`.npz`), replaced whole at every write."""

    def __init__(self, save: str | PathLike[str], run: str, players: int) -> None:
        self.path = archive_path(save)
        self.run = run
        self.players = players

    def read(self) -> PSROState | None:
        """Return where the run stands, None if there is no file yet.

        Raises ValueError if the file is not one of a run, or of another one.
        """
        if not self.path.exists():
            return None
        kept = read_archive(self.path, "a PSRO run")
        groups = {
            group: tuple(f"{group}_{p}" for p in range(self.players))
            for group in ("plans", "training", "evaluation", "responses")
        }
        expected = {"run", "measured", *(name for names in groups.values() for name in names)}
        # Another run may have other players; what it is comes first.
        if "run" in kept and str(kept["run"]) != self.run:
            raise ValueError(
                f"{self.path} holds a run of another game, meta-solver or setting; "
                "expected one with the same arguments, or a new file"
            )
        check_names(kept, expected, self.path, "a PSRO run")
        parts = {group: tuple(kept[name] for name in names) for group, names in groups.items()}
        return PSROState(payoffs=kept.get("payoffs"), measured=kept["measured"], **parts)

    def write(self, state: PSROState) -> None:
        """Replace the file by one with the state reached."""
        arrays = {"measured": state.measured}
        if state.payoffs is not None:
            arrays["payoffs"] = state.payoffs
        for group in ("plans", "training", "evaluation", "responses"):
            for p, array in enumerate(getattr(state, group)):
                arrays[f"{group}_{p}"] = array
        with replacing(self.path) as stream:
            np.savez(stream, allow_pickle=False, run=self.run, **arrays)


def frozen(state: PSROState) -> PSROState:
    """The same state with arrays that refuse writes."""
    return PSROState(
        plans=tuple(read_only(plans) for plans in state.plans),
        payoffs=None if state.payoffs is None else read_only(state.payoffs),
        training=tuple(read_only(s) for s in state.training),
        evaluation=tuple(read_only(s) for s in state.evaluation),
        responses=tuple(read_only(plan) for plan in state.responses),
        measured=read_only(state.measured),
    )
