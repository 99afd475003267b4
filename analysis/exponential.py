"""exp(x) in straight-line arithmetic, which the compiler turns into vector instructions.

exp(x) = 2^k (1 + r P(r)), |r| <= log(2) / 2, by the Taylor polynomial of degree 13 (remainder under
2^-56); the library's exp is called number by number. Having r P(r) apart gives exp(x) - 1 without
cancellation. Source: Tang (1989) for the reduction in two parts of log(2).
"""

import numpy as np
from numba import njit

_LOG2_E = 1.4426950408889634
# log(2) in two parts: the first has 21 trailing zero bits, so that k times it is exact.
_LOG2_HIGH = 6.93147180369123816490e-01
_LOG2_LOW = 1.90821492927058770002e-10
# Adding it rounds to an integer, which stands in the last bits of the sum.
_TO_INTEGER = 6755399441055744.0
_ONE_BITS = np.uint64(0x3FF0000000000000)
_MANTISSA = np.uint64(52)
_LIMIT = 708.0


@njit(cache=True, nogil=True, forceinline=True, fastmath={"contract"})
def exp_minus(x, base):  # type: ignore[no-untyped-def]
    """Return exp(x) - base, base 0 or 1; the relative error is at most 4 units for |x| <= 708.

    Beyond, it stays at exp(708) and exp(-708): finite, so that states without mass add nothing.
    """
    x = x if x > -_LIMIT else -_LIMIT
    x = x if x < _LIMIT else _LIMIT
    shifted = x * _LOG2_E + _TO_INTEGER
    k = shifted - _TO_INTEGER
    r = (x - k * _LOG2_HIGH) - k * _LOG2_LOW
    bits = (np.float64(shifted).view(np.uint64) << _MANTISSA) + _ONE_BITS
    power = np.uint64(bits).view(np.float64)
    tail = 1.0 / 6227020800.0
    tail = tail * r + 1.0 / 479001600.0
    tail = tail * r + 1.0 / 39916800.0
    tail = tail * r + 1.0 / 3628800.0
    tail = tail * r + 1.0 / 362880.0
    tail = tail * r + 1.0 / 40320.0
    tail = tail * r + 1.0 / 5040.0
    tail = tail * r + 1.0 / 720.0
    tail = tail * r + 1.0 / 120.0
    tail = tail * r + 1.0 / 24.0
    tail = tail * r + 1.0 / 6.0
    tail = tail * r + 0.5
    tail = tail * r + 1.0
    return power * (tail * r) + (power - base)
