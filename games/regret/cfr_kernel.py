"""The one traversal of the CFR family, a template in which a variant's functions are put.

`iterate` is not called as it stands: `rltheory.games.regret.variant.specialise` compiles it with
the functions of a `Variant` in place of the plain ones here, which are those of CFR itself.
"""

import numpy as np
from numba.np.unsafe.ndarray import to_fixed_tuple

from rltheory.games.kernels import set_values, slot_payoffs
from rltheory.games.regret.variant import add as regret
from rltheory.games.regret.variant import keep as memory
from rltheory.games.regret.variant import no_signal as signal
from rltheory.games.regret.variant import no_state as track
from rltheory.games.regret.variant import one as weight
from rltheory.games.regret.variant import positive as strategy
from rltheory.games.regret.variant import undiscounted as decay

tracks = False
remembers = False
shared = False
numbers = 1

CHUNK = 64
"""How many sets are taken at a time: their signals are computed in one vectorised loop."""


def iterate(  # type: ignore[no-untyped-def]
    form, alternating, schedule, regrets, average, strategies, memories, states, reach, worth,
    values,
):  # fmt: skip
    """Run one iteration for each row of `schedule`, in place.

    regrets, average, strategies and memories (slots,), reach and worth (slots + players,), values
    (infosets,); states (infosets,), a shared one first. Alternating: each player answers the
    others' newest strategies; otherwise all move at once. The average takes in the strategy that
    was played, the one before the update.

    Returns the number of rows and -1; or, as soon as `strategy` gives a negative number or NaN, the
    row and the set, whose strategy then is what it gave.
    """
    players = len(form.slot_start) - 1
    # Six rows of a chunk's numbers: size, state and the four signals. One array with constant
    # distances between rows is known not to overlap, without which loops are not vectorised.
    work = np.zeros(6 * CHUNK)
    g = states[0] if len(states) else 0.0
    for t in range(len(schedule)):
        c = to_fixed_tuple(schedule[t], numbers)
        d = decay(c)
        for turn in range(players if alternating else 1):
            begin = turn if alternating else 0
            end = turn + 1 if alternating else players
            for p in range(begin, end):
                slot_payoffs(form, p, reach, worth)
                set_values(form, p, strategies, worth, values)
            last_set = form.infoset_start[end]
            for chunk in range(form.infoset_start[begin], last_set, CHUNK):
                count = min(CHUNK, last_set - chunk)
                if tracks:
                    for k in range(count):
                        i = chunk + k
                        size = 0.0
                        for j in range(form.first[i], form.first[i + 1]):
                            r = abs(worth[j] - values[i])
                            size = r if r > size else size
                        if not shared:
                            g = states[i]
                        g = track(size, g, c)
                        if not shared:
                            states[i] = g
                        work[k] = size
                        work[k + CHUNK] = g
                    for k in range(CHUNK):
                        s = signal(work[k], work[k + CHUNK], c)
                        work[k + 2 * CHUNK] = s[0]
                        work[k + 3 * CHUNK] = s[1]
                        work[k + 4 * CHUNK] = s[2]
                        work[k + 5 * CHUNK] = s[3]
                for k in range(count):
                    i = chunk + k
                    s = (
                        work[k + 2 * CHUNK],
                        work[k + 3 * CHUNK],
                        work[k + 4 * CHUNK],
                        work[k + 5 * CHUNK],
                    )
                    first, last = form.first[i], form.first[i + 1]
                    w = weight(c, s)
                    value = values[i]
                    total = 0.0
                    for j in range(first, last):
                        r = worth[j] - value
                        average[j] = d * average[j] + w * reach[j]
                        R = regret(regrets[j], r, c, s)
                        regrets[j] = R
                        share = strategy(R, r, memories[j], c, s)
                        if remembers:
                            memories[j] = memory(R, r, memories[j], c)
                        strategies[j] = share
                        total += share if share >= 0.0 else np.nan
                    above = reach[form.parent[i]]
                    for j in range(first, last):
                        if total > 0.0:
                            strategies[j] = strategies[j] / total
                        elif total == 0.0:
                            strategies[j] = 1.0 / (last - first)
                        else:
                            return t, i
                        reach[j] = above * strategies[j]
    if shared and len(states):
        states[0] = g
    return len(schedule), -1
