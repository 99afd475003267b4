"""Small instances shared by the tests of finite classes."""

from hypothesis import strategies as st

from rltheory.linear_mdp.function_classes.finite import complete_class, dyadic_mdp


@st.composite
def instances(draw, largest=3):
    """An MDP of few bits and a class that is complete for it."""
    horizon, states, actions = (draw(st.integers(1, largest)) for _ in range(3))
    seed = draw(st.integers(0, 2**32 - 1))
    mdp = dyadic_mdp(horizon=horizon, states=states, actions=actions, seed=seed)
    return mdp, complete_class(mdp, draw(st.integers(1, 7)), seed=seed + 1)
