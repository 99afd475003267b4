"""Tiny theorems, one for every verdict that the engine can reach."""

from fractions import Fraction

import numpy as np

from rltheory.analysis.bounds import Bounds
from rltheory.theory.sides import enclose
from rltheory.theory.theorem import Control, Theorem


def number(tape, size):
    """A multiple of 1/1024 in [0, 1]."""
    return Fraction(float(tape.dyadic()))


def vector(tape, size):
    return [Fraction(float(x)) for x in tape.dyadic(size)]


def fixed(tape, size):
    return Fraction(3)


def theorem(id, sides, false, *, kind="inequality", sample=number, **fields):
    control = fields.pop(
        "control", Control(name="false twin", explanation="Made false.", sides=false)
    )
    return Theorem(
        id=id,
        title=f"Example {id}",
        source="Nobody (1900), Theorem 1",
        statement=r"x \le y",
        hypotheses=("$x$ is a number",),
        kind=kind,
        sample=sample,
        sides=sides,
        control=control,
        **fields,
    )


def square(x):
    return x * x, x


def square_reversed(x):
    return x, x * x


def doubled(x):
    return 2 * x, x + x


def doubled_wrongly(x):
    return 2 * x, x + x + Fraction(1, 1024)


def certified(x):
    return enclose(float(x) ** 2, 1e-15), enclose(float(x) + 1, 1e-15)


def certified_wrongly(x):
    return enclose(float(x) + 1, 1e-15), enclose(float(x) ** 2, 1e-15)


def overlapping(x):
    """Undecided below 1/2, where the enclosures are wide."""
    return Bounds(x - (x < 0.5), x + (x < 0.5)), Bounds(np.asarray(x + 0.25), np.asarray(x + 0.25))


def in_floats(x):
    return float(x) / 3, float(x) / 2 + 1


def in_floats_wrongly(x):
    return float(x) / 2 + 1, float(x) / 3


def four_ulps(x):
    return 1e-15


def slope(x):
    """A fitted slope with its confidence limits, against the claimed one half."""
    centre = 0.45 + float(x) / 100
    return Bounds(np.asarray(centre - 0.01), np.asarray(centre + 0.01)), 0.5


def slope_claimed_too_low(x):
    return slope(x)[0], Fraction(1, 4)


def claimed(x):
    limits, claim = slope(x)
    return limits, Fraction(claim)


def gap(x):
    """A gap only above one half."""
    return min(x, Fraction(1, 2)), x


def no_gap(x):
    return x + 1, x


def touching(x):
    """Equal sides, known to within 2e-6: never certified to differ."""
    return enclose(float(x), 1e-6), enclose(float(x), 1e-6)


def touching_loosely(x):
    return enclose(float(x), 2.0), enclose(float(x), 2.0)


def separated(x):
    return enclose(0.0, 1e-6), enclose(1.0 + float(x), 1e-6)


EXACT = theorem("example/exact", square, square_reversed, sharpness=0.75)
IDENTITY = theorem("example/identity", doubled, doubled_wrongly, kind="identity")
CERTIFIED = theorem("example/certified", certified, certified_wrongly, sharpness=0.25)
PARTLY = theorem("example/partly", overlapping, square_reversed)
FLOATS = theorem("example/floats", in_floats, in_floats_wrongly, rounding=four_ulps)
RATE = theorem("example/rate", claimed, slope_claimed_too_low, kind="rate")
SEPARATION = theorem("example/separation", gap, no_gap, kind="separation", sharpness=0.25)
CERTIFIED_SEPARATION = theorem(
    "example/certified-separation", separated, touching, kind="separation"
)
FIXED = theorem("example/fixed", gap, no_gap, kind="counterexample", sample=fixed, sharpness=0.1)
FALSE = theorem("example/false", square_reversed, square_reversed)
SURVIVING = theorem("example/surviving", square, square)
