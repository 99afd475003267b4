"""Least-squares value iteration as one writes it down: what the compiled learners are held against.

After every episode each step's design is inverted, the values of all next states visited so far are
worked out one by one, and the dual of every factor goes to an optimiser that knows nothing of it.
That is how the public code of DR-LSVI-UCB does it; here the products that an optimiser's steps
share, and the inverse that the actions of a state share, are formed once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import minimize, minimize_scalar

from rltheory.analysis.arrays import FloatArray
from rltheory.linear_mdp.mdp import LinearMDP

Objective = Callable[[float], float]
Maximise = Callable[[Objective, FloatArray, float], float]
"""An objective, the values at which it may have corners, and the end of its range: the maximum."""


def at_corners(objective: Objective, values: FloatArray, end: float) -> float:
    """Maximise a piecewise linear function by trying all of its corners."""
    return max(objective(alpha) for alpha in (0.0, *values))


def nelder_mead(objective: Objective, values: FloatArray, end: float) -> float:
    """Maximise by SciPy's simplex search from the middle of the range."""
    found = minimize(
        lambda alpha: -objective(alpha[0]), end / 2, method="Nelder-Mead", bounds=[(0.0, end)]
    )
    return -float(found.fun)


def bounded(objective: Objective, values: FloatArray, end: float) -> float:
    """Maximise by SciPy's bounded search of a line, Brent's."""
    found = minimize_scalar(lambda alpha: -objective(alpha), bounds=(0.0, end), method="bounded")
    return -float(found.fun)


@dataclass
class PlainLSVI:
    """LSVI-UCB without radii, DR-LSVI-UCB with them (H, d), DR-RPO with a temperature as well.

    The model needs a fail state. The bonus is elliptical without radii, else diagonal; the
    reference policy is uniform.
    """

    model: LinearMDP
    maximise: Maximise
    radii: FloatArray | None = None
    temperature: float = 0.0
    bonus: float = 1.0
    ridge: float = 0.1
    visits: list[list[tuple[int, int, float, int]]] = field(default_factory=list)
    inverses: list[FloatArray] = field(default_factory=list)
    weights: list[FloatArray] = field(default_factory=list)

    def run(self, episodes: int, seed: int) -> None:
        """Play episodes, each by the estimate of those before it."""
        rng = np.random.default_rng(seed)
        kernels = self.model.to_tabular().transitions
        self.estimate()
        for _ in range(episodes):
            episode, s = [], int(rng.choice(self.model.states, p=self.model.initial))
            for h in range(self.model.horizon):
                a = int(rng.choice(self.model.actions, p=self.policy(self.action_values(h, s))))
                following = int(rng.choice(self.model.states, p=kernels[h, s, a]))
                episode.append((s, a, float(self.model.rewards[h, s, a]), following))
                s = following
            self.visits.append(episode)
            self.estimate()

    def estimate(self) -> None:
        """Recompute everything from all episodes so far."""
        horizon, d = self.model.horizon, self.model.dimension
        self.inverses = [np.empty((0, 0))] * horizon
        self.weights = [np.zeros(d)] * horizon
        for h in reversed(range(horizon)):
            steps = [episode[h] for episode in self.visits]
            x = np.array([self.model.features[s, a] for s, a, _, _ in steps]).reshape(-1, d)
            self.inverses[h] = np.linalg.inv(self.ridge * np.eye(d) + x.T @ x)
            after = [self.value(h + 1, following) for _, _, _, following in steps]
            shares = self.inverses[h] @ x.T
            if self.radii is None:
                targets = [reward + v for (_, _, reward, _), v in zip(steps, after, strict=True)]
                self.weights[h] = shares @ np.array(targets)
            else:
                worst = [self._factor(row, np.array(after), r)
                         for row, r in zip(shares, self.radii[h], strict=True)]  # fmt: skip
                self.weights[h] = self.model.reward_weights[h] + np.array(worst)

    def _factor(self, shares: FloatArray, values: FloatArray, radius: float) -> float:
        def dual(alpha: float) -> float:
            return float(shares @ np.minimum(values, alpha) - radius * alpha)

        return self.maximise(dual, values, float(self.model.horizon))

    def action_values(self, h: int, s: int) -> FloatArray:
        """Return the optimistic values of the actions, (A,)."""
        x, inverse = self.model.features[s], self.inverses[h]
        if s == self.model.fail_state:
            return np.zeros(len(x))
        spread = inverse if self.radii is None else np.diag(np.diagonal(inverse))
        widths = np.array([row @ spread @ row for row in x])
        optimistic = x @ self.weights[h] + self.bonus * np.sqrt(widths)
        return np.asarray(np.clip(optimistic, 0.0, self.model.horizon - h))

    def value(self, h: int, s: int) -> float:
        """Return the value of a state, less what the policy pays."""
        if h == self.model.horizon:
            return 0.0
        q = self.action_values(h, s)
        if self.temperature == 0.0:
            return float(q.max())
        return float(
            q.max() + self.temperature * np.log(np.mean(np.exp((q - q.max()) / self.temperature)))
        )

    def policy(self, q: FloatArray) -> FloatArray:
        """Return the distribution over actions at action values."""
        if self.temperature == 0.0:
            return np.asarray(np.eye(len(q))[int(q.argmax())])
        weights = np.exp((q - q.max()) / self.temperature)
        return np.asarray(weights / weights.sum())
