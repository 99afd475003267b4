"""After which iterations of a long run to measure."""

from collections.abc import Iterable, Sequence

import numpy as np

from rltheory.analysis.arrays import check_positive_integer

MOST_CHECKPOINTS = 1_000_000
"""What is measured is kept in memory, and in a run's file."""


def checkpoint_iterations(
    checkpoints: int | Sequence[int], iterations: int, name: str = "iterations"
) -> list[int]:
    """Return the iterations to measure after: as given, or spaced evenly on a logarithmic axis.

    name: what iterations are called in errors. Raises ValueError if one is outside 1, ...,
    iterations, iterations above 2^53, or there are more than a million.
    """
    iterations = check_positive_integer(iterations, name)
    if iterations > 2**53:
        raise ValueError(f"{name} is {iterations}; expected at most 2**53")
    if not isinstance(checkpoints, Iterable):
        count = check_positive_integer(checkpoints, "checkpoints")
        if min(count, iterations) > MOST_CHECKPOINTS:
            raise ValueError(
                f"checkpoints is {count} in {iterations} {name}; expected at most "
                f"{MOST_CHECKPOINTS}"
            )
        if count > 2 * iterations * (np.log(iterations) + 1) + 1:
            # The points are less than 1 apart, so every iteration is near one of them.
            return list(range(1, iterations + 1))
        spaced = np.geomspace(1, iterations, count) if count > 1 else [iterations]
        return sorted({round(float(mark)) for mark in spaced} | {iterations})
    marks = sorted({check_positive_integer(mark, "checkpoints") for mark in checkpoints})
    if marks and marks[-1] > iterations:
        raise ValueError(f"checkpoints has {marks[-1]}; expected at most {name} ({iterations})")
    return sorted({*marks, iterations})
