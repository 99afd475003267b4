"""What Q-learning's rates make of noise: the constant of its bonus, exactly.

A guarantee at stated numbers rests on constants; here is one that the literature leaves open.
"""

from fractions import Fraction
from typing import NamedTuple

from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Visited(NamedTuple):
    """A horizon H and the number t of visits of a pair."""

    horizon: int
    visits: int


def sample_visited(tape: Tape, size: int) -> Visited:
    """Draw a short horizon and few visits or many."""
    most = tape.choice((3, 30, 200))
    return Visited(tape.integer(1, size), tape.integer(1, most))


def squared_weights(visited: Visited) -> Fraction:
    """Return the sum of the squares of the weights that the visits have in Q after the last one."""
    horizon, total = visited.horizon, Fraction(0)
    for n in range(1, visited.visits + 1):
        rate = Fraction(horizon + 1, horizon + n)
        total = (1 - rate) ** 2 * total + rate**2
    return total


def weights_sides(visited: Visited) -> tuple[Side, Side]:
    """Return t times the squares, and the limit that they grow to."""
    horizon = visited.horizon
    return visited.visits * squared_weights(visited), Fraction((horizon + 1) ** 2, 2 * horizon + 1)


WEIGHTS = Theorem(
    id="actor-critic/q-learning-weights",
    title="Squares of Q-learning's weights add to at most (H + 1)^2 / ((2H + 1) t)",
    source=(
        "Jin, Allen-Zhu, Bubeck and Jordan (2018), Lemma 4.1, with 2H / t; the sharp constant is "
        "derived here"
    ),
    statement=(
        r"\sum_{i \le t} (\alpha_t^i)^2 \le \frac{(H+1)^2}{(2H+1)\,t} \le \frac{2H}{t},\qquad "
        r"\alpha_t^i = \alpha_i \prod_{j=i+1}^{t} (1 - \alpha_j),\quad \alpha_j = \frac{H+1}{H+j}"
    ),
    hypotheses=(r"any $H \ge 1$ and $t \ge 1$",),
    kind="inequality",
    sample=sample_visited,
    sides=weights_sides,
    control=Control(
        name="2H + 2",
        explanation="The denominator is 2H + 2, which leaves (H + 1) / 2.",
        sides=lambda visited: (weights_sides(visited)[0], Fraction(visited.horizon + 1, 2)),
    ),
    sizes=(1, 2, 4),
    notes=(
        r"By induction: $(1-\alpha_t)^2 K/(t-1) + \alpha_t^2 \le K/t$ is "
        r"$t(H+1)^2 \le K(H^2 + t(2H+1))$. With Hoeffding's inequality for values in $[0, C]$ the "
        r"bonus $c\,C\sqrt{HL/n}$ is optimistic for $c = (H+1)/\sqrt{2H(2H+1)}$, which is 0.82 at "
        r"$H = 1$ and falls to 1/2; with $2H/t$ it is 1."
    ),
    sharpness=0.99,
)


THEOREMS = (WEIGHTS,)
