"""Hypervolume of sets of points: two ways to count it, and what one point adds."""

from fractions import Fraction
from itertools import combinations
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.tabular.pareto import hypervolume
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Cloud(NamedTuple):
    """Points (n, K) and a reference (K,), of Fractions."""

    points: FractionArray
    reference: FractionArray


def sample_cloud(tape: Tape, size: int) -> Cloud:
    """Draw up to six points in two to four coordinates, some equal in some, and a reference."""
    coordinates = tape.integer(2, 4)
    points = fractions(tape.dyadic((size + 1, coordinates), 0.0, 1.0, bits=tape.choice((2, 8))))
    return Cloud(points, fractions(tape.dyadic(coordinates, -0.5, 0.25)))


def _unions(cloud: Cloud, deepest: int) -> Fraction:
    """Return the volume of a union of boxes by inclusion and exclusion up to a depth."""
    points, base = cloud
    total = Fraction(0)
    for depth in range(1, min(len(points), deepest) + 1):
        for chosen in combinations(range(len(points)), depth):
            sides = np.maximum(points[list(chosen)].min(axis=0) - base, fractions(np.zeros(1)))
            total += Fraction((-1) ** (depth + 1)) * Fraction(np.prod(sides))
    return total


def volume_sides(cloud: Cloud) -> tuple[Side, Side]:
    """Return the hypervolume by slices and by inclusion and exclusion."""
    return Fraction(hypervolume(*cloud)), _unions(cloud, len(cloud.points))


VOLUME = Theorem(
    id="multi-objective/hypervolume-by-exclusion",
    title="Hypervolume by slices is that of inclusion and exclusion",
    source="Zitzler and Thiele (1999); Fonseca, Paquete and Lopez-Ibanez (2006) for slices",
    statement=(
        r"\mathrm{HV}(P) = \mathrm{vol}\bigcup_{p\in P}[r, p] = \sum_{\emptyset \ne Q \subseteq P}"
        r"(-1)^{|Q|+1}\prod_k \bigl(\min_{q\in Q} q_k - r_k\bigr)_+"
    ),
    hypotheses=("two to four coordinates, ties and points below the reference included",),
    kind="identity",
    sample=sample_cloud,
    sides=volume_sides,
    control=Control(
        name="pairs only",
        explanation="Exclusion ends with pairs, which counts triple overlaps once too little.",
        sides=lambda cloud: (Fraction(hypervolume(*cloud)), _unions(cloud, 2)),
    ),
    sizes=(2, 3, 5),
)


class Newcomer(NamedTuple):
    """A cloud and a point above its reference."""

    cloud: Cloud
    point: FractionArray


def sample_newcomer(tape: Tape, size: int) -> Newcomer:
    """Draw a cloud and a point, above the reference by at least 1/256."""
    cloud = sample_cloud(tape, size)
    above = fractions(tape.dyadic(len(cloud.reference), 2.0**-8, 1.0, bits=8))
    return Newcomer(cloud, cloud.reference + above)


def contribution_sides(newcomer: Newcomer) -> tuple[Side, Side]:
    """Return the box down to the next lower coordinates, and what the point adds."""
    (points, base), point = newcomer
    box = Fraction(1)
    for k, x in enumerate(point):
        below = [p[k] for p in points if p[k] < x]
        box *= x - max([base[k], *below])
    grown = np.vstack([points, point])
    return box, Fraction(hypervolume(grown, base) - hypervolume(points, base))


def not_covered(newcomer: Newcomer) -> bool:
    """Whether no point of the cloud is at least as good in all coordinates."""
    points, _ = newcomer.cloud
    return not (points >= newcomer.point).all(axis=1).any()


CONTRIBUTION = Theorem(
    id="multi-objective/hypervolume-contribution",
    title="Every point that is not dominated adds at least its own box, supported or not",
    source="Derived here; the strict monotonicity of Zitzler et al. (2003) with a constant",
    statement=(
        r"\mathrm{HV}(P \cup \{p\}) - \mathrm{HV}(P) \ge \prod_k\Bigl(p_k - \max\bigl(\{r_k\} \cup "
        r"\{q_k : q \in P,\ q_k < p_k\}\bigr)\Bigr) > 0"
    ),
    hypotheses=(r"$p > r$ in all coordinates; no $q \in P$ with $q \ge p$",),
    kind="inequality",
    sample=sample_newcomer,
    sides=contribution_sides,
    admissible=not_covered,
    control=Control(
        name="dominated points too",
        explanation="The point may be dominated, and then adds nothing.",
        sample=sample_newcomer,
    ),
    notes=(
        "So sets of largest hypervolume hold points that no weighted sum selects. Met wherever "
        "there are two objectives and a front without ties."
    ),
    sizes=(1, 2, 4),
    sharpness=0.999,
)


THEOREMS = (VOLUME, CONTRIBUTION)
