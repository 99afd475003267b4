"""One iteration of PSRO: payoffs among the populations, their mixtures, exact best responses.

Policies that a player has found more than once earn the same, so payoffs are worked out among
different ones only, and SHOR, which plays them alike, works on these and counts them as often as
they are there. With three or more players even their tensor soon has more entries than the game has
leaves. SHOR then does without: what every policy earns against the others' mixtures is one pass
over the leaves and one product with the plans. Either way the numbers are the same up to rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rltheory.analysis.arrays import (
    FloatArray,
    as_float_array,
    check_distributions,
    read_only,
)
from rltheory.games.best_response import Deviations
from rltheory.games.forms.extensive import ExtensiveGame
from rltheory.games.normal_form.matrix_game import Profile
from rltheory.games.normal_form.payoff_kernels import pack, unflatten
from rltheory.games.oracles import psro_kernels
from rltheory.games.oracles.meta_solvers import MetaSolver, Uniform
from rltheory.games.oracles.psro_payoffs import (
    PayoffTable,
    Plans,
    add,
    check_memory,
    distinct,
    expanded,
    has,
    of_kinds,
)
from rltheory.games.oracles.psro_run import PSROState, solver_name
from rltheory.games.oracles.shor import Shor
from rltheory.games.oracles.shor_kernels import shor_on_tensor


@dataclass(frozen=True, eq=False)
class Run:
    """What does not change during a run."""

    game: ExtensiveGame
    train: MetaSolver
    evaluate: MetaSolver
    slack: FloatArray
    first: bool
    memory_limit: float

    def step(self, state: PSROState, drop: bool) -> PSROState:
        """Let the best responses join their populations, and measure again."""
        plans = state.plans
        for p, plan in enumerate(state.responses):
            if not (drop and has(plans[p], plan)):
                plans = add(plans, p, plan)
        return self.measure(state, plans, state.payoffs)

    def measure(
        self, before: PSROState | None, plans: Plans, payoffs: FloatArray | None
    ) -> PSROState:
        """Return populations with their payoffs, meta-strategies and best responses."""
        iteration = 1 if before is None else len(before.measured) + 1
        counts = tuple(len(policies) for policies in plans)
        if not self.needs_tensor(plans):
            payoffs = None
        else:
            self.check_memory(counts)
            kinds = of_kinds(plans)
            payoffs = (
                self.table.start(kinds) if payoffs is None else self.table.grow(payoffs, kinds)
            )
        training = self.mix(self.train, plans, payoffs, iteration)
        same = self.evaluate is self.train
        reported = training if same else self.mix(self.evaluate, plans, payoffs, iteration)
        trained, _, responses = self.judge(plans, training)
        judged, gap, _ = self.judge(plans, reported)
        row = [
            judged.exploitability,
            trained.exploitability,
            gap,
            *judged.payoffs,
            *(float(count) for count in counts),
        ]
        measured = np.array([row])
        if before is not None:
            measured = np.concatenate([before.measured, measured])
        return PSROState(plans, payoffs, training, reported, responses, measured)

    def mix(
        self, solver: MetaSolver, plans: Plans, payoffs: FloatArray | None, iteration: int
    ) -> Profile:
        """Return a meta-solver's mixture of each population."""
        counts = tuple(len(policies) for policies in plans)
        if isinstance(solver, Uniform):
            return tuple(np.full(count, 1.0 / count) for count in counts)
        if isinstance(solver, Shor) and (payoffs is None or payoffs.shape[1:] != counts):
            return self.shor(solver, plans, payoffs, iteration)
        assert payoffs is not None
        profile = solver(read_only(expanded(payoffs, plans)), iteration)
        name = f"the mixture of meta-solver {solver_name(solver)}"
        if not isinstance(profile, Sequence) or len(profile) != len(counts):
            raise ValueError(f"{name} is {profile!r}; expected a strategy for each player")
        checked = []
        for p, count in enumerate(counts):
            strategy = as_float_array(profile[p], f"{name} for player {p}", (count,)).copy()
            check_distributions(strategy, f"{name} for player {p}")
            checked.append(strategy)
        return tuple(checked)

    def judge(
        self, plans: Plans, mixture: Profile
    ) -> tuple[Deviations, float, tuple[FloatArray, ...]]:
        """Return payoffs and best deviations of a mixture, its restricted gap, best responses."""
        game, players = self.game, self.game.players
        reach = self.reach(plans, mixture)
        worth = np.empty(len(reach))
        payoffs, best, restricted = np.empty((3, players))
        responses = []
        for p in range(players):
            earned, plan = np.empty(len(plans[p])), np.empty(plans[p].shape[1])
            payoffs[p], best[p] = psro_kernels.respond(
                game.compiled, p, reach, plans[p], self.slack[p], self.first, worth, earned, plan
            )
            restricted[p] = earned.max()
            responses.append(plan)
        gap = float(np.sum(restricted - payoffs)) / players
        return Deviations(read_only(payoffs), read_only(best)), gap, tuple(responses)

    def reach(self, plans: Plans, mixture: Profile) -> FloatArray:
        """Return the plans of a mixture, (slots + players,)."""
        reach = np.empty(self.game.slots + self.game.players)
        for p, weights in enumerate(mixture):
            psro_kernels.mix(self.game.compiled, p, plans[p], weights, reach)
        return reach

    def shor(
        self, solver: Shor, plans: Plans, payoffs: FloatArray | None, iteration: int
    ) -> Profile:
        """SHOR where policies can be the same: what they have in common is worked out once."""
        counts = [len(policies) for policies in plans]
        inner = solver.inner_at(max(counts), iteration)
        which = [distinct(policies)[1] for policies in plans]
        copies = [np.bincount(kinds).astype(np.float64) for kinds in which]
        kinds = np.array([len(each) for each in copies])
        strategies = np.repeat(1.0 / np.array(counts), kinds)
        flat = np.concatenate(copies)
        if payoffs is None:
            reach, worth = np.empty((2, self.game.slots + self.game.players))
            average = psro_kernels.shor_on_plans(
                self.game.compiled, of_kinds(plans), flat, inner, strategies, reach, worth
            )
        else:
            average = shor_on_tensor(pack(payoffs)[0], kinds, flat, inner, strategies)
        profile = unflatten(average if solver.output == "average" else strategies, kinds)
        return tuple(mixed[each] for mixed, each in zip(profile, which, strict=True))

    def needs_tensor(self, plans: Plans) -> bool:
        """Whether payoffs among these populations are worked out.

        With one or two players they always are; with more, SHOR takes what is less work.
        """
        if self.game.players <= 2 or not self.wants_tensor:
            return self.game.players <= 2
        if not self.shor_only:
            return True
        # Of one player's step, in units of a product with an entry of the tensor: leaves, which
        # take several, then mixing and evaluating the plans.
        form, kinds = self.game.form, of_kinds(plans)
        leaves = 3.0 * (len(form.values) + len(form.tables)) / self.game.players
        size = np.prod([float(len(policies)) for policies in kinds])
        return bool(size <= leaves + 2.0 * np.mean([policies.size for policies in kinds]))

    @property
    def wants_tensor(self) -> bool:
        """Whether any meta-solver reads payoffs at all."""
        return not all(isinstance(solver, Uniform) for solver in (self.train, self.evaluate))

    @property
    def shor_only(self) -> bool:
        """Whether every meta-solver can do without the tensor."""
        return all(isinstance(solver, Shor | Uniform) for solver in (self.train, self.evaluate))

    def check_memory(self, counts: tuple[int, ...]) -> None:
        """Raise ValueError if populations of these sizes need a tensor larger than the limit."""
        if self.game.players <= 2 or not self.shor_only:
            check_memory(counts, self.memory_limit, "take fewer iterations, or drop repeats")

    @cached_property
    def table(self) -> PayoffTable:
        """How payoffs grow in this game."""
        return PayoffTable(self.game)
