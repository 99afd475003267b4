"""Two-player zero-sum games in sequence form: the value, its certificates, and all equilibria.

NashConv is a sum of one function of each player's plan; duality, complementary slackness and the
exchange of equilibria are three ways to read that.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.games.exact.exact_form import (
    ExactForm,
    exact_deviations,
    exact_nash_conv,
    fraction_array,
)
from rltheory.games.exact.sequence_form import sequence_form_nash
from rltheory.theory import extensive_instances as ext
from rltheory.theory import extensive_plans as plans
from rltheory.theory import game_instances as games
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

_MOST_PURE = 24


class Profiles(NamedTuple):
    """A game and two profiles (slots,)."""

    form: ExactForm
    first: FractionArray
    second: FractionArray


def sample_profiles(tape: Tape, depth: int, *, zero_sum: bool = True) -> Profiles:
    """Draw a two-player game and two profiles."""
    form = ext.game(tape, depth, zero_sum=zero_sum)
    return Profiles(form, ext.profile(tape, form), ext.profile(tape, form))


def _few_strategies(form: ExactForm) -> bool:
    return all(plans.pure_count(form, p) <= _MOST_PURE for p in range(2))


def _values(form: ExactForm) -> list[Fraction]:
    """What is found in sequence form: the value, and what each half of the equilibrium ensures."""
    solution = sequence_form_nash(form.game, arithmetic="rational")
    best = exact_deviations(form, solution.strategies).best
    return [solution.value, best[0], -best[1]]


def minimax_sides(form: ExactForm) -> tuple[Side, Side]:
    """Return the value in sequence form, thrice, and that of the normal form by two programs."""
    matrix = plans.pure_matrix(form)
    conceded = (matrix @ games.optimal_columns(matrix)).max()
    secured = (games.optimal_rows(matrix) @ matrix).min()
    return fraction_array(_values(form)), fraction_array([conceded, conceded, secured])


def _pure_only(form: ExactForm) -> tuple[Side, Side]:
    matrix = plans.pure_matrix(form)
    conceded, secured = matrix.max(axis=0).min(), matrix.min(axis=1).max()
    return fraction_array(_values(form)), fraction_array([conceded, conceded, secured])


MINIMAX = Theorem(
    id="sequence-form/minimax",
    title="The sequence form's program, its dual and the normal form have one value",
    source="von Neumann (1928); in plans, Koller, Megiddo and von Stengel (1996)",
    statement=(
        r"\max_{x \in X} \min_{y \in Y} x^{\top} A y = \min_{y \in Y} \max_{x \in X} x^{\top} A y "
        r"= \max_{w} \min_{s_2} \sum_{s_1} w(s_1)\, u(s_1, s_2)"
    ),
    hypotheses=(
        "two players, payoffs sum to 0, perfect recall",
        "$X, Y$: realisation plans; $w$: mixtures of pure strategies",
    ),
    kind="identity",
    sample=ext.game,
    sides=minimax_sides,
    admissible=_few_strategies,
    control=Control(
        name="pure strategies only",
        explanation="The value is sought among pure strategies.",
        sides=_pure_only,
        sample=lambda tape, depth: ext.one_shot(tape, 2),
    ),
    notes=(
        "The program's vertex is found in floats, solved for in rationals and checked; the normal "
        "form is enumerated and solved by the simplex method on Fractions."
    ),
    sizes=(2, 3, 4),
    cost=6.0,
)


def _losses(form: ExactForm, strategies: FractionArray, player: int) -> FractionArray:
    """What each slot's action loses against a best one, when all goes on at best; (slots,)."""
    worth = plans.worths(form, [strategies], player)
    losses = fraction_array([Fraction(0)] * form.game.slots)
    for parent, slots in reversed(plans.sets(form, player)):
        best = max(worth[slots])
        losses[slots] = best - worth[slots]
        worth[parent] += best
    return losses


def _slackness(instance: Profiles, reached: bool) -> tuple[Side, Side]:
    form, strategies, _ = instance
    losses = sum(_losses(form, strategies, p) for p in range(2))
    weights = plans.plan(form, strategies)[: form.game.slots] if reached else strategies
    return exact_nash_conv(form, strategies), np.asarray(losses) @ weights


def slackness_sides(instance: Profiles) -> tuple[Side, Side]:
    """Return NashConv and the sum over sequences of their chance times what their action loses."""
    return _slackness(instance, reached=True)


SLACKNESS = Theorem(
    id="sequence-form/complementary-slackness",
    title="NashConv is what all played sequences lose: complementary slackness with its gap",
    source="von Stengel (1996), section 4, for the equilibria; as an equality derived here",
    statement=(
        r"\mathrm{NashConv}(x, y) = \sum_{i} \sum_{(I,a)} x_i(I, a)\,\bigl(\max_b Q_i(I, b) - "
        r"Q_i(I, a)\bigr)"
    ),
    hypotheses=(
        "any profile of plans, perfect recall",
        r"$Q_i(I, a)$: counterfactual value of $a$ when the owner goes on at best",
    ),
    kind="identity",
    sample=lambda tape, depth: sample_profiles(tape, depth, zero_sum=False),
    sides=slackness_sides,
    control=Control(
        name="behaviour for plans",
        explanation="An action's probability at its set stands in for the chance of its sequence.",
        sides=lambda instance: _slackness(instance, reached=False),
    ),
    notes="Zero if and only if no played sequence loses anything: the equilibria.",
    sizes=(2, 3, 4),
    cost=2.0,
)


def exchange_sides(instance: Profiles) -> tuple[Side, Side]:
    """Return the NashConvs of two profiles in sum, and after they exchanged player 1."""
    form, first, second = instance
    pairs = (
        (first, second),
        (plans.change(form, first, 1, second), plans.change(form, second, 1, first)),
    )
    kept, exchanged = (exact_nash_conv(form, x) + exact_nash_conv(form, y) for x, y in pairs)
    return kept, exchanged


EXCHANGE = Theorem(
    id="sequence-form/interchangeable",
    title="In zero-sum games strategies can be exchanged between profiles at no cost in sum",
    source="the exchange of equilibria, Nash (1951), by the equality of which it is the zero level",
    statement=(
        r"\mathrm{NC}(x, y) + \mathrm{NC}(x', y') = \mathrm{NC}(x, y') + \mathrm{NC}(x', y)"
    ),
    hypotheses=("two players, payoffs sum to 0", "any two profiles"),
    kind="identity",
    sample=sample_profiles,
    sides=exchange_sides,
    control=Control(
        name="payoffs of any sum",
        explanation="NashConv then also holds what the profiles themselves pay.",
        sample=lambda tape, depth: sample_profiles(tape, depth, zero_sum=False),
    ),
    notes=(
        "With equilibria on the left all four are: equilibria are a product of two sets, and all "
        "pay the same value."
    ),
    sizes=(2, 3, 4),
    cost=2.0,
)


class Certified(NamedTuple):
    """A game, its value by the normal form, and a profile (slots,)."""

    form: ExactForm
    value: Fraction
    strategies: FractionArray


def sample_certified(tape: Tape, depth: int) -> Certified:
    """Draw a game and a profile between a random one and an equilibrium, in plans."""
    form, strategies, _ = sample_profiles(tape, depth)
    if not _few_strategies(form):
        return Certified(form, Fraction(0), strategies)
    matrix = plans.pure_matrix(form)
    value = Fraction((matrix @ games.optimal_columns(matrix)).max())
    optimal = sequence_form_nash(form.game, arithmetic="rational").strategies
    weight = Fraction(tape.integer(0, 4), 4)
    mixed = weight * plans.plan(form, optimal) + (1 - weight) * plans.plan(form, strategies)
    return Certified(form, value, plans.played(form, np.asarray(mixed)))


def enclosure_sides(instance: Certified) -> tuple[Side, Side]:
    """Return what player 0 ensures and the value; the value and what player 1 concedes."""
    form, value, strategies = instance
    best = exact_deviations(form, strategies).best
    return fraction_array([-best[1], value]), fraction_array([value, best[0]])


def _own_payoff(instance: Certified) -> tuple[Side, Side]:
    form, value, strategies = instance
    deviations = exact_deviations(form, strategies)
    return value, deviations.payoffs[0]


ENCLOSURE = Theorem(
    id="sequence-form/value-enclosure",
    title="Best responses against any profile enclose the value, as tightly as its NashConv",
    source="weak duality; von Stengel (1996), section 3",
    statement=(
        r"\min_{y'} x^{\top} A y' \le v \le \max_{x'} x'^{\top} A y, \qquad \text{and the two ends "
        r"are } \mathrm{NashConv}(x, y) \text{ apart}"
    ),
    hypotheses=(
        "two players, payoffs sum to 0, perfect recall",
        "any plans, such as averages of CFR",
    ),
    kind="inequality",
    sample=sample_certified,
    sides=enclosure_sides,
    admissible=lambda instance: _few_strategies(instance.form),
    control=Control(
        name="what the profile pays",
        explanation="The profile's own payoff is taken for an upper bound.",
        sides=_own_payoff,
    ),
    sharpness=0.999,
    sizes=(2, 3, 4),
    cost=6.0,
)


THEOREMS = (MINIMAX, SLACKNESS, EXCHANGE, ENCLOSURE)
