"""The state of a CFR run, and the file that keeps it so that a run can be taken up again."""

from dataclasses import dataclass, fields, replace
from hashlib import sha256
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from rltheory.analysis.archive import archive_path, check_names, read_archive
from rltheory.analysis.arrays import FloatArray, check_shape, read_only
from rltheory.analysis.files import replacing
from rltheory.games.best_response import Deviations
from rltheory.games.forms.extensive import ExtensiveGame
from rltheory.games.regret.variant import Variant

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass(frozen=True, eq=False)
class CFRState:
    """All that a run of CFR needs to go on.

    iteration: how many are done. regrets, average (not normalised), strategies (the next to be
    played), memories, each (slots,); states (infosets,).
    """

    iteration: int
    regrets: FloatArray
    average: FloatArray
    strategies: FloatArray
    memories: FloatArray
    states: FloatArray

    def copies(self) -> dict[str, FloatArray]:
        """Copies of the arrays by name, free to be written."""
        return {name: np.array(getattr(self, name)) for name in _ARRAYS}

    def check(self, game: ExtensiveGame) -> "CFRState":
        """Return the state; raises ValueError if its arrays are not of the game's sizes."""
        for name in _ARRAYS:
            length = game.infosets if name == "states" else game.slots
            check_shape(getattr(self, name), f"state.{name}", (length,))
        return self


_ARRAYS = tuple(field.name for field in fields(CFRState) if field.name != "iteration")


def initial_state(game: ExtensiveGame) -> CFRState:
    """No regrets, and every action equally often."""
    zeros = read_only(np.zeros(game.slots))
    return CFRState(
        iteration=0,
        regrets=zeros,
        average=zeros,
        strategies=read_only(game.uniform()),
        memories=zeros,
        states=read_only(np.zeros(game.infosets)),
    )


def fingerprint(
    game: ExtensiveGame,
    rule: Variant,
    iterations: int,
    alternating: bool,
    checkpoints: list[int],
    start: CFRState,
) -> str:
    """A digest of all that determines a run's results."""
    digest = sha256()
    for array in (*game.form, *start.copies().values()):
        digest.update(np.ascontiguousarray(array).tobytes())
    schedule = [rule.schedule(t, iterations) for t in (1, 2, iterations)]
    settings = (
        rule.digest(), rule.shared_state, schedule, iterations, alternating, checkpoints,
        start.iteration,
    )  # fmt: skip
    digest.update(repr(settings).encode())
    return digest.hexdigest()


State = TypeVar("State", bound="DataclassInstance")


def check_state(state: object, kind: type[State]) -> State:
    """Return a state to go on from; TypeError unless it is of that kind."""
    if not isinstance(state, kind):
        raise TypeError(f"state is {state!r}; expected a {kind.__name__}, as of an earlier result")
    return state


class RunFile:
    """A run on disk (`.npz`): its state and what was measured, replaced whole at every write.

    run: the digest of all that determines it; kind: what to call it in errors.
    """

    def __init__(self, save: str | PathLike[str], run: str, kind: str = "a CFR run") -> None:
        self.path = archive_path(save)
        self.run = run
        self.kind = kind

    def read(self, start: State) -> tuple[State, list[tuple[int, Deviations]]]:
        """Return where the run stands: at `start`, any dataclass of arrays, if there is no file.

        Raises ValueError if the file is not one of a run, or of another one.
        """
        if not self.path.exists():
            return start, []
        kept = read_archive(self.path, self.kind)
        names = [field.name for field in fields(start)]
        check_names(kept, ["run", "marks", "payoffs", "best", *names], self.path, self.kind)
        if str(kept["run"]) != self.run:
            raise ValueError(
                f"{self.path} holds a run of another game, variant or setting; "
                "expected one with the same arguments, or a new file"
            )
        whole = {name: isinstance(getattr(start, name), int) for name in names}
        values = {name: int(kept[name]) if whole[name] else read_only(kept[name]) for name in names}
        measured = zip(kept["marks"], kept["payoffs"], kept["best"], strict=True)
        done = [(int(mark), Deviations(payoffs, best)) for mark, payoffs, best in measured]
        return replace(start, **values), done

    def write(self, state: Any, done: list[tuple[int, Deviations]]) -> None:
        """Replace the file by one with the state reached and all that was measured."""
        values = {field.name: getattr(state, field.name) for field in fields(state)}
        # A seed may be larger than NumPy's integers.
        kept = {name: str(v) if isinstance(v, int) else v for name, v in values.items()}
        with replacing(self.path) as stream:
            np.savez(
                stream,
                allow_pickle=False,
                run=self.run,
                marks=[mark for mark, _ in done],
                payoffs=[d.payoffs for _, d in done],
                best=[d.best for _, d in done],
                **kept,
            )
