"""What the figure on offline data shows, on small instances."""

import numpy as np
import pytest

from rltheory.analysis.plotting import column
from rltheory.linear_mdp.actor_critic.offline_data import occupancy
from rltheory.linear_mdp.environments.actor_critic_worlds import two_thread_lock
from rltheory.paper_figures import hybrid_gain as figure
from rltheory.tabular.finite_horizon import backward_induction

SMALL = {
    "hybrid_gain": {
        "length": 4,
        "offline": 300,
        "online": 1500,
        "shares": [0.01, 1.0],
        "seeds": 3,
        "rounds": 30,
    }
}


def test_coverage_saves_episodes_and_regret(rows_of):
    rows, said = rows_of("hybrid_gain")
    for name in ("NORA", "UCBVI"):
        alone, most = (
            np.median(column(rows, "regret", algorithm=name, share=share)) for share in (0.0, 1.0)
        )
        assert most < alone
    for name in ("NOAH", "Hy-Q"):
        assert not column(rows, "reached", algorithm=name, share=0.0).any()
        assert column(rows, "reached", algorithm=name, share=1.0).all()
        assert f"{name} does not get there in most runs without data" in said
    # No algorithm loses more than all there is.
    assert (column(rows, "lost") <= 1.0).all()
    assert (column(rows, "lost") >= -1e-12).all()


def test_coverage_is_that_of_the_mixture():
    mdp = two_thread_lock(4, figure.ACTIONS, seed=0, slip=figure.SLIP)
    data = figure.offline_data(mdp, 0.2, 5, 0)
    best = backward_induction(mdp).policy
    # Among the pairs of the optimal policy the rarest are at the end: noise must spare all steps.
    kept = 1.0 - figure.NOISE + figure.NOISE / figure.ACTIONS
    aim = occupancy(mdp, best)
    assert data.coverage(mdp) == pytest.approx(1.0 / (0.2 * kept**4), rel=1e-12)
    assert (data.distribution[aim > 0] >= 0.2 * kept**4 * aim[aim > 0] * (1 - 1e-12)).all()


def test_the_sentences_follow_the_data(rows_of):
    rows, _ = rows_of("hybrid_gain")
    changed = [dict(row, needed=7.0, reached=True, lost=0.25) for row in rows]
    said = figure.findings(changed)
    assert said.count("needs 7 without data") == len(figure.ONLINE)
    assert said.count("falls all the way") == len(figure.ONLINE)
    assert said.count("0.25 and 0.25") == len(figure.OFFLINE)
