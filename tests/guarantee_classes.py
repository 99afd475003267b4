"""Guarantees of the algorithms on finite classes: what stays in the set, what data allow."""

from functools import cache

import numpy as np
from guarantee_row import ROUNDING, Guarantee
from guarantee_worlds import arms, beliefs, coins

from rltheory.linear_mdp.function_classes import (
    excess_losses,
    in_sample_bound,
    run_finite,
    theory_radii,
)

DELTA = 0.2
COINS, GUESSES = coins()
ARMS, BELIEFS = arms(), beliefs()
LENGTHS = (5, 10, 20, 40, 80)
"""Episodes after which the set of a policy is looked at."""


def dropped(name, seed, radius):
    """Whether Q* has left the set at some time."""
    run = run_finite(COINS, GUESSES, name, episodes=100, seed=seed, delta=DELTA, radius=radius)
    return bool(not run.kept.all())


def forsaken(name, seed, radius):
    """Whether Q of the policy, here Q* for all of them, has left the set at one of five times.

    A shorter run is the beginning of a longer one, as the step is given.
    """
    policy = np.full(COINS.rewards.shape, 0.5)
    radii = radius * theory_radii(GUESSES, DELTA, reward_span=float(np.ptp(COINS.rewards)))
    for episodes in LENGTHS:
        run = run_finite(
            COINS, GUESSES, name, episodes=episodes, seed=seed, delta=DELTA, radius=radius, step=1.0
        )
        excess = excess_losses(GUESSES, run.visits, run.paid, policy=policy)
        if (excess[run.truth] > radii + ROUNDING).any():
            return True
    return False


EACH, BRIEF, STEP = 4000, 50, 2.0
"""Offline transitions of each pair, episodes online, and the step of NOAH's actor."""


@cache
def lost_at_most():
    """Return 2 sum_h (h + 1) e_h, e_h what a fitted function is wrong by at pairs with EACH visits.

    Fitted functions have no excess loss: their squared errors on the data are within
    `in_sample_bound` of radius 0.
    """
    bound = in_sample_bound(BELIEFS, np.zeros(2), DELTA, reward_span=float(np.ptp(ARMS.rewards)))
    return float(sum(2 * (h + 1) * np.sqrt(b / EACH) for h, b in enumerate(bound)))


def misled(name, seed, arm=None):
    """Whether policies from data lose more than EACH transitions of every pair allow.

    arm: the only one that there are data of.
    """
    rng = np.random.default_rng(seed + 10**6)
    visits = np.zeros(ARMS.transitions.shape)
    for h, s, a in np.ndindex(ARMS.rewards.shape):
        if arm is None or h or a == arm:
            visits[h, s, a] = rng.multinomial(EACH, ARMS.transitions[h, s, a])
    paid = visits.sum(axis=-1) * ARMS.rewards
    run = run_finite(
        ARMS, BELIEFS, name, episodes=BRIEF, seed=seed, delta=DELTA, step=STEP, visits=visits,
        paid=paid,
    )  # fmt: skip
    if name == "hy-q":
        return bool(run.suboptimality.max() > lost_at_most() + ROUNDING)
    # An actor on a critic that stays loses at most its range and log A (1 + log T) / step.
    actor = (run.switches + 1) * (1 + np.log(2) * (1 + np.log(BRIEF)) / STEP)
    return bool(run.regret[-1] > BRIEF * lost_at_most() + actor + ROUNDING)


def stays(name, event, fails, radius, episodes):
    return Guarantee(
        package="linear_mdp.function_classes",
        algorithm=name,
        event=event,
        numbers="`theory_radii`",
        instance=f"coins, 6 members, T = {episodes}",
        delta=DELTA,
        fails=lambda seed: fails(name, seed, 1.0),
        control=f"{radius:g} times the radii",
        spoilt=lambda seed: fails(name, seed, radius),
        quick=20 if radius == 0.1 else 12,
    )


def from_data(name, event):
    return Guarantee(
        package="linear_mdp.function_classes",
        algorithm=name,
        event=event,
        numbers="e_h from `in_sample_bound` at radius 0",
        instance=f"arms, 4 members, {EACH} transitions of each pair",
        delta=DELTA,
        fails=lambda seed: misled(name, seed),
        control="no data of the better arm",
        spoilt=lambda seed: misled(name, seed, 0),
    )


_ALWAYS = "Q* in the set at all times"
_POLICY = "Q of the policy in the set at five times"

ROWS = (
    stays("golf", _ALWAYS, dropped, 0.1, 100),
    stays("nora", _ALWAYS, dropped, 0.1, 100),
    stays("nora-no-reset", _ALWAYS, dropped, 0.1, 100),
    stays("douhua", _POLICY, forsaken, 0.02, 80),
    stays("noah-policy", _POLICY, forsaken, 0.02, 80),
    from_data("hy-q", "every policy within 2 sum_h (h + 1) e_h"),
    from_data("noah", "regret within T 2 sum_h (h + 1) e_h and tracking"),
)
