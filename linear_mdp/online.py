"""Online learning in linear MDPs: LSVI-UCB, DR-LSVI-UCB and DR-RPO over one loop.

Every episode follows the current policy in the nominal model; then values are estimated backward,
by ridge regression on all episodes so far:
Q_h = clip(r_h + features . nu_h + bonus, 0, ceiling_h), nu_h,i the worst case of factor i over its
ball around the estimate (`rltheory.linear_mdp.duals`), and the policy improves on it.

DR-RPO is known to us by its abstract (Gu, He, Liu and Xu, 2025). From there: d-rectangular linear
models, regularisation by a reference policy, which makes the policy a softmax, an upper confidence
bonus, policy optimisation without a model. Derived here: the estimator, which is that of
DR-LSVI-UCB; the closed form of the update; the mirror step, which is the closed form at its largest
step; the bonus of either form.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import (
    FloatArray,
    IntArray,
    as_generator,
    check_positive_integer,
    check_progress,
    read_only,
)
from rltheory.analysis.bounds import Bounds
from rltheory.analysis.checkpoints import MOST_CHECKPOINTS, checkpoint_iterations
from rltheory.linear_mdp import kernels, memory
from rltheory.linear_mdp.judge import Judge
from rltheory.linear_mdp.learner import Learner, Learnt
from rltheory.linear_mdp.rules import Model, Settings, as_settings, split, world_of
from rltheory.linear_mdp.run_file import RunFile, fingerprint
from rltheory.tabular.uncertainty.base import UncertaintySet

if TYPE_CHECKING:
    from rltheory.analysis.sweeps.table import SweepTable

BLOCK = 256
"""Episodes whose random numbers are drawn together."""

Checkpoints = str | int | Sequence[int]


@dataclass(frozen=True, eq=False)
class RegretCurve:
    """A run of an online algorithm, its policies evaluated exactly.

    algorithm: its name. episodes (n,): after how many the policy was evaluated, 0 for the first
    one. values (n,): certified, from the initial distribution, robust and regularised as the
    algorithm has it, plain ones in a FeatureMDP, which has no true factors; optimum: of the same
    problem. returns (K,): of the episodes played. learnt:
    the estimate in the end. settings: what was run.
    """

    algorithm: str
    episodes: IntArray
    values: Bounds
    optimum: Bounds
    returns: FloatArray
    learnt: Learnt
    settings: Settings

    @property
    def suboptimality(self) -> FloatArray:
        """(n,) optimal less actual value, exact up to half of `values.gap + optimum.gap`."""
        best = 0.5 * (self.optimum.lower + self.optimum.upper)
        return np.asarray(best - 0.5 * (self.values.lower + self.values.upper))

    @property
    def regret(self) -> FloatArray:
        """(K,) sums of the suboptimalities of the policies played in the first k episodes.

        Raises ValueError unless every policy was evaluated (checkpoints="all").
        """
        if len(self.episodes) != len(self.returns) + 1:
            raise ValueError("only some policies were evaluated; expected checkpoints='all'")
        return np.asarray(np.cumsum(self.suboptimality[:-1]))

    def table(self) -> SweepTable:
        """Return a row for each policy evaluated: its episode, bounds of its value, what it lacks.

        With the regret of the episodes before it, where every policy was evaluated.
        """
        # Loaded where it is needed: it brings Joblib, which takes long.
        from rltheory.analysis.sweeps.table import SweepTable

        columns: dict[str, Any] = {
            "episode": self.episodes,
            "value_lower": self.values.lower,
            "value_upper": self.values.upper,
            "suboptimality": self.suboptimality,
        }
        if len(self.episodes) == len(self.returns) + 1:
            columns["regret"] = np.append(0.0, self.regret)
        rows = zip(*columns.values(), strict=True)
        return SweepTable(
            tuple({"algorithm": self.algorithm, **dict(zip(columns, r, strict=True))} for r in rows)
        )


def run_online(
    model: Model,
    settings: Settings,
    *,
    uncertainty: UncertaintySet | None = None,
    episodes: int = 100,
    ridge: float = 1.0,
    seed: int | np.random.Generator,
    checkpoints: Checkpoints = "all",
    save: str | PathLike[str] | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> RegretCurve:
    """Run an algorithm given by its settings; `lsvi_ucb`, `dr_lsvi_ucb` and `dr_rpo` make them.

    model: simulated, and what policies are evaluated in; its set, or `uncertainty`, is the
    adversary of both. ridge: > 0. seed: the same one gives the same bits, and longer runs begin as
    shorter ones do. checkpoints: after which episodes the policy is evaluated, "all" of them, how
    many, evenly spaced on a logarithmic axis, or which ones; before the first and after the last
    it always is. save: a file that gets the run at every checkpoint, and from which it goes on if
    it exists, to the same bits as without interruption. progress: called at every checkpoint with
    the episode and the suboptimality.

    Raises ValueError or TypeError naming what does not fit; OSError if the file cannot be written.
    """
    nominal, ball = split(model, uncertainty)
    rule = as_settings(settings).rule(nominal, ball)
    marks = [0, *_marks(checkpoints, check_positive_integer(episodes, "episodes"))]
    check_progress(progress)
    root = as_generator(seed).integers(2**63, size=2)
    norms = rule.bonus == kernels.ELLIPTICAL
    learner = Learner(world_of(nominal), rule, memory.empty(nominal, ridge, norms=norms))
    learner.estimate()
    judge = Judge(nominal, ball, settings)
    file, done = None, np.empty((0, 2))
    returns = np.zeros(marks[-1])
    if save is not None:
        # Everything that determines the run, the reach of its checkpoints included.
        digest = fingerprint(learner.world, rule, ridge, marks, root)
        file = RunFile(save, digest)
        done, played = file.read(learner, marks)
        returns[: len(played)] = played
    for at in range(len(done), len(marks)):
        begin, end = marks[max(at - 1, 0)], marks[at]
        for block in range(begin // BLOCK, -(-end // BLOCK)):
            first, last = max(begin, block * BLOCK), min(end, (block + 1) * BLOCK)
            draws = np.random.default_rng([*root, block]).random((BLOCK, 1 + 3 * nominal.horizon))
            rows = slice(first - block * BLOCK, last - block * BLOCK)
            returns[first:last] = learner.play(draws[rows])
        value = judge(learner.learnt().policy)
        done = np.vstack([done, [float(value.lower), float(value.upper)]])
        if file is not None:
            file.write(learner, done, returns[:end])
        if progress is not None:
            progress(end, float(judge.optimum.upper) - float(value.lower))
    return RegretCurve(
        algorithm=settings.name,
        episodes=read_only(np.array(marks)),
        values=Bounds(done[:, 0], done[:, 1]),
        optimum=judge.optimum,
        returns=read_only(returns),
        learnt=learner.learnt(),
        settings=settings,
    )


def _marks(checkpoints: Any, episodes: int) -> Sequence[int]:
    """Return the episodes after which to evaluate."""
    if isinstance(checkpoints, str):
        if checkpoints != "all":
            raise ValueError(f"checkpoints is {checkpoints!r}; expected 'all', a number or numbers")
        if episodes > MOST_CHECKPOINTS:
            raise ValueError(
                f"checkpoints is 'all' of {episodes} episodes; expected at most {MOST_CHECKPOINTS}"
            )
        return range(1, episodes + 1)
    return checkpoint_iterations(checkpoints, episodes, "episodes")


def lsvi_ucb(
    model: Model, *, bonus: Any = 1.0, bonus_form: str = "elliptical",
    known_rewards: bool = False, ceilings: ArrayLike | None = None, **run: Any,
) -> RegretCurve:  # fmt: skip
    """Run LSVI-UCB: least-squares value iteration with an upper confidence bonus, no adversary.

    bonus: scale of the bonus, a number or (H,); bonus_form: "elliptical" is the algorithm's, see
    `BONUSES`. known_rewards: add the rewards themselves instead of regressing them. ceilings (H,):
    what action values are clipped to, `model.ceilings` if not given. run: episodes, ridge, seed,
    checkpoints, save, progress, see `run_online`. The curve is of plain values.
    Source: Jin, Yang, Wang and Jordan (2020), Algorithm 1.
    """
    nominal, _ = split(model)
    settings = Settings(
        name="LSVI-UCB", bonus=bonus, bonus_form=bonus_form, known_rewards=known_rewards,
        ceilings=ceilings,
    )  # fmt: skip
    return run_online(nominal, settings, **run)


def dr_lsvi_ucb(
    model: Model, *, bonus: Any = 1.0, bonus_form: str = "factors",
    ceilings: ArrayLike | None = None, **run: Any,
) -> RegretCurve:  # fmt: skip
    """Run DR-LSVI-UCB: as LSVI-UCB, against the worst case of every factor; rewards are known.

    model: a RobustLinearMDP, or another with `uncertainty`, of any kind in `DUALS`. bonus_form:
    "factors" is that of the theory, "diagonal" that of the authors' code. The rest is as in
    `lsvi_ucb`; the curve is of robust values. Source: Liu and Xu (2024), Algorithm 1.
    """
    settings = Settings(
        name="DR-LSVI-UCB", bonus=bonus, bonus_form=bonus_form, known_rewards=True,
        ceilings=ceilings,
    )  # fmt: skip
    return run_online(model, settings, **run)


def dr_rpo(
    model: Model, *, temperature: float = 0.1, reference: ArrayLike | None = None,
    update: str = "closed_form", step: float | None = None, bonus: Any = 1.0,
    bonus_form: str = "factors", ceilings: ArrayLike | None = None, **run: Any,
) -> RegretCurve:  # fmt: skip
    """Run DR-RPO: robust optimistic estimates, and a policy regularised by a reference.

    The policy pays temperature * KL(policy, reference) in units of reward: reference (S, A) or
    (H, S, A), all of it positive, uniform where not given. update: "closed_form", in proportion to
    reference * exp(Q / temperature); or "mirror", to policy^(1 - step temperature) *
    reference^(step temperature) * exp(step Q), with 0 < step <= 1 / temperature, from the
    reference on. The rest is as in `dr_lsvi_ucb`, which this is at temperature 0; the curve is of
    robust regularised values. Source: Gu, He, Liu and Xu (2025), as the module's text says.
    """
    settings = Settings(
        name="DR-RPO", bonus=bonus, bonus_form=bonus_form, known_rewards=True,
        temperature=temperature, reference=reference, update=update, step=step,
        ceilings=ceilings,
    )  # fmt: skip
    return run_online(model, settings, **run)
