"""All guarantees in one table, and the table as a page of the documentation has it."""

import guarantee_agnostic
import guarantee_classes
import guarantee_offline
import guarantee_online

from rltheory.tabular.agnostic import clopper_pearson

RUNS = 1000

ROWS = (
    *guarantee_agnostic.ROWS,
    *guarantee_online.ROWS,
    *guarantee_offline.ROWS,
    *guarantee_classes.ROWS,
)

HEAD = (
    "algorithm", "with probability 1 - delta", "numbers of the theory", "instance", "delta",
    "control", "failures of 1,000, and at most", "of the control",
)  # fmt: skip

TOTAL = 0.99
"""Level of the exact intervals: each end is wrong with probability 0.005."""


def count(fails, runs):
    """Return how many runs of the seeds from 0 on fail."""
    return sum(fails(seed) for seed in range(runs))


def limits(failures, runs):
    """Return the ends of the exact interval of a probability."""
    found = clopper_pearson(failures, runs, confidence=TOTAL)
    return float(found.lower), float(found.upper)


def line(row, failures, spoilt):
    """Return the line of a guarantee."""
    upper = limits(failures, RUNS)[1]
    cells = (*row.cells(), f"{failures}, {100 * upper:.2g} %", str(spoilt))
    return "| " + " | ".join(cells) + " |"
