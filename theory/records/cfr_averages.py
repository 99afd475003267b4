"""What the average of a run shows: its NashConv is the average regrets, if reach weighs it.

For any strategies, whatever chose them; all of it in Fractions.
"""

from fractions import Fraction
from typing import NamedTuple

from rltheory.analysis.rational import FractionArray
from rltheory.games.exact.exact_form import (
    ExactForm,
    exact_deviations,
    exact_form,
    exact_nash_conv,
    fraction_array,
)
from rltheory.games.forms.extensive import from_tree
from rltheory.theory import extensive_plans as plans
from rltheory.theory.records.cfr_decomposition import Profiles, pennies, sample_profiles
from rltheory.theory.sides import Side
from rltheory.theory.theorem import Control, Theorem


def _folk(instance: Profiles, average: FractionArray) -> tuple[Side, Side]:
    form, rounds, weights = instance
    repeated = [x for x, w in zip(rounds, weights, strict=True) for _ in range(w)]
    regrets = plans.full_regrets(form, repeated)
    return exact_nash_conv(form, average), sum(regrets, Fraction(0)) / len(repeated)


def folk_sides(instance: Profiles) -> tuple[Side, Side]:
    """Return the NashConv of the reach-weighted average and the sum of the average regrets."""
    form, rounds, weights = instance
    return _folk(instance, plans.average(form, rounds, weights))


FOLK = Theorem(
    id="cfr/folk-identity",
    title="The average's NashConv is the sum of the average regrets",
    source=(
        "the folk theorem (Freund and Schapire, 1999; Zinkevich et al., 2007, Theorem 2), as an "
        "equality: derived here"
    ),
    statement=(
        r"\mathrm{NashConv}(\bar\sigma) = \frac{1}{W} \sum_i \max_{\sigma_i'} \sum_t w_t "
        r"\bigl(u_i(\sigma_i', \sigma_{-i}^t) - u_i(\sigma^t)\bigr), \qquad "
        r"\bar\sigma_i(I, a) \propto \sum_t w_t\, \pi_i^t(I)\, \sigma_i^t(I, a)"
    ),
    hypotheses=(
        "two players, payoffs sum to 0, perfect recall",
        r"any profiles, any weights $w_t > 0$ with sum $W$",
    ),
    kind="identity",
    sample=lambda tape, depth: sample_profiles(tape, depth, zero_sum=True),
    sides=folk_sides,
    control=Control(
        name="unweighted average",
        explanation="Behaviour is averaged without the chance that it is reached.",
        sides=lambda instance: _folk(
            instance,
            plans.unweighted(
                [
                    x
                    for x, w in zip(instance.rounds, instance.weights, strict=True)
                    for _ in range(w)
                ]
            ),
        ),
    ),
    notes=(
        r"So average regrets of $\varepsilon$ each make a $2\varepsilon$-equilibrium, with "
        "equality where one player has all of the gain. What rounds paid cancels: this is where "
        "payoffs must sum to 0."
    ),
    sizes=(2, 3, 4),
    cost=2.0,
)


class Equilibria(NamedTuple):
    """A game and two profiles (slots,) that are equilibria of it."""

    form: ExactForm
    rounds: tuple[FractionArray, FractionArray]


def _pennies_or_out(first: bool) -> Equilibria:
    """Return the game in which going in and staying out are worth 1 both, and two equilibria."""
    form = exact_form(from_tree(pennies(out=1.0)))
    half = Fraction(1, 2)
    playing = fraction_array([Fraction(1), Fraction(0), half, half, half, half])
    out = fraction_array([Fraction(0), Fraction(1), Fraction(1), Fraction(0), half, half])
    return Equilibria(form, (playing, playing if first else out))


def unweighted_sides(instance: Equilibria) -> tuple[Side, Side]:
    """Return what the unweighted and what the reach-weighted average guarantee player 0."""
    form, rounds = instance
    averages = plans.unweighted(rounds), plans.average(form, rounds)
    unweighted, weighted = (-exact_deviations(form, x).best[1] for x in averages)
    return unweighted, weighted


UNWEIGHTED = Theorem(
    id="cfr/unweighted-average-fails",
    title="Averaging behaviour without its reach loses what no regret guarantees",
    source="derived here; the average of Zinkevich et al. (2007), equation 4, is weighted by reach",
    statement=(
        r"\min_{\sigma_2} u_1\Bigl(\frac1T \sum_t \sigma_1^t, \sigma_2\Bigr) < \min_{\sigma_2} "
        r"u_1(\bar\sigma_1, \sigma_2), \qquad \bar\sigma_1(I, a) \propto \sum_t \pi_1^t(I)\, "
        r"\sigma_1^t(I, a)"
    ),
    hypotheses=(
        "two equilibria in turn, so that no round has any regret",
        "player 1 matches pennies for 0 or 2, or stays out for 1 and would then show heads",
    ),
    kind="counterexample",
    sample=lambda tape, size: _pennies_or_out(first=False),
    sides=unweighted_sides,
    control=Control(
        name="one equilibrium twice",
        explanation="Both rounds are alike, and so are both averages.",
        sample=lambda tape, size: _pennies_or_out(first=True),
    ),
    notes=(
        "3/4 against 1 however many rounds are played. In Kuhn poker CFR's own unweighted average "
        "does nearly as well as the weighted one, so that poker does not show the difference."
    ),
    sharpness=0.75,
    sizes=(1,),
)


THEOREMS = (FOLK, UNWEIGHTED)
