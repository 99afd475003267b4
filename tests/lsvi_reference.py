"""Least-squares value iteration as the papers write it: loops, and every estimate made anew."""

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from rltheory.linear_mdp import LinearMDP
from rltheory.tabular import uncertainty as sets


def random_model(seed: int, *, fails: bool, states: int = 4, actions: int = 3) -> LinearMDP:
    """Return a small linear MDP on three factors, no two pairs of which are alike."""
    draw = np.random.default_rng(seed)
    features = draw.dirichlet(np.ones(3), size=(states, actions))
    measures = draw.dirichlet(np.ones(states), size=(3, 3))
    weights = draw.random((3, 3))
    if not fails:
        return LinearMDP(features, measures, weights)
    features[-1], measures[:, 0], weights[:, 0] = (1.0, 0.0, 0.0), np.eye(states)[-1], 0.0
    return LinearMDP(features, measures, weights, fail_state=states - 1)


def draws_of(seed: int, episodes: int, horizon: int) -> np.ndarray:
    """Return the uniform numbers of a run's episodes: the first state, then three a step."""
    root = np.random.default_rng(seed).integers(2**63, size=2)
    blocks = range(-(-episodes // 256))
    rows = [
        np.random.default_rng([*root, block]).random((256, 1 + 3 * horizon)) for block in blocks
    ]
    return np.concatenate(rows)[:episodes]


def falls_on(probabilities: np.ndarray, u: float) -> int:
    """Return the outcome that a uniform number falls on."""
    total = 0.0
    for outcome, probability in enumerate(probabilities):
        total += probability
        if u < total:
            return outcome
    return int(np.flatnonzero(probabilities)[-1])


def worst_factor(
    ball: Any, budget: float, g: np.ndarray, v: np.ndarray, floor: float, ceiling: float
) -> float:
    """Return the worst expectation of an estimated factor: weights g on values v."""
    if ball is None:
        return float(g @ v)
    if isinstance(ball, sets.TotalVariation):
        return max(float(g @ np.minimum(v, a)) - budget * (a - floor) for a in (floor, *v.tolist()))
    if isinstance(ball, sets.PenalisedTotalVariation):
        return float(g @ np.minimum(v, floor + budget))
    if isinstance(ball, sets.PenalisedKullbackLeibler):
        moment = float(g @ np.exp(-v / budget))
        return ceiling if moment <= 0 else min(ceiling, -budget * np.log(moment))

    def dual(alpha: float) -> float:
        z, z2 = float(g @ np.minimum(v, alpha)), float(g @ np.minimum(v, alpha) ** 2)
        variance = max(z2 - z * z, 0.0)
        if isinstance(ball, sets.PenalisedChiSquare):
            return z - variance / (4.0 * budget)
        return z - float(np.sqrt(budget * variance))

    return _maximum(dual, np.unique(np.concatenate([np.linspace(floor, v.max(), 400), v])))


def _maximum(dual: Any, grid: np.ndarray) -> float:
    best = max(range(len(grid)), key=lambda k: dual(grid[k]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    if low == high:
        return float(dual(low))
    inside = minimize_scalar(
        lambda a: -dual(a), bounds=(low, high), method="bounded", options={"xatol": 1e-12}
    )
    return max(float(dual(grid[best])), float(-inside.fun))


class Plain:
    """An algorithm: visits are kept as they are, every estimate solves its regressions anew."""

    def __init__(
        self, model: LinearMDP, *, ball: Any = None, bonus: float, form: str, known: bool,
        ridge: float, temperature: float = 0.0, reference: Any = None, step: float | None = None,
    ) -> None:  # fmt: skip
        self.model, self.ball, self.bonus, self.form = model, ball, bonus, form
        self.known, self.ridge, self.heat, self.step = known, ridge, temperature, step
        shape = model.rewards.shape
        self.reference = np.full(shape, 1.0 / shape[-1]) if reference is None else reference
        self.policy = self.reference.copy()
        self.visits: list[list[tuple[int, int, float, int]]] = [[] for _ in range(shape[0])]
        self.action_values = np.zeros(shape)

    def estimate(self) -> None:
        """Estimate backward, and improve the policy."""
        model = self.model
        values = np.zeros(model.states)
        for h in reversed(range(model.horizon)):
            visits = self.visits[h]
            x = np.array([model.features[s, a] for s, a, _, _ in visits])
            x = x.reshape(len(visits), model.dimension)
            gram = self.ridge * np.eye(model.dimension)
            for row in x:
                gram += np.outer(row, row)
            following = np.array([values[s] for _, _, _, s in visits])
            rewards = np.array([r for _, _, r, _ in visits])
            w = np.linalg.solve(gram, x.T)
            nu = np.zeros(model.dimension)
            if h + 1 < model.horizon:
                budgets = np.zeros(nu.shape)
                if self.ball is not None:
                    budgets = self.ball.budgets((model.horizon, len(nu))).reshape(-1, len(nu))[h]
                closed = self.step is None and model.fail_state is not None
                floor = 0.0 if closed else values.min()
                for i in range(len(nu)):
                    nu[i] = worst_factor(
                        self.ball, budgets[i], w[i], following, floor, model.ceilings[h + 1]
                    )
            if not self.known:
                nu += w @ rewards
            inverse = np.linalg.inv(gram)
            q = np.zeros((model.states, model.actions))
            for s in range(model.states):
                for a in range(model.actions):
                    q[s, a] = self._optimistic(h, s, a, nu, inverse)
            self.action_values[h] = q
            values = self._improve(h, q)

    def _optimistic(self, h: int, s: int, a: int, nu: np.ndarray, inverse: np.ndarray) -> float:
        if s == self.model.fail_state:
            return 0.0
        x = self.model.features[s, a]
        width = {
            "none": 0.0,
            "elliptical": np.sqrt(x @ inverse @ x),
            "factors": (x * np.sqrt(np.diag(inverse))).sum(),
            "diagonal": np.sqrt((x * x * np.diag(inverse)).sum()),
        }[self.form]
        value = (x * nu).sum() + self.bonus * width
        if self.known:
            value += self.model.rewards[h, s, a]
        return float(np.clip(value, 0.0, self.model.ceilings[h]))

    def _improve(self, h: int, q: np.ndarray) -> np.ndarray:
        """Set the policy of a step; return its values less what it pays."""
        if self.heat == 0.0:
            self.policy[h] = np.eye(q.shape[1])[q.argmax(axis=1)]
            return np.asarray(q.max(axis=1))
        if self.step is None:
            weights = self.reference[h] * np.exp(q / self.heat)
        else:
            kept = 1.0 - self.step * self.heat
            weights = self.policy[h] ** kept * self.reference[h] ** (1.0 - kept)
            weights = weights * np.exp(self.step * q)
        self.policy[h] = weights / weights.sum(axis=1, keepdims=True)
        pays = np.log(self.policy[h] / self.reference[h])
        return np.asarray((self.policy[h] * (q - self.heat * pays)).sum(axis=1))

    def play(self, draws: np.ndarray) -> list[float]:
        """Run an episode for each row of uniform numbers; return the returns."""
        self.estimate()
        model, returns = self.model, []
        for u in draws:
            s, total = falls_on(model.initial, u[0]), 0.0
            for h in range(model.horizon):
                a = falls_on(self.policy[h, s], u[1 + 3 * h])
                factor = falls_on(model.features[s, a], u[2 + 3 * h])
                following = falls_on(model.measures[h, factor], u[3 + 3 * h])
                self.visits[h].append((s, a, model.rewards[h, s, a], following))
                total += model.rewards[h, s, a]
                s = following
            returns.append(total)
            self.estimate()
        return returns
