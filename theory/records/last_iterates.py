"""Last iterates that converge: gradient steps with a look ahead, and steps pulled to a magnet.

The former are Fractions throughout, the latter enclosed in balls of 128 bits.
"""

from fractions import Fraction
from itertools import count
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.theory import balls
from rltheory.theory import game_instances as games
from rltheory.theory.balls import precise
from rltheory.theory.exact import fractions
from rltheory.theory.game_instances import ExactProfile
from rltheory.theory.records.learning_dynamics import Duel, divergence
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


def project(point: FractionArray) -> FractionArray:
    """Return the nearest distribution in the Euclidean norm, exactly."""
    ordered = sorted(point, reverse=True)
    level = Fraction(0)
    total = Fraction(0)
    for number, entry in zip(count(1), ordered, strict=False):
        total += entry
        candidate = (total - 1) / number
        if entry > candidate:
            level = candidate
    return games.positive(point - level)


def sample_steps(tape: Tape, size: int) -> Duel:
    """Draw matching pennies near its equilibrium half of the time, else any game and profile."""
    step = Fraction(2) ** tape.integer(-6, 1)
    if tape.integer(0, 1):
        matrix = to_fractions([[1, -1], [-1, 1]])
        half = fractions(np.array([0.5, 0.5]))
        offsets = [Fraction(tape.integer(-8, 8), 32) for _ in range(2)]
        point = tuple(np.array([half[0] + d, half[1] - d]) for d in offsets)
        return Duel(matrix, (half, half), point, step)
    matrix = games.matrix(tape, size, tape.integer(2, 3))
    rest = games.optimal_rows(matrix), games.optimal_columns(matrix)
    return Duel(matrix, rest, tuple(games.strategy(tape, len(s)) for s in rest), step)


def _apart(first: ExactProfile, second: ExactProfile) -> Fraction:
    return Fraction(sum(((a - b) ** 2).sum() for a, b in zip(first, second, strict=True)))


def _move(instance: Duel, seen: ExactProfile) -> ExactProfile:
    """Return the projected gradient step from the profile, payoffs taken at the profile seen."""
    matrix, _, (p, q), step = instance
    return project(p + step * (matrix @ seen[1])), project(q - step * (seen[0] @ matrix))


def _extragradient(instance: Duel, ahead: bool) -> tuple[Side, Side]:
    matrix, rest, point, step = instance
    middle = _move(instance, point)
    last = _move(instance, middle) if ahead else middle
    sizes = np.abs(matrix)
    lipschitz = sizes.sum(axis=0).max() * sizes.sum(axis=1).max()
    gained = (1 - step**2 * lipschitz) * _apart(point, middle)
    return _apart(last, rest), _apart(point, rest) - gained


def extragradient_sides(instance: Duel) -> tuple[Side, Side]:
    """Return the squared distance to an equilibrium after a step, and its bound."""
    return _extragradient(instance, ahead=True)


EXTRAGRADIENT = Theorem(
    id="learning/extragradient-contracts",
    title="A gradient step with a look ahead comes nearer to every equilibrium",
    source="Korpelevich (1976), for bilinear games on simplices",
    statement=(
        r"\|z^+ - z^*\|^2 \le \|z - z^*\|^2 - (1 - \eta^2 L^2)\,\|z - \bar z\|^2,\qquad \bar z = "
        r"\Pi(z + \eta F(z)),\quad z^+ = \Pi(z + \eta F(\bar z))"
    ),
    hypotheses=(
        r"zero-sum game $M$, $z = (x, y)$, $F(z) = (My, -M^\top x)$, $z^*$ any equilibrium",
        r"$L^2 = \|M\|_1\|M\|_\infty$, which is at least the square of the spectral norm",
        r"$\Pi$ projects on the simplices; any step size $\eta$",
    ),
    kind="inequality",
    sample=sample_steps,
    sides=extragradient_sides,
    control=Control(
        name="no look ahead",
        explanation=r"$z^+ = \bar z$: simultaneous gradient steps.",
        sides=lambda instance: _extragradient(instance, ahead=False),
    ),
    sizes=(2, 3),
    notes=(
        r"An equality in matching pennies away from the boundary: there $\|z^+ - z^*\|^2 = (1 - "
        r"\eta^2L^2 + \eta^4L^4)\|z - z^*\|^2$, so that the last iterate converges linearly, where "
        r"plain steps recede by the factor $1 + \eta^2L^2$."
    ),
    sharpness=0.999,
    cost=1.5,
)


class Magnet(NamedTuple):
    """A duel whose rest is the equilibrium regularised with this weight, towards some magnet."""

    duel: Duel
    weight: Fraction


def away(instance: Magnet) -> bool:
    """Whether the profile is not the regularised equilibrium, where both sides are zero."""
    duel = instance.duel
    return any(np.any(s != rest) for s, rest in zip(duel.point, duel.rest, strict=True))


def _sample_magnet(tape: Tape, size: int, longest: int) -> Magnet:
    """Draw matching pennies near rest, or a game with one player far from it or both anywhere."""
    weight = Fraction(2) ** tape.integer(-2, 2)
    rest: ExactProfile
    if tape.integer(0, 1):
        matrix = to_fractions([[1, -1], [-1, 1]])
        half = fractions(np.array([0.5, 0.5]))
        rest = half, half
        offsets = [Fraction(tape.integer(-8, 8), 2**10) for _ in range(2)]
        point = tuple(np.array([half[0] + d, half[1] - d]) for d in offsets)
    else:
        matrix = games.matrix(tape, size, tape.integer(2, 3), low=-1, high=1)
        rest = tuple(games.interior(tape, n) for n in matrix.shape)
        point = tuple(games.interior(tape, n) for n in matrix.shape)
    largest = max(np.abs(matrix).max(), Fraction(1, 4))
    step = longest * weight / largest**2 / 2 ** tape.integer(0, 3)
    return Magnet(Duel(matrix, rest, point, step), weight)


@precise
def magnet_sides(instance: Magnet) -> tuple[Side, Side]:
    """Return the divergence of the regularised equilibrium after a step, and its bound."""
    (matrix, (x, y), (p, q), step), weight = instance
    after, before = [], []
    for rest, point, there, here in (
        (x, p, matrix @ y, matrix @ q),
        (y, q, -(x @ matrix), -(p @ matrix)),
    ):
        # The magnet that keeps the rest in place: proportional to rest exp(-payoffs / weight).
        magnet = balls.log(balls.balls(rest)) - balls.balls(there / weight)
        logits = balls.log(balls.balls(point)) + balls.balls(step * here)
        logits = (logits + balls.ball(step * weight) * magnet) / balls.ball(1 + step * weight)
        after.append(divergence(rest, balls.softmax(logits[None])[0]))
        before.append(divergence(rest, balls.balls(point)))
    bound = sum(before) / balls.ball(1 + step * weight)
    return balls.to_bounds(sum(after)), balls.to_bounds(bound)


MAGNETIC = Theorem(
    id="learning/magnetic-mirror-descent",
    title="Magnetic mirror descent converges linearly to the regularised equilibrium",
    source="Sokota et al. (2023), linear convergence of magnetic mirror descent, entropy case",
    statement=(
        r"\mathrm{KL}(z^*\|z_{t+1}) \le \frac{\mathrm{KL}(z^*\|z_t)}{1 + \eta\alpha},\qquad "
        r"x_{t+1} \propto \bigl(x_t\,e^{\eta M y_t}\,\rho^{\,\eta\alpha}\bigr)^{1/(1+\eta\alpha)}"
    ),
    hypotheses=(
        r"zero-sum game $M$ with $|M_{ab}| \le L$, and $\eta \le \alpha/L^2$; $y$ likewise",
        r"$z^*$ the equilibrium with payoffs less $\alpha\,\mathrm{KL}(\cdot\|\rho)$; with uniform "
        r"magnets $\rho$ the quantal response equilibrium; $z_t \ne z^*$",
    ),
    kind="inequality",
    sample=lambda tape, size: _sample_magnet(tape, size, 1),
    sides=magnet_sides,
    admissible=away,
    control=Control(
        name="twice the step",
        explanation=r"Steps up to $2\alpha/L^2$ are let in.",
        sample=lambda tape, size: _sample_magnet(tape, size, 2),
    ),
    sizes=(2, 3),
    notes=(
        "Rate and longest step are both sharp: near the equilibrium of matching pennies a step of "
        r"$\alpha/L^2$ contracts by just $1/(1+\eta\alpha)$, and any longer one by less."
    ),
    sharpness=0.999,
)


THEOREMS = (EXTRAGRADIENT, MAGNETIC)
