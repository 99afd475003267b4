"""What Monte Carlo CFR samples has the counterfactual regrets as its mean.

The mean is taken over all samples, each with its chance: no sample is left to luck.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.bounds import rounding_error
from rltheory.analysis.rational import FractionArray
from rltheory.games.exact.exact_form import ExactForm, exact_regrets, fraction_array
from rltheory.games.regret.mccfr_samples import mccfr_samples
from rltheory.theory import extensive_instances as ext
from rltheory.theory import extensive_plans as plans
from rltheory.theory.sides import Side, enclose
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Sampled(NamedTuple):
    """A game, a profile of short dyadic numbers (slots,) and how leaves are sampled."""

    form: ExactForm
    strategies: FractionArray
    external: bool


def sample_sampled(tape: Tape, depth: int) -> Sampled:
    """Draw a game of two or three players and a profile of quarters and halves."""
    form = ext.game(tape, depth, players=tape.integer(2, 3), zero_sum=False)
    strategies = fraction_array([Fraction(0)] * form.game.slots)
    for p in range(form.game.players):
        for _, slots in plans.sets(form, p):
            # Four quarters fall on the actions.
            for _ in range(4):
                strategies[tape.integer(slots.start, slots.stop - 1)] += Fraction(1, 4)
    return Sampled(form, strategies, bool(tape.integer(0, 1)))


def _sampled(instance: Sampled, equally: bool) -> tuple[Side, Side]:
    form, strategies, external = instance
    means, error = np.zeros(form.game.slots), 0.0
    largest = float(max(abs(x) for x in form.game.tree.payoffs.ravel()))  # type: ignore[union-attr]
    for p in range(form.game.players):
        samples = mccfr_samples(
            form.game,
            strategies.astype(float),
            "external" if external else "outcome",
            player=p,
            exploration=0.5,
        )
        count = len(samples.probabilities)
        own = plans.own(form, p)
        chances = np.full(count, 1 / count) if equally else samples.probabilities
        means[own] = (chances @ samples.regrets)[own]
        # A sample's chance times its weight is at most 1, twice: an action's value and its set's.
        error = max(error, rounding_error(64 + 2 * count, 2 * count * largest))
    return enclose(means, error), exact_regrets(form, strategies)


def sampled_sides(instance: Sampled) -> tuple[Side, Side]:
    """Return the mean of the sampled regrets over all samples, enclosed, and the exact regrets.

    Trees have at most 4 moves in a row, each with a chance of at most 5 roundings that enters a
    sample's chance and weight: fewer than 64, and one product and sum for each sample.
    """
    return _sampled(instance, equally=False)


UNBIASED = Theorem(
    id="cfr-variants/sampling-is-unbiased",
    title="External and outcome sampling estimate counterfactual regrets without bias",
    source="Lanctot, Waugh, Zinkevich and Bowling (2009), Lemma 1",
    statement=r"\sum_{Q} q(Q)\, \tilde r_Q(I, a) = r(I, a)",
    hypotheses=(
        "external sampling, or outcome sampling that explores half of the time",
        "any number of players, any payoffs, any profile; all samples listed",
    ),
    kind="identity",
    sample=sample_sampled,
    sides=sampled_sides,
    control=Control(
        name="samples counted equally",
        explanation="Samples are averaged without their chances.",
        sides=lambda instance: _sampled(instance, equally=True),
    ),
    sizes=(2, 3, 4),
    cost=3.0,
)


THEOREMS = (UNBIASED,)
