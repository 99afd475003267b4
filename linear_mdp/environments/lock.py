"""A combination lock: one sequence of actions opens it, and a small sure reward tempts away.

Rung h of the lock is where the first h actions were right. The right one leads to the next rung,
action 0 walks away with a small reward, and every other one ends the game. Behind the last rung is
the vault, which pays 1. The features of a rung are its action, and which is the right one only the
measures of the step say, so that it must be tried: without reward on the way, by exploration that
goes deep. d = A + 2 whatever the length. Source: after Kakade (2003), section 2.4.2, and Koenig and
Simmons (1993); the linear form and its distractor are worked out here.
"""

import numpy as np

from rltheory.analysis.arrays import as_generator, check_positive_integer, check_range
from rltheory.linear_mdp.mdp import LinearMDP


def linear_lock(
    length: int = 5,
    actions: int = 4,
    *,
    seed: int | np.random.Generator,
    distractor: float = 0.1,
    slip: float = 0.0,
) -> LinearMDP:
    """Return a lock with H = length + 1, S = length + 2, A = actions >= 2 and d = A + 2.

    seed: draws the code, uniformly from the actions but 0. distractor: what walking away pays,
    less than the value of opening the lock. slip: probability that a right action ends the game.

    Opening the lock is worth (1 - slip)^length, from the first rung; uniformly random actions
    reach the vault with probability ((1 - slip) / A)^length. A learner that is greedy on estimates
    which start at 0 or at the known rewards, with ties to the lowest action, walks away in every
    episode: its regret is K ((1 - slip)^length - distractor) after K episodes.

    States: rungs 0 to length - 1, the vault, last what is over, the fail state.
    Raises ValueError naming what does not fit.
    """
    rungs = check_positive_integer(length, "length")
    count = check_positive_integer(actions, "actions")
    if count < 2:
        raise ValueError(f"actions is {actions}; expected at least 2, one of which walks away")
    rng = as_generator(seed)
    fails = check_range(slip, "slip", 0.0, 1.0)
    prize = (1.0 - fails) ** rungs
    tempting = check_range(distractor, "distractor", 0.0, 1.0)
    if not tempting < prize:
        raise ValueError(
            f"distractor is {tempting}; expected less than {prize:g}, what opening the lock is "
            "worth: (1 - slip)^length"
        )
    vault, over = rungs, rungs + 1
    paid, ended = count, count + 1
    features = np.zeros((rungs + 2, count, count + 2))
    features[:rungs, np.arange(count), np.arange(count)] = 1.0
    features[vault, :, paid] = 1.0
    features[over, :, ended] = 1.0
    measures = np.zeros((rungs + 1, count + 2, rungs + 2))
    measures[:, :, over] = 1.0
    step = np.arange(rungs)
    code = rng.integers(1, count, size=rungs)
    measures[step, code, over] = fails
    measures[step, code, step + 1] = 1.0 - fails
    weights = np.zeros((rungs + 1, count + 2))
    weights[:, 0] = tempting
    weights[:, paid] = 1.0
    return LinearMDP(features, measures, weights, np.eye(rungs + 2)[0], fail_state=over)
