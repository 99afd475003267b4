"""What sets one member of the CFR family apart, as a record of small functions, and its compiler.

All members share one traversal (`rltheory.games.regret.cfr_kernel`); a `Variant` says how a regret
is accumulated, what the next strategy is proportional to, and how much the current one counts in
the average. The functions are scalar and are compiled into the traversal, which so runs at full
speed for a variant written in a notebook as for those in `rltheory.games.regret.variants`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
from numba import njit

from rltheory.analysis.arrays import FloatArray

Numbers = tuple[float, ...]


def add(R: float, r: float, c: Numbers, s: Numbers) -> float:
    """Accumulate regret undiscounted."""
    return R + r


def positive(R: float, r: float, m: float, c: Numbers, s: Numbers) -> float:
    """Regret matching."""
    return R if R > 0.0 else 0.0


def one(c: Numbers, s: Numbers) -> float:
    """All iterations count the same."""
    return 1.0


def undiscounted(c: Numbers) -> float:
    """The average forgets nothing."""
    return 1.0


def keep(R: float, r: float, m: float, c: Numbers) -> float:
    """No memory is used."""
    return m


def no_state(size: float, g: float, c: Numbers) -> float:
    """A set has no state."""
    return g


def no_signal(size: float, g: float, c: Numbers) -> tuple[float, float, float, float]:
    """No signal is used."""
    return 0.0, 0.0, 0.0, 0.0


@dataclass(frozen=True)
class Variant:
    """One member of the CFR family.

    schedule(t, n) gives the numbers `c` of iteration t = 1, ..., n: discounts, weights, constants.
    It is ordinary Python, called once an iteration; every parameter of a variant enters here.

    The other functions are compiled (Numba, nopython), with the plain functions that they call; no
    closures: numbers come through `c`. R is the accumulated regret of an action, r its
    instantaneous regret, m the action's memory (0 at first):

    regret(R, r, c, s) is the new R.
    strategy(R, r, m, c, s), of the new R and not negative, is what the next strategy is
    proportional to; where it is zero for all actions they are played equally often.
    weight(c, s): how much the strategy of this iteration counts in the average, times own reach.
    decay(c): what the average so far is multiplied by first.
    memory(R, r, m, c) is the action's new memory.
    track(size, g, c), of size = max |r| over the set's actions, is the set's new state g (0 at
    first). With `shared_state` one state g runs through all sets in the order of a depth-first
    walk. signal(size, g, c), of the new state, are the four numbers s that the functions above get.

    name: what to call it; title: for figures; source: where it is from.

    Raises TypeError for a field of another kind.
    """

    name: str
    schedule: Callable[[int, int], tuple[float, ...]]
    regret: Callable[..., float] = add
    strategy: Callable[..., float] = positive
    weight: Callable[..., float] = one
    decay: Callable[..., float] = undiscounted
    memory: Callable[..., float] = keep
    track: Callable[..., float] = no_state
    signal: Callable[..., tuple[float, float, float, float]] = no_signal
    shared_state: bool = False
    title: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        for field in ("name", "title", "source"):
            given = getattr(self, field)
            if not isinstance(given, str):
                raise TypeError(f"{field} is {given!r}; expected a string")
        for field, given in {"schedule": self.schedule, **self.functions()}.items():
            if not callable(given):
                raise TypeError(f"{field} is {given!r}; expected a function")

    def functions(self) -> dict[str, Callable[..., Any]]:
        """The functions that are compiled, by the name that the traversal calls them."""
        names = ("regret", "strategy", "weight", "decay", "memory", "track", "signal")
        return {name: getattr(self, name) for name in names}

    def width(self) -> int:
        """How many numbers the schedule gives."""
        return len(self._numbers_at(1, 1))

    def numbers(self, iterations: range, n: int) -> FloatArray:
        """The schedule of some iterations of n, shape (iterations, numbers).

        Raises ValueError naming the first iteration for which it is no tuple of as many numbers as
        ever, or has one that is NaN.
        """
        rows = [self.schedule(t, n) for t in iterations]
        width = self.width()
        try:
            array = np.array(rows, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            array = np.empty(0)
        if array.shape == (len(rows), width) and not np.isnan(array).any():
            return array
        for t in iterations:
            count = len(self._numbers_at(t, n))
            if count != width:
                raise ValueError(
                    f"schedule of variant {self.name!r} gives {count} numbers at iteration {t}; "
                    f"expected {width}, as at iteration 1 of 1"
                )
        raise ValueError(f"schedule of variant {self.name!r} gives other numbers when asked again")

    def _numbers_at(self, t: int, n: int) -> FloatArray:
        """The numbers of one iteration; ValueError if they are none."""
        given: object = self.schedule(t, n)
        try:
            row = np.array(given, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            row = np.empty((0, 0))
        if row.ndim != 1 or np.isnan(row).any():
            raise ValueError(
                f"schedule of variant {self.name!r} gives {given!r} at iteration {t} of {n}; "
                "expected a tuple of numbers, none of them NaN"
            )
        return row

    def digest(self) -> str:
        """A digest of the functions' code and all that they call."""
        digest = sha256(repr((self.width(), self.shared_state)).encode())
        for function in self.functions().values():
            _feed(digest, function, set())
        return digest.hexdigest()[:16]


_COMPILED: dict[str, Any] = {}


def specialise(template: Callable[..., Any], variant: Variant) -> Any:
    """Compile `template` with a variant's functions in place of its globals of those names.

    The result is cached on disk under a digest of the functions' code, so it is compiled once and
    again only when one of them changes. (Numba does not cache a function that gets others as
    arguments or in a closure, hence this way.)
    """
    key = f"{template.__qualname__}_{variant.digest()}"
    if key not in _COMPILED:
        done: dict[Any, Any] = {}
        compiled = {name: _compile(f, done) for name, f in variant.functions().items()}
        constants = {
            "tracks": variant.signal is not no_signal,
            "shared": variant.shared_state,
            "remembers": variant.memory is not keep,
            "numbers": variant.width(),
        }
        scope = {**template.__globals__, **compiled, **constants}
        clone = FunctionType(template.__code__, scope, key)
        clone.__qualname__ = key
        clone.__module__ = template.__module__
        _COMPILED[key] = njit(cache=True, nogil=True, error_model="numpy")(clone)
    return _COMPILED[key]


def _compile(function: Any, done: dict[Any, Any]) -> Any:
    """Compile a function, and first the plain ones that it calls."""
    if not isinstance(function, FunctionType):
        return function
    if function not in done:
        scope = dict(function.__globals__)
        clone = FunctionType(function.__code__, scope, function.__name__, function.__defaults__)
        # What is cached names the module to import before use; that of a cell or an `exec` may not
        # be one.
        clone.__module__ = __name__
        # Inlined by force: a loop with a call left in it is not vectorised.
        done[function] = njit(nogil=True, error_model="numpy", forceinline=True)(clone)
        for name in _names(function.__code__):
            if name in scope:
                scope[name] = _compile(scope[name], done)
    return done[function]


def _feed(digest: Any, function: Any, seen: set[int]) -> None:
    """Digest a function's code with all that it names: helpers, constants."""
    function = getattr(function, "py_func", function)
    code = getattr(function, "__code__", None)
    if code is None or id(function) in seen:
        digest.update(repr(function).encode())
        if isinstance(function, np.ndarray):
            digest.update(function.tobytes())
        return
    seen.add(id(function))
    _feed_code(digest, code)
    digest.update(repr(function.__defaults__).encode())
    if function.__closure__:
        raise ValueError(
            f"{function.__qualname__} takes {', '.join(code.co_freevars)} from around it; "
            "expected numbers to come through `schedule` (the argument c)"
        )
    names = _names(code)
    for name in names:
        if name in function.__globals__:
            value = function.__globals__[name]
            digest.update(name.encode())
            _feed(digest, value, seen)
            if isinstance(value, ModuleType):
                for inner in names:
                    _feed(digest, getattr(value, inner, None), seen)


def _feed_code(digest: Any, code: CodeType) -> None:
    digest.update(code.co_code)
    digest.update(repr(code.co_names).encode())
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            _feed_code(digest, constant)
        else:
            digest.update(repr(constant).encode())


def _names(code: CodeType) -> list[str]:
    nested = [c for c in code.co_consts if isinstance(c, CodeType)]
    return sorted({*code.co_names, *(name for c in nested for name in _names(c))})
