"""What an actor-critic loses, by step: tracking of the critic, its Bellman errors, its optimism.

Identities and their consequences, all in Fractions, for any critic and any policy.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.theory import actor_critic_instances as actors
from rltheory.theory import exact, linear_instances
from rltheory.theory.actor_critic_instances import Model, Play
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

_DERIVED = "Derived here from the performance difference of Kakade and Langford (2002)"


def _tracked(play: Play, model: Model, visited: FractionArray) -> Fraction:
    """Return the expected sum of <f, reference - policy> over the states that are visited."""
    gained = (play.critic * (play.reference - play.policy)).sum(axis=2)
    return actors.expected(visited.sum(axis=2), gained)


def _policy_form(play: Play, visiting: FractionArray) -> tuple[Side, Side]:
    model = actors.exact(play.mdp)
    lost = actors.value(model, play.reference) - actors.value(model, play.policy)
    errors = actors.backup(model, play.critic, play.policy) - play.critic
    right = _tracked(play, model, actors.visits(model, visiting))
    for sign, policy in ((1, play.reference), (-1, play.policy)):
        right += sign * actors.expected(actors.visits(model, policy), errors)
    return lost, right


def policy_form_sides(play: Play) -> tuple[Side, Side]:
    """Return the difference of the values, and tracking plus the two expected Bellman errors."""
    return _policy_form(play, play.reference)


POLICY_FORM = Theorem(
    id="actor-critic/policy-form",
    title="Regret by a critic of the policy: tracking, and its errors seen by either policy",
    source=f"{_DERIVED}; the extended form of Shani, Efroni and Mannor (2020), Lemma 1",
    statement=(
        r"V^{\mu} - V^{\pi} = \sum_h \mathbb{E}_{d^\mu_h}\langle f_h, \mu_h - \pi_h\rangle + "
        r"\sum_h \mathbb{E}_{d^\mu_h}[T^\pi_h f_{h+1} - f_h] - \sum_h \mathbb{E}_{d^\pi_h}[T^\pi_h "
        r"f_{h+1} - f_h]"
    ),
    hypotheses=(r"any tables $f$, any policies $\pi$ and $\mu$", r"$f_{H+1} = 0$"),
    kind="identity",
    sample=actors.play,
    sides=policy_form_sides,
    control=Control(
        name="tracking where the policy is",
        explanation=r"Tracking is averaged over the states of $\pi$ instead of $\mu$.",
        sides=lambda play: _policy_form(play, play.policy),
    ),
    sizes=(2, 3),
    notes=(
        "With an optimal policy to compare with, the first sum is what mirror ascent controls. The "
        "errors that the optimal policy meets have to be of one sign, as no data come from there: "
        "see actor-critic/optimism-everywhere."
    ),
)


def _greedy_form(play: Play, backed: FractionArray | None) -> tuple[Side, Side]:
    model = actors.exact(play.mdp)
    seen = actors.visits(model, play.policy)
    lag = actors.behind_greedy(play.critic, play.policy)
    errors = play.critic - actors.backup(model, play.critic, backed)
    right = actors.expected(seen.sum(axis=2), lag) + actors.expected(seen, errors)
    return actors.claimed(model, play.critic) - actors.value(model, play.policy), right


def greedy_form_sides(play: Play) -> tuple[Side, Side]:
    """Return the promised less the real value, and lag plus Bellman errors where it plays."""
    return _greedy_form(play, None)


GREEDY_FORM = Theorem(
    id="actor-critic/greedy-form",
    title="Regret by a critic of the optimum: all that is lost is lost where the policy plays",
    source=f"{_DERIVED}; for greedy policies it is Jiang et al. (2017), Lemma 1",
    statement=(
        r"\max_a f_1(s_1, a) - V^{\pi} = \sum_h \mathbb{E}_{d^\pi_h}\bigl[\max_a f_h(s_h, a) - "
        r"\langle f_h, \pi_h\rangle\bigr] + \sum_h \mathbb{E}_{d^\pi_h}[f_h - T_h f_{h+1}]"
    ),
    hypotheses=(
        r"any tables $f$, any policy $\pi$; $T$ is the optimality operator, $f_{H+1} = 0$",
        "the first state is averaged over",
    ),
    kind="identity",
    sample=actors.play,
    sides=greedy_form_sides,
    control=Control(
        name="errors of the policy's operator",
        explanation=r"The Bellman errors are $f - T^\pi f$: the critic evaluates the policy.",
        sides=lambda play: _greedy_form(play, play.policy),
    ),
    sizes=(2, 3),
    notes=(
        "A critic that aims at the optimum does not depend on the actor, and is judged on the "
        "actor's own data. For the greedy policy the lag is zero and what is left is the identity "
        "behind optimistic algorithms."
    ),
)


def sample_promising(tape: Tape, size: int) -> Play:
    """Draw a critic, then shift its first step so that it promises the optimum or a bit more."""
    play = actors.play(tape, size)
    model = actors.exact(play.mdp)
    extra = fractions(tape.dyadic((), 0.0, 1.0, bits=4)).item() * tape.integer(0, 1)
    critic = play.critic.copy()
    critic[0] = critic[0] + actors.value(model) - actors.claimed(model, critic) + extra
    return play._replace(critic=critic)


def start_sides(play: Play) -> tuple[Side, Side]:
    """Return the regret, and lag plus Bellman errors where the policy plays."""
    model = actors.exact(play.mdp)
    return actors.value(model) - actors.value(model, play.policy), _greedy_form(play, None)[1]


START = Theorem(
    id="actor-critic/optimism-at-the-start",
    title="A critic of the optimum needs optimism on average over the first states, nowhere else",
    source=f"{_DERIVED}; how GOLF uses it: Jin, Liu and Miryoosefi (2021)",
    statement=(
        r"\mathbb{E}\max_a f_1(s_1, a) \ge V^*\implies V^* - V^\pi \le \sum_h \mathbb{E}_{d^\pi_h}"
        r"\bigl[\max_a f_h - \langle f_h, \pi_h\rangle + f_h - T_h f_{h+1}\bigr]"
    ),
    hypotheses=(
        "the critic promises at least the optimal value; elsewhere it is any table, below the "
        "optimal action values too",
    ),
    kind="inequality",
    sample=sample_promising,
    sides=start_sides,
    control=Control(
        name="no optimism",
        explanation="The critic may promise less than the optimal value.",
        sample=actors.play,
    ),
    sizes=(2, 3),
    sharpness=0.999,
    notes="Attained by a critic that promises the optimal value exactly.",
)


def sample_evaluated(tape: Tape, size: int) -> Play:
    """Draw a critic that is at least its own backup under the policy, with many ties."""
    play = actors.play(tape, size)
    model = actors.exact(play.mdp)
    slack = np.maximum(fractions(tape.dyadic(play.critic.shape, -1.0, 1.0, bits=4)), 0)
    critic = play.critic
    for h in reversed(range(play.mdp.horizon)):
        critic = critic.copy()
        critic[h] = actors.backup(model, critic, play.policy)[h] + slack[h]
    return play._replace(critic=critic, reference=actors.optimal_policy(model))


def sample_promising_optimum(tape: Tape, size: int) -> Play:
    """Draw a critic that is optimistic at the start alone, compared with an optimal policy."""
    play = sample_promising(tape, size)
    return play._replace(reference=actors.optimal_policy(actors.exact(play.mdp)))


def everywhere_sides(play: Play) -> tuple[Side, Side]:
    """Return the regret, and tracking of an optimal policy plus the errors where it plays."""
    model = actors.exact(play.mdp)
    errors = play.critic - actors.backup(model, play.critic, play.policy)
    tracked = _tracked(play, model, actors.visits(model, play.reference))
    met = actors.expected(actors.visits(model, play.policy), errors)
    return actors.value(model) - actors.value(model, play.policy), tracked + met


EVERYWHERE = Theorem(
    id="actor-critic/optimism-everywhere",
    title="A critic of the policy has to be optimistic in every pair",
    source=_DERIVED,
    statement=(
        r"f_h \ge T^\pi_h f_{h+1}\ \forall h \implies V^* - V^\pi \le \sum_h \mathbb{E}_{d^*_h}"
        r"\langle f_h, \pi^*_h - \pi_h\rangle + \sum_h \mathbb{E}_{d^\pi_h}[f_h - T^\pi_h f_{h+1}]"
    ),
    hypotheses=(r"$\pi^*$ optimal with visits $d^*$; the premise holds in every state and action",),
    kind="inequality",
    sample=sample_evaluated,
    sides=everywhere_sides,
    control=Control(
        name="optimism at the start only",
        explanation="The critic promises the optimal value at the start, and is any table after.",
        sample=sample_promising_optimum,
    ),
    sizes=(2, 3),
    sharpness=0.999,
    notes=(
        "The control is the hypothesis of actor-critic/optimism-at-the-start, enough there. So a "
        "critic that evaluates the policy needs its bonus in every pair, one of the optimum only "
        "in sum. Attained without slack: then it is the performance difference."
    ),
)


def _missing(play: Play, greedy: bool) -> tuple[Side, Side]:
    model = actors.exact(play.mdp)
    rows = linear_instances.greedy(play.critic) if greedy else actors.optimal_policy(model)
    errors = actors.backup(model, play.critic) - play.critic
    met = actors.expected(actors.visits(model, rows), errors)
    return actors.value(model) - actors.claimed(model, play.critic), met


def missing_sides(play: Play) -> tuple[Side, Side]:
    """Return by how much the promise falls short, and the errors that an optimal policy meets."""
    return _missing(play, greedy=False)


MISSING = Theorem(
    id="actor-critic/missing-optimism",
    title="Without optimism, what the critic misses is paid where an optimal policy goes",
    source=f"{_DERIVED}; how hybrid data stand in for optimism",
    statement=(
        r"V^* - \mathbb{E}\max_a f_1(s_1, a) \le \sum_h \mathbb{E}_{d^*_h}[T_h f_{h+1} - f_h]"
    ),
    hypotheses=(r"any tables $f$; $d^*$ the visits of an optimal policy, $f_{H+1} = 0$",),
    kind="inequality",
    sample=actors.play,
    sides=missing_sides,
    control=Control(
        name="where the greedy policy goes",
        explanation="The errors are those that the critic's greedy policy meets.",
        sides=lambda play: _missing(play, greedy=True),
    ),
    sizes=(2, 3),
    sharpness=0.999,
    notes=(
        "Attained where the optimal policy is greedy for the critic. With data that cover an "
        "optimal policy the right side is small for any critic fitted to them: see "
        "actor-critic/coverage-transfers-errors."
    ),
)


class Covered(NamedTuple):
    """Visits of an optimal policy (H, SA), the data's distribution and errors of the same shape."""

    visited: FractionArray
    data: FractionArray
    errors: FractionArray


def sample_covered(tape: Tape, size: int) -> Covered:
    """Draw data that mix the visits of an optimal policy with a distribution of their own."""
    mdp = actors.episodic(tape, size, tape.integer(1, 2), tape.integer(1, 2))
    model = actors.exact(mdp)
    visited = actors.visits(model, actors.optimal_policy(model)).reshape(mdp.horizon, -1)
    share = Fraction(tape.integer(1, 16), 16)
    other = fractions(tape.simplex(visited.shape))
    if tape.integer(0, 1):
        # Elsewhere than the optimal policy: data that cover it evenly.
        other = other * (visited == 0)
        other = other + (visited - other) * (other.sum(axis=1, keepdims=True) == 0)
        other = other / other.sum(axis=1, keepdims=True)
    errors = fractions(tape.dyadic(visited.shape, -1.0, 1.0, bits=4))
    return Covered(visited, share * visited + (1 - share) * other, errors)


def _transferred(covered: Covered, worst: bool) -> tuple[Side, Side]:
    visited, data, errors = covered
    ratios = visited / (data + (data == 0))
    spread = (ratios * visited).sum(axis=1)
    squares = (data * errors**2).sum(axis=1)
    top = ratios.max(axis=1) if worst else np.ones(len(data), dtype=object) * Fraction(1)
    met = (visited * errors).sum(axis=1)
    return exact.join(met**2, spread), exact.join(spread * squares, top)


def transfer_sides(covered: Covered) -> tuple[Side, Side]:
    """Return (squared mean, 1 + chi-square) and (1 + chi-square times squares, worst ratio)."""
    return _transferred(covered, worst=True)


COVERAGE = Theorem(
    id="actor-critic/coverage-transfers-errors",
    title="Errors that are small on the data are small where an optimal policy goes",
    source="Cauchy and Schwarz; concentrability as in Rashidinejad et al. (2021)",
    statement=(
        r"\bigl(\mathbb{E}_{d^*_h}\delta\bigr)^2 \le \Bigl(\sum \frac{(d^*_h)^2}{\mu_h}\Bigr)\, "
        r"\mathbb{E}_{\mu_h}\delta^2,\qquad \sum \frac{(d^*_h)^2}{\mu_h} \le c^* = \max "
        r"\frac{d^*_h}{\mu_h}"
    ),
    hypotheses=(
        r"$d^*_h$ the visits of an optimal policy, $\mu_h$ the data's distribution, positive "
        "wherever that policy goes",
        r"any errors $\delta$ of the critic, of either sign",
    ),
    kind="inequality",
    sample=sample_covered,
    sides=transfer_sides,
    control=Control(
        name="coverage by any data",
        explanation="The coefficient is at most 1, as if the data were the optimal policy's own.",
        sides=lambda covered: _transferred(covered, worst=False),
    ),
    sizes=(2, 3),
    sharpness=0.999,
    notes=(
        "The first is attained by errors in proportion to the ratio, the second by data that "
        "cover the optimal policy evenly. The mean of the ratio is what counts, its maximum is "
        "the cruder quantity that theorems use."
    ),
)


THEOREMS = (POLICY_FORM, GREEDY_FORM, START, EVERYWHERE, MISSING, COVERAGE)
