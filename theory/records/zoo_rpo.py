"""Pessimistic preference optimisation: when max and min may be exchanged, and what remains.

Saddle points are made rather than searched for: of a rational policy and temperatures 1 and 2 all
chances of winning are rational, so that a base policy can be found for which the optimality
conditions hold exactly. Values are enclosed in balls of 128 bits.
"""

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.theory import balls
from rltheory.theory import game_instances as games
from rltheory.theory.balls import BallArray, precise
from rltheory.theory.exact import fractions
from rltheory.theory.records.learning_dynamics import divergence
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Problem(NamedTuple):
    """Weights of wins (K, K), reference and base (K,), temperature, weight of pessimism."""

    wins: FractionArray
    reference: FractionArray
    base: FractionArray
    beta: Fraction
    eta: Fraction


class Saddle(NamedTuple):
    """A problem with its saddle policy (K,), another policy, and a move within the box of rewards.

    slopes: (K,), of the objective in the rewards at the saddle; not zero where the box binds.
    """

    problem: Problem
    policy: FractionArray
    other: FractionArray
    move: FractionArray
    slopes: FractionArray


class Rewarded(NamedTuple):
    """A problem and rewards (K,)."""

    problem: Problem
    rewards: FractionArray


def loss(wins: FractionArray, rewards: BallArray) -> Any:
    """Return the Bradley-Terry loss, a ball."""
    total = balls.ball(0)
    for x, y in zip(*np.nonzero(wins), strict=True):
        total = total + balls.ball(wins[x, y]) * (1 + (rewards[y] - rewards[x]).exp()).log()
    return total


def objective(problem: Problem, policy: FractionArray, rewards: BallArray) -> Any:
    """Return eta (E_policy r - E_base r - beta KL(policy || reference)) + loss(r), a ball."""
    gain = (balls.balls(policy - problem.base) * rewards).sum()
    pulled = divergence(policy, balls.balls(problem.reference))
    gain = gain - balls.ball(problem.beta) * pulled
    return balls.ball(problem.eta) * gain + loss(problem.wins, rewards)


def best_objective(problem: Problem, rewards: BallArray) -> Any:
    """Return the largest objective over policies, eta (beta log Z - E_base r) + loss(r), a ball."""
    beta = balls.ball(problem.beta)
    total = (balls.balls(problem.reference) * balls.exp(rewards / beta)).sum().log()
    gain = beta * total - (balls.balls(problem.base) * rewards).sum()
    return balls.ball(problem.eta) * gain + loss(problem.wins, rewards)


def _wins(tape: Tape, size: int) -> FractionArray:
    """Weights that are often zero: some responses are never compared."""
    drawn = games.matrix(tape, size, size, low=-1, high=2, bits=1)
    np.fill_diagonal(drawn, Fraction(0))
    return games.positive(drawn)


def _made(tape: Tape, wins: FractionArray, *, binding: bool) -> Saddle:
    """Return a saddle for these comparisons: the base policy is what makes a drawn policy one.

    binding: whether the box binds, at the lower end for one response, at the upper for the next.
    """
    size = len(wins)
    beta = Fraction(tape.integer(1, 2))
    # Half of the mass is spread evenly: chances so far from 0 and 1 leave differences to be told.
    policy, reference = (
        np.asarray((games.strategy(tape, size) + games.uniform(size)) / 2) for _ in range(2)
    )
    odds = (policy / reference) ** int(beta)
    pulls = wins * (odds[None] / (odds[:, None] + odds[None]))
    # Where the box binds, the objective may slope upwards out of its lower end.
    slopes = to_fractions(np.zeros(size))
    if binding:
        slope = Fraction(tape.integer(1, 8), 8)
        low = tape.integer(0, size - 1)
        slopes[low] += slope
        slopes[(low + 1) % size] -= slope
    needed = slopes + pulls.sum(axis=1) - pulls.sum(axis=0)
    eta = max(max(needed / policy), Fraction(1, 8)) * Fraction(tape.integer(4, 16), 4)
    problem = Problem(wins, reference, policy - needed / eta, beta, eta)
    scale = Fraction(2) ** -tape.integer(0, 5)
    move = fractions(tape.dyadic(size, -2, 2, 3)) * scale
    move = np.where(slopes > 0, np.abs(move), np.where(slopes < 0, -np.abs(move), move))
    other = policy + (games.strategy(tape, size) - policy) * scale
    return Saddle(problem, policy, np.asarray(other), np.asarray(move), slopes)


def sample_saddle(tape: Tape, size: int) -> Saddle:
    """Draw a saddle point; half of the time the box binds."""
    return _made(tape, to_fractions(_wins(tape, size)), binding=bool(tape.integer(0, 1)))


def _sample_parts(tape: Tape, size: int, *, binding: bool) -> Saddle:
    """Draw comparisons that never cross from the first responses to the others."""
    wins = to_fractions(_wins(tape, size))
    cut = tape.integer(1, size - 1)
    wins[:cut, cut:], wins[cut:, :cut] = Fraction(0), Fraction(0)
    return _made(tape, wins, binding=binding)


def components(wins: FractionArray) -> FractionArray:
    """Return which responses are linked by comparisons, (components, K) of ones and zeros."""
    linked = np.linalg.matrix_power(np.eye(len(wins)) + (wins + wins.T != 0), len(wins)) > 0
    return to_fractions(np.unique(linked, axis=0).astype(float))


def parts_sides(instance: Saddle) -> tuple[Side, Side]:
    """Return the saddle policy's mass on every component of comparisons, and the base policy's."""
    parts = components(instance.problem.wins)
    return parts @ instance.policy, parts @ instance.problem.base


def moved(instance: Saddle) -> bool:
    """Whether the other policy and the other rewards differ by what floats can tell."""
    wins, move = instance.problem.wins, instance.move
    compared = zip(*np.nonzero(wins), strict=True)
    worse = any(abs(move[x] - move[y]) >= Fraction(1, 2**8) for x, y in compared)
    worse = worse or bool(instance.slopes @ move >= Fraction(1, 2**12))
    return worse and bool(max(np.abs(instance.policy - instance.other)) >= Fraction(1, 2**10))


def _saddle(instance: Saddle, problem: Problem) -> tuple[Side, Side]:
    policy, beta = instance.policy, balls.ball(problem.beta)
    ratio = balls.balls(policy / problem.reference)
    rewards = beta * balls.log(ratio)
    value = objective(problem, policy, rewards)
    less = objective(problem, instance.other, rewards)
    more = objective(problem, policy, rewards + balls.balls(instance.move))
    left, right = np.array([less, value], dtype=object), np.array([value, more], dtype=object)
    return balls.to_bounds(left), balls.to_bounds(right)


@precise
def saddle_sides(instance: Saddle) -> tuple[Side, Side]:
    """Return (other policy, saddle) and (saddle, other rewards), values of the objective."""
    return _saddle(instance, instance.problem)


@precise
def _reference_as_base(instance: Saddle) -> tuple[Side, Side]:
    problem = instance.problem
    return _saddle(instance, problem._replace(base=problem.reference))


SADDLE = Theorem(
    id="rpo/saddle-point",
    title="On a box of rewards the minimax reward's policy is the maximin policy",
    source="Liu et al. (2024, RPO), Theorem 5.6, for boxes; von Neumann's exchange",
    statement=(
        r"\phi(\pi, \hat r) \le \phi(\pi_{\hat r}, \hat r) \le \phi(\pi_{\hat r}, r),\qquad \phi("
        r"\pi, r) = \eta\bigl(\mathbb{E}_\pi r - \mathbb{E}_{\pi_0} r - \beta\,\mathrm{KL}(\pi\|"
        r"\pi_{\mathrm{ref}})\bigr) + L(r)"
    ),
    hypotheses=(
        r"$L$ the Bradley-Terry loss of weighted comparisons; $r$ in a box, any $\pi$",
        r"$\hat r$ minimises $\max_\pi \phi(\pi, r)$ over the box; $\pi_{\hat r} \propto "
        r"\pi_{\mathrm{ref}}\,e^{\hat r/\beta}$",
    ),
    kind="inequality",
    sample=sample_saddle,
    sides=saddle_sides,
    admissible=moved,
    control=Control(
        name="the reference for the base",
        explanation="Rewards are compared with the reference's; the minimiser was for the base.",
        sides=_reference_as_base,
    ),
    sizes=(2, 3, 4),
    sharpness=0.999,
    notes=(
        "Both inequalities together say that maximin and minimax agree. Some responses are never "
        "compared; some rewards lie on the border of the box."
    ),
)


PARTS = Theorem(
    id="rpo/parts-keep-the-base-mass",
    title="Pessimism moves no mass between responses that no chain of comparisons links",
    source="Derived here",
    statement=(
        r"\sum_{y\in P}\hat\pi(y) = \sum_{y\in P}\pi_0(y) \quad\text{for every component } P "
        r"\text{ of the graph of comparisons}"
    ),
    hypotheses=(
        r"$\hat\pi$ the maximin policy, $\hat r$ the minimax reward; the box does not bind at "
        r"$\hat r$",
    ),
    kind="identity",
    sample=lambda tape, size: _sample_parts(tape, size, binding=False),
    sides=parts_sides,
    control=Control(
        name="the box binds",
        explanation="Rewards may lie on the border of the box.",
        sample=lambda tape, size: _sample_parts(tape, size, binding=True),
    ),
    sizes=(2, 3, 4),
    notes=(
        r"So a response that was never compared is given as often as the base policy gives it, "
        r"whatever $\eta$ and $\beta$; the base decides where there are no data."
    ),
)


class Class(NamedTuple):
    """A problem of two responses and rewards (m, 2)."""

    problem: Problem
    rewards: FractionArray


def _two(tape: Tape, size: int) -> Class:
    half = games.uniform(2)
    nothing = to_fractions(np.zeros((2, 2)))
    problem = Problem(nothing, half, half, Fraction(1, 2), Fraction(1))
    return Class(problem, to_fractions([[1, 0], [0, 1]]))


def _finite(instance: Class, rewards: FractionArray) -> tuple[Side, Side]:
    problem, given = instance
    mixed = given.sum(axis=0) / len(given)
    # Against a mixture of rewards no policy has more than against its mean, as the loss is none.
    maximin = best_objective(problem, balls.balls(mixed))
    conceded = [best_objective(problem, balls.balls(row)) for row in rewards]
    minimax = -balls.largest(-np.array(conceded, dtype=object))
    return balls.to_bounds(maximin + balls.ball(Fraction(1, 5))), balls.to_bounds(minimax)


@precise
def finite_sides(instance: Class) -> tuple[Side, Side]:
    """Return a bound of the maximin value plus 1/5, and the minimax value."""
    return _finite(instance, instance.rewards)


@precise
def _with_the_mean(instance: Class) -> tuple[Side, Side]:
    mean = instance.rewards.sum(axis=0) / len(instance.rewards)
    return _finite(instance, np.vstack([instance.rewards, mean]))


FINITE = Theorem(
    id="rpo/finite-reward-classes-have-a-gap",
    title="On a finite class of rewards maximin and minimax differ",
    source="Liu et al. (2024, RPO) assume a class like a convex one; the instance is ours",
    statement=(
        r"\max_\pi \min_{r \in R} \phi(\pi, r) + \tfrac15 < \min_{r\in R} \max_\pi \phi(\pi, r),"
        r"\qquad R = \{(1,0),\,(0,1)\}"
    ),
    hypotheses=(
        r"two responses, $\pi_0 = \pi_{\mathrm{ref}}$ uniform, $\beta = 1/2$, $\eta = 1$",
        r"no comparisons: $L = 0$",
    ),
    kind="counterexample",
    sample=_two,
    sides=finite_sides,
    control=Control(
        name="with the mean",
        explanation="The mean of both rewards is let in, which the hull would hold.",
        sides=_with_the_mean,
    ),
    sharpness=0.922,
    notes=(
        r"Maximin is 0, minimax $\tfrac12\log\cosh 1$, about 0.2169: the policy of either reward "
        "gives nearly nine times in ten what the other reward says is bad."
    ),
)


def sample_rewarded(tape: Tape, size: int) -> Rewarded:
    """Draw comparisons, policies, weights and rewards."""
    wins = to_fractions(_wins(tape, size))
    reference, base = games.interior(tape, size), games.strategy(tape, size)
    beta = Fraction(2) ** tape.integer(-3, 1)
    problem = Problem(wins, reference, base, beta, Fraction(tape.integer(1, 16), 8))
    return Rewarded(problem, fractions(tape.dyadic(size, -2, 2, 4)))


def _reparametrised(instance: Rewarded, supervised: Fraction) -> tuple[Side, Side]:
    problem, rewards = instance
    beta = balls.ball(problem.beta)
    reference = balls.log(balls.balls(problem.reference))
    logits = reference + balls.balls(rewards) / beta
    logs = logits - balls.exp(logits).sum().log()
    base = balls.balls(problem.base)
    imitation = -(base * (logs - reference)).sum()
    total = balls.ball(supervised) * imitation + loss(problem.wins, beta * (logs - reference))
    return balls.to_bounds(best_objective(problem, balls.balls(rewards))), balls.to_bounds(total)


@precise
def reparametrised_sides(instance: Rewarded) -> tuple[Side, Side]:
    """Return the largest objective at rewards, and the loss of the policy that is best for them."""
    return _reparametrised(instance, instance.problem.eta * instance.problem.beta)


@precise
def _without_beta(instance: Rewarded) -> tuple[Side, Side]:
    return _reparametrised(instance, instance.problem.eta)


REPARAMETRISED = Theorem(
    id="rpo/supervised-term",
    title="Pessimism about rewards is a supervised term in the policy's loss",
    source="Liu et al. (2024, RPO), the reparametrised objective; with its constant",
    statement=(
        r"\max_\pi \phi(\pi, r) = \eta\beta\,\mathbb{E}_{\pi_0}\Bigl[-\log\frac{\pi_r}{"
        r"\pi_{\mathrm{ref}}}\Bigr] + L\Bigl(\beta\log\frac{\pi_r}{\pi_{\mathrm{ref}}}\Bigr)"
    ),
    hypotheses=(r"$\pi_r \propto \pi_{\mathrm{ref}}\,e^{r/\beta}$; any rewards $r$",),
    kind="identity",
    sample=sample_rewarded,
    sides=reparametrised_sides,
    control=Control(
        name="weight without the temperature",
        explanation=r"The supervised term has the weight $\eta$ in place of $\eta\beta$.",
        sides=_without_beta,
    ),
    notes="The second term is the loss of DPO.",
)


THEOREMS = (SADDLE, PARTS, FINITE, REPARAMETRISED)
