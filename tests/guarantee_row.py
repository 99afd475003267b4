"""What a guarantee is as data: an algorithm, what it promises, and runs that could break it."""

from collections.abc import Callable
from dataclasses import dataclass

ROUNDING = 1e-9
"""Values are sums of a few dozen floats: what exceeds a bound by less is rounding."""


@dataclass(frozen=True, kw_only=True)
class Guarantee:
    """An event of probability 1 - delta, with the seeded run that tells whether it failed.

    algorithm: public name; package: of it, below `rltheory`. event, numbers, instance, control: for
    the table, in words. fails(seed), spoilt(seed): whether the event fails in a run with theory's
    numbers, and in the control. quick: runs by default; the thousand are in the slow suite.
    """

    package: str
    algorithm: str
    event: str
    numbers: str
    instance: str
    delta: float
    fails: Callable[[int], bool]
    control: str
    spoilt: Callable[[int], bool]
    quick: int = 6

    @property
    def name(self) -> str:
        """What no two rows share."""
        return f"{self.package}.{self.algorithm}: {self.event}"

    def cells(self) -> tuple[str, ...]:
        """The cells of the table but for what was counted."""
        return (
            f"`{self.algorithm}`",
            self.event,
            self.numbers,
            self.instance,
            f"{self.delta:g}",
            self.control,
        )
