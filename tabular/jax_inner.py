"""Inner problems of uncertainty sets on JAX: pure functions of values, a nominal row and a radius.

Each returns the least expectation over the set, as the modules of `tabular.uncertainty` do on
NumPy, where their sources are. `jax.vmap` takes them to many rows; derivatives are those of the
envelope theorem: in the values a worst distribution, in the radius minus the multiplier. What is
searched for (a rate, an active set) is held fixed, so that derivatives do not pass through the
search.
All take values (S,), row (S,), summing to 1, and a scalar radius or penalty, and return a scalar.
"""

from collections.abc import Callable
from typing import Any

from rltheory.analysis.backends import LazyJax

jax, jnp = LazyJax(), LazyJax("numpy")

_BLOCK = 32
_STEPS = 100
_FLAT = 1e-140
_NEGLIGIBLE = 1e-26
_PENALTY_STEPS = 60


def total_variation(values: Any, row: Any, radius: Any) -> Any:
    """Return the worst expectation over TV(q, row) <= radius."""
    return _strip(values, row, radius, values.min())


def total_variation_on_support(values: Any, row: Any, radius: Any) -> Any:
    """Return that of `total_variation` when mass moves within the row's support only."""
    return _strip(values, row, radius, jnp.where(row > 0, values, jnp.inf).min())


def l1(values: Any, row: Any, radius: Any) -> Any:
    """Return the worst expectation over ||q - row||_1 <= radius."""
    return total_variation(values, row, 0.5 * radius)


def contamination(values: Any, row: Any, radius: Any) -> Any:
    """Return the worst expectation over mixtures of the row with anything, of weight radius."""
    weight = jnp.minimum(radius, 1.0)
    return (1.0 - weight) * (row @ values) + weight * values.min()


def interval(values: Any, row: Any, radius: Any, lower: Any, upper: Any) -> Any:
    """Return the worst expectation over lower <= q <= upper, both (S,); the row is not read."""
    return _raise(values, lower, upper, 1.0)


def l_infinity(values: Any, row: Any, radius: Any) -> Any:
    """Return the worst expectation over max |q - row| <= radius."""
    upper = jnp.minimum(row + radius, jnp.maximum(row, 1.0))
    return _raise(values, jnp.maximum(row - radius, 0.0), upper, row.sum())


def l2(values: Any, row: Any, radius: Any) -> Any:
    """Return the worst expectation over ||q - row||_2 <= radius."""
    low = values.min()
    width = values.max() - low
    c = (values - low) / jnp.where(width > 0, width, 1.0)

    def sums(kept: Any) -> tuple[Any, ...]:
        size = kept.sum()
        mean = jnp.where(kept, c, 0.0).sum() / size
        scatter = jnp.where(kept, (c - mean) ** 2, 0.0).sum()
        dropped = jnp.where(kept, 0.0, row)
        mass = dropped.sum()
        left = jnp.maximum(radius**2 - mass**2 / size - (dropped**2).sum(), 0.0)
        return size, mean, scatter, mass, left, dropped @ c

    def drop(state: Any) -> Any:
        kept, t, _ = state
        size, mean, scatter, mass, left, _ = sums(kept)
        t = jnp.maximum(t, jnp.sqrt(left / jnp.where(scatter > 0, scatter, 1.0)))
        q = row + mass / size - t * (c - mean)
        stays = kept & ((q > 0) | ((q == 0) & (c <= mean)) | (scatter == 0))
        return stays, t, (stays == kept).all()

    start = (jnp.ones(c.shape, bool), 0.0 * low, width == 0)
    kept = _search(lambda state: ~state[2], drop, start)[0]
    _, mean, scatter, mass, left, moment = sums(kept)
    return row @ values - width * (moment - mean * mass + _root(left * scatter))


def chi_square(values: Any, row: Any, radius: Any) -> Any:
    """Return the worst expectation over sum (q - row)^2 / row <= radius."""
    mass, low, least, width, c = _scaled(values, row)
    r = radius / mass
    inside = (width >= _FLAT) & (r < mass / least - 1.0)

    def best(active: Any) -> tuple[Any, Any, Any]:
        part, outside, mean, variance = _moments(row / mass, c, active)
        return mean, variance, jnp.maximum(r * part - outside, 0.0)

    def move(state: Any) -> Any:
        eta, below, above, _ = state
        mean, variance, gain = best(c < eta)
        found = mean + jnp.sqrt(variance / jnp.where(gain > 0, gain, 1.0))
        found = jnp.where(gain > 0, found, jnp.inf)
        done = ((c < found) == (c < eta)).all()
        below, above = jnp.where(found > eta, eta, below), jnp.where(found > eta, above, eta)
        middle = 0.5 * (below + above)
        following = jnp.where((below < found) & (found < above), found, middle)
        return jnp.where(done, eta, following), below, above, done

    start = (2.0 + 0.0 * low, 0.0 * low, 2.0 + 0.0 * low, ~inside)
    eta = _search(lambda state: ~state[3], move, start)[0]
    mean, variance, gain = best(c < eta)
    tilted = row @ values - mass * width * ((row @ c) / mass - mean + _root(variance * gain))
    return jnp.where(inside, tilted, jnp.where(width < _FLAT, row @ values, mass * low))


def kullback_leibler(values: Any, row: Any, radius: Any) -> Any:
    """Return the worst expectation over sum q log(q / row) <= radius, in nats."""
    mass, low, least, width, c = _scaled(values, row)
    r = radius / mass
    flat = (width < _FLAT) | (r < _NEGLIGIBLE)
    inside = ~flat & (r < jnp.log(mass / least))
    p = row / mass
    safe = jnp.where(inside, r, 0.5)
    centre = p @ c

    def move(state: Any) -> Any:
        rate, below, above, _ = state
        log_ratio, mean, variance, _ = _tilt(p, c, centre, rate)
        divergence = mean - log_ratio
        short = divergence <= safe
        below, above = jnp.where(short, rate, below), jnp.where(short, above, rate)
        # Newton on sqrt(KL) = sqrt(radius), almost linear in the rate.
        root = jnp.sqrt(safe * jnp.maximum(divergence, 0.0))
        digits = variance > 1e-8 * mean**2
        newton = rate * (1.0 + 2.0 * (root - divergence) / jnp.where(digits, variance, 1.0))
        far = below > 0.25 * above
        between = jnp.where(far, 0.5 * (below + above), jnp.sqrt(below * above))
        between = jnp.where(below > 0, between, 0.5 * above)
        middle = jnp.where(jnp.isinf(above), 4.0 * below, between)
        usable = digits & (below < newton) & (newton < above)
        following = jnp.where(usable, newton, middle)
        return following, below, above, jnp.abs(following - rate) <= 1e-9 * rate

    spread = p @ (c - centre) ** 2
    first = jnp.sqrt(2.0 * safe / jnp.where(spread > 0, spread, 1.0))
    start = (first, 0.0 * first, jnp.inf + first, ~inside)
    rate = _search(lambda state: ~state[3], move, start)[0]
    log_ratio, _, _, shift = _tilt(p, c, centre, rate)
    tilted = row @ values - mass * width * (centre - shift + (log_ratio + safe) / rate)
    return jnp.where(inside, tilted, jnp.where(flat, row @ values, mass * low))


def wasserstein(values: Any, row: Any, radius: Any, cost: Any) -> Any:
    """Return the worst expectation over transport costs W(q, row) <= radius; cost (S, S).

    Every step reads the cost once for each row: a sweep is of the order of S^3 A.
    """
    states, cost = jnp.arange(len(values)), jnp.asarray(cost)
    low = values.min()
    held_values, held_row = jax.lax.stop_gradient(values), jax.lax.stop_gradient(row)

    def at(targets: Any, values: Any, row: Any) -> tuple[Any, Any]:
        return row @ values[targets], row @ cost[states, targets]

    def cut(state: Any) -> Any:
        near, far, _ = state
        near_value, near_cost = at(near, held_values, held_row)
        far_value, far_cost = at(far, held_values, held_row)
        apart = far_cost - near_cost
        rate = jnp.where(
            apart > 0, (near_value - far_value) / jnp.where(apart > 0, apart, 1.0), 0.0
        )
        found = (held_values + rate * cost).argmin(axis=1)
        value, price = at(found, held_values, held_row)
        gap = far_value + rate * far_cost - value - rate * price
        done = (apart <= 0) | (gap <= 4e-16 * (held_values.max() - held_values.min()))
        beyond = price > radius
        following = jnp.where(beyond & ~done, found, far)
        return jnp.where(beyond | done, near, found), following, done

    near = jnp.where(cost <= 0.0, held_values, jnp.inf).argmin(axis=1)
    far = jnp.where(held_values == held_values.min(), cost, jnp.inf).argmin(axis=1)
    enough = held_row @ cost[states, far] <= radius
    near, far, _ = _search(lambda state: ~state[2], cut, (near, far, enough))
    near_value, near_cost = at(near, values, row)
    far_value, far_cost = at(far, values, row)
    apart = far_cost - near_cost
    share = jnp.clip((radius - near_cost) / jnp.where(apart > 0, apart, 1.0), 0.0, 1.0)
    mixed = share * far_value + (1.0 - share) * near_value
    return jnp.where(enough, row.sum() * low, mixed)


def penalised_total_variation(values: Any, row: Any, penalty: Any) -> Any:
    """Return min over q of q . v + penalty * TV(q, row)."""
    return row @ jnp.minimum(values, values.min() + penalty)


def penalised_total_variation_on_support(values: Any, row: Any, penalty: Any) -> Any:
    """Return that of `penalised_total_variation` when mass moves within the support only."""
    low = jnp.where(row > 0, values, jnp.inf).min()
    return row @ jnp.minimum(values, low + penalty)


def penalised_l1(values: Any, row: Any, penalty: Any) -> Any:
    """Return min over q of q . v + penalty * ||q - row||_1."""
    return penalised_total_variation(values, row, 2.0 * penalty)


def penalised_contamination(values: Any, row: Any, penalty: Any) -> Any:
    """Return min over q of q . v + penalty * the weight of the mixture."""
    return jnp.minimum(row @ values, values.min() + penalty)


def penalised_kullback_leibler(values: Any, row: Any, penalty: Any) -> Any:
    """Return min over q of q . v + penalty * KL(q, row) = -penalty log E exp(-v / penalty)."""
    mass, low, _, width, c = _scaled(values, row)
    p, inside = row / mass, (width >= _FLAT) & (penalty > 0)
    rate = jnp.where(inside, width / jnp.where(inside, penalty, 1.0), 1.0)
    log_ratio, _, _, shift = _tilt(p, c, p @ c, rate)
    tilted = row @ values - mass * width * (p @ c - shift + log_ratio / rate)
    return jnp.where(inside, tilted, jnp.where(width < _FLAT, row @ values, mass * low))


def penalised_chi_square(values: Any, row: Any, penalty: Any) -> Any:
    """Return min over q of q . v + penalty * sum (q - row)^2 / row."""
    mass, low, _, width, c = _scaled(values, row)
    p, inside = row / mass, (width >= _FLAT) & (penalty >= _FLAT)
    m = jnp.where(inside, penalty / jnp.where(width > 0, width, 1.0), 1.0)

    def move(state: Any) -> Any:
        active, _ = state
        part, _, mean, _ = _moments(p, c, active)
        following = active & (c < mean + 2.0 * m / part)
        return following, (following == active).all()

    start = (jnp.ones(c.shape, bool), ~inside)
    active = _search(lambda state: ~state[1], move, start)[0]
    part, outside, mean, variance = _moments(p, c, active)
    loss = p @ c - mean + part * variance / (4.0 * m) - m * outside / part
    tilted = row @ values - mass * width * loss
    return jnp.where(inside, tilted, jnp.where(width < _FLAT, row @ values, mass * low))


def penalised_wasserstein(values: Any, row: Any, penalty: Any, cost: Any) -> Any:
    """Return min over q of q . v + penalty * W(q, row); cost (S, S)."""
    return row @ (values + penalty * cost).min(axis=1)


def penalised_l2(values: Any, row: Any, penalty: Any) -> Any:
    """Return min over q of q . v + penalty * ||q - row||_2, by bisection on the distance."""
    return _penalised(l2, 2.0**0.5, values, row, penalty)


def penalised_l_infinity(values: Any, row: Any, penalty: Any) -> Any:
    """Return min over q of q . v + penalty * max |q - row|, by bisection on the distance."""
    return _penalised(l_infinity, 1.0, values, row, penalty)


def _penalised(
    worst: Callable[..., Any], largest: float, values: Any, row: Any, penalty: Any
) -> Any:
    held = jax.lax.stop_gradient((values, row, penalty))
    slope = jax.grad(worst, argnums=2)

    def halve(_: Any, ends: Any) -> Any:
        middle = 0.5 * (ends[0] + ends[1])
        steep = -slope(held[0], held[1], middle) > held[2]
        return jnp.where(steep, middle, ends[0]), jnp.where(steep, ends[1], middle)

    start = (0.0 * held[2], largest + 0.0 * held[2])
    low, high = jax.lax.fori_loop(0, _PENALTY_STEPS, halve, start)
    ends = [worst(values, row, end) + penalty * end for end in (low, high)]
    return jnp.minimum(*ends)


def _search(going: Callable[[Any], Any], step: Callable[[Any], Any], start: Any) -> Any:
    """Return the state after steps while `going`, at most `_STEPS`; no derivative passes."""
    # What steps close over carries no derivative: `custom_jvp` would need it as an argument.
    start = jax.lax.stop_gradient(start)

    def body(state: Any) -> Any:
        return state[0] + 1, jax.lax.stop_gradient(step(state[1]))

    found = jax.lax.while_loop(
        lambda state: (state[0] < _STEPS) & going(state[1]), body, (0, start)
    )
    return jax.lax.stop_gradient(found[1])


def _strip(values: Any, row: Any, radius: Any, low: Any) -> Any:
    gains = jnp.maximum(values - low, 0.0)
    return row @ values - _greedy(row, gains, jnp.argsort(-values), radius)


def _raise(values: Any, lower: Any, upper: Any, mass: Any) -> Any:
    left = mass - lower.sum()
    return lower @ values + _greedy(upper - lower, values, jnp.argsort(values), left)


def _greedy(capacity: Any, gains: Any, order: Any, total: Any) -> Any:
    """Return the gains of `total`, handed out in `order` up to each state's capacity.

    Sums of blocks are a product with a matrix that all rows share, and only the block in which the
    total runs out is looked into: a sort or running sum of each row would take ten times as long.
    """
    states = len(gains)
    blocks = -(-states // _BLOCK)
    block = jnp.argsort(order) // _BLOCK
    member = (block[:, None] == jnp.arange(blocks)).astype(gains.dtype)
    masses, worths = capacity @ member, capacity @ (member * gains[:, None])
    before = masses @ jnp.triu(jnp.ones((blocks, blocks)), 1)
    k = jnp.clip((before <= total).sum() - 1, 0, blocks - 1)
    whole = jnp.where(jnp.arange(blocks) < k, worths, 0.0).sum()
    places = k * _BLOCK + jnp.arange(_BLOCK)
    inside = order[jnp.minimum(places, states - 1)]
    held = jnp.where(places < states, capacity[inside], 0.0)
    earlier = held @ jnp.triu(jnp.ones((_BLOCK, _BLOCK)), 1)
    return whole + jnp.clip(total - before[k] - earlier, 0.0, held) @ gains[inside]


def _scaled(values: Any, row: Any) -> tuple[Any, Any, Any, Any, Any]:
    """Return mass, least value of the support, its mass, the range and values on [0, 1]."""
    held = row > 0
    low = jnp.where(held, values, jnp.inf).min()
    high = jnp.where(held, values, -jnp.inf).max()
    width = high - low
    inside = jnp.where(held, values, high)
    c = (inside - low) / jnp.where(width >= _FLAT, width, 1.0)
    return row.sum(), low, jnp.where(values == low, row, 0.0).sum(), width, c


def _moments(p: Any, c: Any, active: Any) -> tuple[Any, Any, Any, Any]:
    """Return the mass of the active states and of the others, the active mean and variance."""
    inside = jnp.where(active, p, 0.0)
    part = inside.sum()
    mean = (inside @ c) / part
    # Summed by itself: compiled, the difference of two sums may not vanish where it should.
    outside = jnp.where(active, 0.0, p).sum()
    return part, outside, mean, (inside @ (c - mean) ** 2) / part


def _tilt(p: Any, c: Any, centre: Any, rate: Any) -> tuple[Any, Any, Any, Any]:
    """Return log E exp(x), mean and variance of x = rate (shift - c) under the tilt, and shift."""
    far = rate * centre > 8.0
    shift = jax.lax.stop_gradient(jnp.where(far, 0.0, centre))
    x = rate * (shift - c)
    total = p @ jnp.where(far, jnp.exp(x), jnp.expm1(x))
    log_ratio = jnp.where(far, jnp.log(jnp.where(far, total, 1.0)), jnp.log1p(total))
    q = p * jnp.exp(x - log_ratio)
    mean = q @ x
    return log_ratio, mean, q @ (x - mean) ** 2, shift


def _root(square: Any) -> Any:
    """Return the square root, with derivative zero where it vanishes."""
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)
