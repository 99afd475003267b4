"""Response oracles in extensive games: when they end, and which of their curves cannot rise.

Restricted games are solved exactly, by the simplex method on Fractions over the pure strategies
that they allow; best responses come from backward induction in the whole game.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.games.exact.exact_form import ExactForm, exact_nash_conv, fraction_array
from rltheory.theory import extensive_instances as ext
from rltheory.theory import extensive_plans as plans
from rltheory.theory import game_instances as games
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

_MOST_PURE = 24


def _restricted_equilibrium(form: ExactForm, allowed: FractionArray) -> FractionArray:
    """Return an equilibrium (slots,) of the game in which only slots with 1 may be played."""
    chosen = [
        [x for x in plans.pure_profiles(form, p) if not np.any(x > allowed)] for p in range(2)
    ]
    rows, columns = ([plans.plan(form, x) for x in some] for some in chosen)
    matrix = plans.plan_payoffs(form, rows, columns)
    weights = games.optimal_rows(matrix), games.optimal_columns(matrix)
    mixed = plans.plan(form, plans.uniform(form))
    for p, (w, pure) in enumerate(zip(weights, (rows, columns), strict=True)):
        total = sum(share * x for share, x in zip(w, pure, strict=True))
        mixed[plans.own(form, p)] = np.asarray(total)[plans.own(form, p)]
    return plans.played(form, mixed)


def extensive_oracle(form: ExactForm) -> list[Fraction]:
    """Return the NashConv of each restricted equilibrium, from first actions until none is new.

    An action joins its set if it is the first of the best there, when its player goes on at best,
    and better than all that are allowed.
    """
    allowed = fraction_array([Fraction(0)] * form.game.slots)
    allowed[form.game.form.first[:-1]] = Fraction(1)
    distances = []
    while True:
        strategies = _restricted_equilibrium(form, allowed)
        distances.append(exact_nash_conv(form, strategies))
        before = allowed.copy()
        for p in range(2):
            worth = plans.worths(form, [strategies], p)
            for parent, slots in reversed(plans.sets(form, p)):
                best = max(worth[slots])
                if best > max(worth[slots][before[slots] == 1]):
                    allowed[slots.start + int(np.argmax(worth[slots]))] = Fraction(1)
                worth[parent] += best
        if np.array_equal(before, allowed):
            return distances


def _ended(form: ExactForm, most: int) -> tuple[Side, Side]:
    distances = extensive_oracle(form)
    return (
        fraction_array([Fraction(len(distances)), distances[-1]]),
        fraction_array([Fraction(most), Fraction(0)]),
    )


def ends_sides(form: ExactForm) -> tuple[Side, Side]:
    """Return (iterations, NashConv at the end) and (slots - sets + 1, 0)."""
    return _ended(form, form.game.slots - form.game.infosets + 1)


EXTENSIVE_ORACLE = Theorem(
    id="psro/extensive-oracle-ends",
    title="Double oracle that mixes at every set ends once every action could have joined",
    source=(
        "McAleer, Lanier, Wang, Baldi and Fox (2021), XDO, after Bosansky et al. (2014); the count "
        "derived here"
    ),
    statement=(r"K \le 1 + \sum_I (|A(I)| - 1), \qquad \mathrm{NashConv}(\sigma^K) \le 0"),
    hypotheses=(
        "two players, payoffs sum to 0, perfect recall; one action at every set at first",
        "exact equilibria of the games restricted to actions that joined; the last iteration "
        "finds nothing and counts",
    ),
    kind="inequality",
    sample=ext.game,
    sides=ends_sides,
    admissible=lambda form: all(plans.pure_count(form, p) <= _MOST_PURE for p in range(2)),
    control=Control(
        name="one iteration for each set",
        explanation="As many iterations as there are information sets.",
        sides=lambda form: _ended(form, form.game.infosets),
        sample=lambda tape, depth: ext.one_shot(tape, 2),
    ),
    notes=(
        "Attained. Linear in the game's size, while the bound for populations of whole strategies "
        "(double-oracle/ends) is the number of pure strategies, exponential in it."
    ),
    sharpness=0.999,
    sizes=(2, 3, 4),
    cost=6.0,
)


class Populations(NamedTuple):
    """Payoffs, and how many rows and columns are in the populations before and after."""

    matrix: FractionArray
    before: tuple[int, int]
    after: tuple[int, int]


def sample_populations(tape: Tape, size: int) -> Populations:
    """Draw payoffs and populations, the first strategies, that grow."""
    matrix = games.matrix(tape, size + 1, size + 1, bits=0)
    before = tape.integer(1, size), tape.integer(1, size)
    after = tape.integer(before[0], size + 1), tape.integer(before[1], size + 1)
    return Populations(matrix, before, after)


def _best_of(matrix: FractionArray, rows: int, columns: int) -> tuple[Fraction, Fraction]:
    """What the safest mixtures of the first rows and of the first columns concede, unrestricted."""
    secured = (games.optimal_rows(matrix[:rows]) @ matrix[:rows]).min()
    conceded = (matrix[:, :columns] @ games.optimal_columns(matrix[:, :columns])).max()
    return -secured, conceded


def _equilibrium_of(matrix: FractionArray, rows: int, columns: int) -> tuple[Fraction, Fraction]:
    restricted = matrix[:rows, :columns]
    secured = (games.optimal_rows(restricted) @ matrix[:rows]).min()
    conceded = (matrix[:, :columns] @ games.optimal_columns(restricted)).max()
    return -secured, conceded


def anytime_sides(instance: Populations) -> tuple[Side, Side]:
    """Return what the best mixtures concede after the populations grow, and before."""
    after, before = (_best_of(instance.matrix, *x) for x in (instance.after, instance.before))
    return fraction_array(list(after)), fraction_array(list(before))


def _restricted_equilibria(instance: Populations) -> tuple[Side, Side]:
    ends = (_equilibrium_of(instance.matrix, *x) for x in (instance.after, instance.before))
    after, before = (fraction_array(list(x)) for x in ends)
    return after, before


ANYTIME = Theorem(
    id="psro/anytime",
    title="The least exploitable mixture of a population gets no worse as the population grows",
    source="McAleer, Wang, Lanier, Lanctot, Baldi, Sandholm and Fox (2022), Anytime PSRO",
    statement=(
        r"\min_{x \in \Delta(X')} \max_{s_2 \in S_2} u_2(x, s_2) \le \min_{x \in \Delta(X)} "
        r"\max_{s_2 \in S_2} u_2(x, s_2), \qquad X \subseteq X'"
    ),
    hypotheses=("two players, payoffs sum to 0", "the opponent may answer with any strategy"),
    kind="inequality",
    sample=sample_populations,
    sides=anytime_sides,
    control=Control(
        name="equilibria of the restricted game",
        explanation="Mixtures answer only the opponent's population, as those of PSRO do.",
        sides=_restricted_equilibria,
    ),
    sharpness=0.999,
    sizes=(2, 3),
    cost=1.5,
)


THEOREMS = (EXTENSIVE_ORACLE, ANYTIME)
