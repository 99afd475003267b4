"""What the compiled loop runs on: an algorithm as numbers, and what a learner remembers.

What sets an algorithm apart is a `Rule`, numbers alone; a `Memory` is written in place.
"""

from typing import Any, NamedTuple

NO_BONUS, HOEFFDING, BERNSTEIN, FREEDMAN = range(4)
"""Bonuses of n visits, for next values in [0, C], L the logarithm of the confidence: none;
C sqrt(L / n); sqrt(2 L V / n) + 7 C L / (3 n), V the empirical variance; UCBVI-BF's. Learning by
steps has forms of its own."""

PERIOD, COUNTS, DETERMINANT, RESIDUAL, NEVER = range(5)
"""When the critic is refreshed: every so many episodes; when a pair's visits have grown by a
factor; when the logarithm of a step's determinant has grown by the threshold; when the critic's
squared residuals over the data exceed the threshold times the radius; by every step played."""

GREATEST, POLICY = range(2)
"""What the critic aims at: the optimal values, or those of the present policy."""

GREEDY, WEIGHTS = range(2)
"""The actor: the first best action of the critic, or exponential weights."""

EPISODES, SWITCHES, FIRED, VALUE, STALE, SINCE = range(6)
"""What the clock counts: episodes played; refreshes; whether the test has fired; the value of the
policy last evaluated; whether the policy has changed since; episodes since the refresh."""


class Rule(NamedTuple):
    """What sets one algorithm apart; see `rltheory.linear_mdp.actor_critic.settings`."""

    target: Any
    bonus: Any
    scale: Any
    minor: Any
    logarithm: Any
    ridge: Any
    monotone: Any
    switch: Any
    threshold: Any
    forget: Any
    actor: Any
    step: Any
    reset: Any
    rounds: Any


class Memory(NamedTuple):
    """What a learner has seen and thinks.

    counts (n,): along the world's rows; visits, marks (H, S, A): pairs' visits, now and at the
    refresh; sums (H, S, A): of next values over the visits; residuals (H, S, A): squared, weighted
    by visits; spent (H,): their sums, or growths of the logarithms of determinants; known (H,):
    pairs visited; squares, widths (H, S, A): sums of squared next values, and the last confidence
    widths, of learning by steps; action_values, logits, policy (H, S, A); values (H + 1, S): of the
    critic; clock (6,).
    """

    counts: Any
    visits: Any
    marks: Any
    sums: Any
    residuals: Any
    spent: Any
    known: Any
    squares: Any
    widths: Any
    action_values: Any
    logits: Any
    policy: Any
    values: Any
    clock: Any
