"""The one traversal of the CFR family, a template in which a variant's functions are put.

`iterate` is not called as it stands: `rltheory.games.variant.specialise` compiles it with the
functions of a `Variant` in place of the plain ones here, which are those of CFR itself.
"""

from rltheory.games.kernels import set_values, slot_payoffs
from rltheory.games.variant import add as regret
from rltheory.games.variant import keep as memory
from rltheory.games.variant import no_signal as signal
from rltheory.games.variant import one as weight
from rltheory.games.variant import positive as strategy
from rltheory.games.variant import undiscounted as decay


def iterate(  # type: ignore[no-untyped-def]
    form, alternating, schedule, one_signal, regrets, average, strategies, memories, signals,
    reach, worth, values,
):  # fmt: skip
    """Run one iteration for each row of `schedule`, in place.

    regrets, average, strategies, memories (slots,), signals (infosets,), reach and worth
    (slots + players,), values (infosets,). Alternating: each player answers the others' newest
    strategies; otherwise all move at once. The average takes in the strategy that was played, the
    one before the update.
    """
    players = len(form.slot_start) - 1
    for t in range(len(schedule)):
        c = schedule[t]
        passes = players if alternating else 1
        for turn in range(passes):
            begin = turn if alternating else 0
            end = turn + 1 if alternating else players
            for p in range(begin, end):
                slot_payoffs(form, p, reach, worth)
                set_values(form, p, strategies, worth, values)
            for i in range(form.infoset_start[begin], form.infoset_start[end]):
                first, last = form.first[i], form.first[i + 1]
                value = values[i]
                size = 0.0
                for j in range(first, last):
                    size = max(size, abs(worth[j] - value))
                at = 0 if one_signal else i
                signals[at], s = signal(size, signals[at], c)
                w = weight(c, s)
                d = decay(c)
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
