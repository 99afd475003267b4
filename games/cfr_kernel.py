"""The one traversal of the CFR family, a template in which a variant's functions are put.

`iterate` is not called as it stands: `rltheory.games.variant.specialise` compiles it with the
functions of a `Variant` in place of the plain ones here, which are those of CFR itself.
"""

from numba.np.unsafe.ndarray import to_fixed_tuple

from rltheory.games.kernels import set_values, slot_payoffs
from rltheory.games.variant import add as regret
from rltheory.games.variant import keep as memory
from rltheory.games.variant import no_signal as signal
from rltheory.games.variant import no_state as track
from rltheory.games.variant import one as weight
from rltheory.games.variant import positive as strategy
from rltheory.games.variant import undiscounted as decay

tracks = False
numbers = 1


def iterate(  # type: ignore[no-untyped-def]
    form, alternating, schedule, state_at, regrets, average, strategies, memories, states,
    set_of, reach, worth, values, sizes, signals,
):  # fmt: skip
    """Run one iteration for each row of `schedule`, in place.

    regrets, average, strategies, memories and set_of (slots,), reach and worth (slots + players,),
    values (infosets,); states (infosets,), set i's at state_at[i]; sizes (2, infosets) and
    signals (infosets, 4). Alternating: each player answers the others' newest strategies;
    otherwise all move at once. The average takes in the strategy that was played, the one before
    the update. Loops are kept apart, so that each is short and straight enough to be vectorised.
    """
    players = len(form.slot_start) - 1
    for t in range(len(schedule)):
        c = to_fixed_tuple(schedule[t], numbers)
        d = decay(c)
        for turn in range(players if alternating else 1):
            begin = turn if alternating else 0
            end = turn + 1 if alternating else players
            for p in range(begin, end):
                slot_payoffs(form, p, reach, worth)
                set_values(form, p, strategies, worth, values)
            sets = range(form.infoset_start[begin], form.infoset_start[end])
            if tracks:
                for i in sets:
                    size = 0.0
                    for j in range(form.first[i], form.first[i + 1]):
                        r = abs(worth[j] - values[i])
                        size = r if r > size else size
                    at = state_at[i]
                    g = track(size, states[at], c)
                    states[at] = g
                    s = signal(size, g, c)
                    signals[i, 0] = s[0]
                    signals[i, 1] = s[1]
                    signals[i, 2] = s[2]
                    signals[i, 3] = s[3]
            for i in sets:
                first, last = form.first[i], form.first[i + 1]
                if tracks:
                    s = (signals[i, 0], signals[i, 1], signals[i, 2], signals[i, 3])
                else:
                    s = (0.0, 0.0, 0.0, 0.0)
                w = weight(c, s)
                value = values[i]
                total = 0.0
                for j in range(first, last):
                    r = worth[j] - value
                    average[j] = d * average[j] + w * reach[j]
                    R = regret(regrets[j], r, c, s)
                    regrets[j] = R
                    share = strategy(R, r, memories[j], c, s)
                    memories[j] = memory(R, r, memories[j], c)
                    strategies[j] = share
                    total += share
                above = reach[form.parent[i]]
                for j in range(first, last):
                    if total > 0.0:
                        strategies[j] = strategies[j] / total
                    else:
                        strategies[j] = 1.0 / (last - first)
                    reach[j] = above * strategies[j]
