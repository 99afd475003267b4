"""Actor-critics as one would write them down: lists of transitions, everything made anew."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rltheory.linear_mdp import LinearMDP
from rltheory.linear_mdp.actor_critic.settings import Settings
from rltheory.tabular import EpisodicMDP


def random_world(
    seed: int, states: int = 4, actions: int = 3, horizon: int = 4, sparse: bool = True
) -> EpisodicMDP:
    """Return a small model with rewards in [0, 1], some of whose states may not be met."""
    rng = np.random.default_rng(seed)
    weights = rng.random((horizon, states, actions, states))
    if sparse:
        weights[rng.random(weights.shape) < 0.5] = 0.0
        weights[..., 0] += weights.sum(axis=-1) == 0.0
    initial = np.eye(states)[0] if sparse else rng.dirichlet(np.ones(states))
    rewards = rng.random((horizon, states, actions)).round(2)
    return EpisodicMDP(weights / weights.sum(axis=-1, keepdims=True), rewards, initial)


def uniforms(seed: int, episodes: int, horizon: int) -> np.ndarray:
    """Return the uniform numbers of a run's episodes: the first state, then two a step."""
    root = np.random.default_rng(seed).integers(2**63, size=2)
    rows = [
        np.random.default_rng([*root, block]).random((256, 1 + 2 * horizon))
        for block in range(-(-episodes // 256))
    ]
    return np.concatenate(rows)[:episodes]


def choose(probabilities: np.ndarray, u: float) -> int:
    """Return the entry that u falls on."""
    total, last = 0.0, 0
    for i, p in enumerate(probabilities):
        if p > 0.0:
            total, last = total + p, i
            if u < total:
                return i
    return last


def value_of(mdp: EpisodicMDP, policy: np.ndarray) -> float:
    """Return the value of a policy by pushing its distribution of states forward."""
    at, total = np.array(mdp.initial), 0.0
    for h in range(mdp.horizon):
        pairs = at[:, None] * policy[h]
        total += float((pairs * mdp.rewards[h]).sum())
        at = np.einsum("sa,sat->t", pairs, mdp.transitions[h])
    return total


class Plain:
    """One learner over the list of all its transitions."""

    def __init__(self, mdp: EpisodicMDP, settings: Settings, episodes: int, eta: float) -> None:
        self.mdp, self.settings, self.eta = mdp, settings, eta
        self.H, self.S, self.A = mdp.rewards.shape
        tops = mdp.rewards.max(axis=(1, 2))
        self.C = np.array([tops[h:].sum() for h in range(self.H + 1)])
        reached = self.reached()
        self.L = np.log(5 * reached.sum() * self.A * episodes / settings.confidence)
        self.data: list[list[tuple[int, int, int]]] = [[] for _ in range(self.H)]
        room = 0.0 if settings.bonus == "none" else self.C[1:, None, None]
        self.q = mdp.rewards + room
        self.v = np.vstack([self.q.max(axis=-1), np.zeros(self.S)])
        self.logits = np.zeros(mdp.rewards.shape)
        self.pi = np.full(mdp.rewards.shape, 1.0 / self.A)
        if settings.actor == "greedy":
            self.pi = np.eye(self.A)[self.q.argmax(axis=-1)]
        self.at_refresh = [0] * self.H
        self.followed: dict[tuple[int, int, int], list[float]] = {}
        self.age = 0

    def reached(self) -> np.ndarray:
        met = np.zeros((self.H, self.S), dtype=bool)
        met[0] = self.mdp.initial > 0
        for h in range(1, self.H):
            met[h] = (self.mdp.transitions[h - 1][met[h - 1]] > 0).any(axis=(0, 1))
        return met

    def counts(self, h: int, last: int | None = None) -> np.ndarray:
        n = np.zeros((self.S, self.A, self.S))
        for s, a, y in self.data[h][:last]:
            n[s, a, y] += 1
        return n

    def due(self) -> bool:
        kind = self.settings.switch
        limit = self.settings._threshold
        if kind == "period":
            return self.age >= limit
        for h in range(self.H):
            now = self.counts(h)
            then = self.counts(h, self.at_refresh[h]).sum(axis=-1)
            visits = now.sum(axis=-1)
            grown = visits > then
            if kind == "counts" and (grown & (visits >= np.maximum(limit * then, 1))).any():
                return True
            if kind == "determinant":
                growth = np.log1p(visits).sum() - np.log1p(then).sum()
                if growth > limit + 1e-9:
                    return True
            if kind == "residual":
                off = self.q[h] - self.mdp.rewards[h]
                mean = now @ self.v[h + 1] / np.maximum(visits, 1)
                spent = (visits * np.where(visits > 0, off - mean, 0) ** 2).sum()
                scale = 1.0 if self.settings.bonus == "none" else self.settings.scale
                unit = scale**2 * self.C[h + 1] ** 2 * self.L
                if spent > limit * ((visits > 0).sum() * unit + 1e-9):
                    return True
        return False

    def bonus(self, n: np.ndarray, weight: np.ndarray, h: int) -> np.ndarray:
        kind, C, L = self.settings.bonus, self.C[h + 1], self.L
        if kind == "none" or C == 0.0:
            return np.zeros(weight.shape)
        with np.errstate(divide="ignore", invalid="ignore"):
            if kind == "hoeffding":
                return self.settings.scale * C * np.sqrt(L / weight)
            mean = n @ self.v[h + 1] / weight
            spread = (n * (self.v[h + 1] - mean[..., None]) ** 2).sum(axis=-1) / weight
            if kind == "bernstein":
                return self.settings.scale * (
                    np.sqrt(2 * L * spread / weight) + 7 * C * L / (3 * weight)
                )
            met = np.zeros(self.S)
            if h + 1 < self.H:
                met = self.counts(h + 1).sum(axis=(1, 2))
            lower = 100.0**2 * C**2 * self.H * self.S**2 * self.A * L**2 / np.maximum(met, 1)
            doubt = n @ np.minimum(lower, C**2) / weight
            return self.settings.scale * (
                np.sqrt(8 * L * spread / weight) + 14 * C * L / (3 * weight)
                + np.sqrt(8 * doubt / weight)
            )  # fmt: skip

    def refresh(self) -> None:
        if self.settings.reset:
            self.logits[:] = 0.0
            self.pi[:] = 1.0 / self.A
        for _ in range(max(self.settings.rounds, 1)):
            for h in reversed(range(self.H)):
                n = self.counts(h)
                weight = n.sum(axis=-1) + self.settings.ridge
                with np.errstate(divide="ignore", invalid="ignore"):
                    later = n @ self.v[h + 1] / weight + self.bonus(n, weight, h)
                unknown = 0.0 if self.settings.bonus == "none" else self.C[h + 1]
                later = np.where(weight == 0, unknown, later)
                found = self.mdp.rewards[h] + np.clip(later, 0, self.C[h + 1])
                self.q[h] = np.minimum(found, self.q[h]) if self.settings.monotone else found
                policy = self.settings.target == "policy"
                self.v[h] = (self.pi[h] * self.q[h]).sum(-1) if policy else self.q[h].max(-1)
            if self.settings.rounds:
                self.ascend()
        if self.settings.actor == "greedy":
            self.pi = np.eye(self.A)[self.q.argmax(axis=-1)]
        if self.settings.forget:
            self.data = [[] for _ in range(self.H)]
        self.at_refresh = [len(d) for d in self.data]
        self.age = 0

    def ascend(self) -> None:
        self.logits = self.logits + self.eta * self.q
        weights = np.exp(self.logits - self.logits.max(axis=-1, keepdims=True))
        self.pi = weights / weights.sum(axis=-1, keepdims=True)

    def improve(self, h: int, s: int, a: int, y: int) -> None:
        n = self.counts(h)[s, a].sum()
        rate = (self.H + 1) / (self.H + n)
        values = self.followed.setdefault((h, s, a), [])
        values.append(self.v[h + 1, y])
        later = values[-1]
        if self.settings.bonus == "hoeffding":
            later += self.settings.scale * self.C[h + 1] * np.sqrt(self.H * self.L / n)
        if self.settings.bonus == "bernstein":
            now, before = self.beta(values, h), self.beta(values[:-1], h)
            later += (now - (1 - rate) * before) / (2 * rate)
        self.q[h, s, a] = (1 - rate) * self.q[h, s, a] + rate * (self.mdp.rewards[h, s, a] + later)
        self.v[h, s] = min(self.C[h], self.q[h, s].max())
        self.pi[h, s] = np.eye(self.A)[self.q[h, s].argmax()]

    def beta(self, values: list[float], h: int) -> float:
        """Return the width of Jin et al. (2018), Algorithm 2, with C for the largest value."""
        if not values:
            return 0.0
        n, C = len(values), self.C[h + 1]
        first = np.sqrt(self.H / n * (np.var(values) + C**2 / self.H) * self.L)
        first += self.settings.minor * C * np.sqrt(self.H**5 * self.S * self.A) * self.L / n
        return self.settings.scale * min(first, np.sqrt(self.H * C**2 * self.L / n))

    def run(self, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the values of the policies played, the returns and the refreshes."""
        values, returns, switches = [], [], []
        learns = self.settings.switch == "steps"
        for k, u in enumerate(draws):
            if not learns and (k == 0 or self.due()):
                self.refresh()
                switches.append(k)
            values.append(value_of(self.mdp, self.pi))
            s, total = choose(self.mdp.initial, u[0]), 0.0
            for h in range(self.H):
                a = choose(self.pi[h, s], u[1 + 2 * h])
                y = choose(self.mdp.transitions[h, s, a], u[2 + 2 * h])
                total += self.mdp.rewards[h, s, a]
                self.data[h].append((s, a, y))
                if learns:
                    self.improve(h, s, a, y)
                s = y
            returns.append(total)
            self.age += 1
            if self.settings.actor == "weights" and not self.settings.rounds:
                self.ascend()
        return np.array(values), np.array(returns), np.array(switches)


class PlainLinear:
    """NORA on features: regressions, determinants and the policy are made anew from lists."""

    def __init__(
        self,
        model: LinearMDP,
        *,
        bonus: Any,
        step: float,
        growth: float = 2.0,
        reset: bool = True,
        ridge: float = 1.0,
        offline: Sequence[Sequence[tuple[int, int, int]]] = (),
    ) -> None:
        self.model, self.step, self.growth = model, step, growth
        self.reset, self.ridge = reset, ridge
        self.bonus = np.broadcast_to(bonus, model.horizon)
        self.data = [list(rows) for rows in offline] or [[] for _ in range(model.horizon)]
        self.q = np.zeros(model.rewards.shape)
        self.logits = np.zeros(model.rewards.shape)
        self.then = np.full(model.horizon, -np.inf)

    def design(self, h: int) -> np.ndarray:
        rows = [self.model.features[s, a] for s, a, _ in self.data[h]]
        x = np.array(rows).reshape(-1, self.model.dimension)
        return x.T @ x + self.ridge * np.eye(self.model.dimension)

    def grown(self) -> np.ndarray:
        return np.array([np.linalg.slogdet(self.design(h))[1] for h in range(self.model.horizon)])

    def refresh(self) -> None:
        later = np.zeros(self.model.states)
        x = self.model.features
        for h in reversed(range(self.model.horizon)):
            inverse = np.linalg.inv(self.design(h))
            total = np.zeros(self.model.dimension)
            for s, a, y in self.data[h]:
                total += later[y] * x[s, a]
            width = np.sqrt(np.einsum("sai,ij,saj->sa", x, inverse, x))
            found = self.model.rewards[h] + x @ (inverse @ total) + self.bonus[h] * width
            self.q[h] = np.clip(found, 0.0, self.model.ceilings[h])
            later = self.q[h].max(axis=-1)
        if self.reset:
            self.logits = np.zeros(self.q.shape)

    def policy(self) -> np.ndarray:
        weights = np.exp(self.logits - self.logits.max(axis=-1, keepdims=True))
        return np.asarray(weights / weights.sum(axis=-1, keepdims=True))

    def run(self, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the values of the policies played, the returns and the switches."""
        mdp = self.model.to_tabular()
        values, returns, switches = [], [], []
        for k, u in enumerate(draws):
            now = self.grown()
            if (now - self.then > np.log(self.growth) + 1e-9).any():
                self.refresh()
                self.then = now
                switches.append(k)
            policy = self.policy()
            values.append(value_of(mdp, policy))
            s, total = choose(np.asarray(mdp.initial), u[0]), 0.0
            for h in range(mdp.horizon):
                a = choose(policy[h, s], u[1 + 2 * h])
                y = choose(mdp.transitions[h, s, a], u[2 + 2 * h])
                total += mdp.rewards[h, s, a]
                self.data[h].append((s, a, y))
                s = y
            returns.append(total)
            self.logits = self.logits + self.step * self.q
        return np.array(values), np.array(returns), np.array(switches)
