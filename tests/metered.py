"""A source of random numbers that counts them, to hold against the counters of an access."""

import numpy as np


class Meter(np.random.Generator):
    """A generator that counts the numbers it gives, and gives them in one way only."""

    def __init__(self, seed):
        super().__init__(np.random.PCG64(seed))
        self.given = 0

    def random(self, size=None, *arguments, **options):
        drawn = super().random(size, *arguments, **options)
        self.given += np.size(drawn)
        return drawn

    def __getattribute__(self, name):
        if name in ("integers", "choice", "multinomial", "permutation", "bytes", "uniform"):
            raise AssertionError(f"{name} is drawn past the meter")
        return super().__getattribute__(name)
