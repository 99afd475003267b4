"""What several tests of CFR start from."""

from dataclasses import replace

import numpy as np
from strategies_games import (
    random_profile,
)

from rltheory.games.forms.extensive import from_tree
from rltheory.games.forms.factored import Unfolded
from rltheory.games.forms.public_tree import build_factored
from rltheory.games.forms.tree import build_tree
from rltheory.games.regret.cfr_run import initial_state


def three_forms(rules):
    return [
        build_factored(rules, blocks=True),
        build_factored(rules, blocks=False),
        from_tree(build_tree(Unfolded(rules))),
    ]


def generic_start(game, iteration=5):
    """A state in which no action ties: regrets that are 0 but for rounding decide what is played.

    So it is in Kuhn's games of three and more, where for some hands two actions pay the same, and
    after iteration 0, where some members forget all regrets.
    """
    regrets = np.random.default_rng(1).uniform(-1.0, 1.0, game.slots)
    profile = random_profile(game, 0)
    return replace(initial_state(game), iteration=iteration, strategies=profile, regrets=regrets)
