"""What the records on Block MDPs and emulators compute with, against loops and sampling."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from rltheory.tabular.agnostic import PolicyClass, class_values
from rltheory.theory.records import agnostic_blocks as blocks
from rltheory.theory.records import agnostic_emulator as emulators
from rltheory.theory.records import agnostic_representatives as few
from rltheory.theory.tape import Tape

SEEDS = range(8)


def path_value(rich):
    """The value of a policy of observations by a sum over latent paths and their emissions."""
    latent, emissions = rich.block.latent, rich.block.emissions
    total = Fraction(0)
    symbols = product(range(latent.states), range(rich.block.observations))
    symbols = [(s, x) for s, x in symbols if emissions[:, s, x].any()]
    for path in product(symbols, repeat=latent.horizon):
        chance, earned, before = Fraction(1), Fraction(0), None
        for h, (s, x) in enumerate(path):
            row = latent.initial if before is None else latent.transitions[h - 1, *before]
            action = rich.table[h, x]
            chance *= Fraction(row[s]) * Fraction(emissions[h, s, x])
            earned += Fraction(latent.rewards[h, s, action])
            before = s, action
        total += chance * earned
    return total


@pytest.mark.parametrize("seed", SEEDS)
def test_values_of_observations_are_sums_over_paths(seed):
    rich = blocks.sample_rich(Tape(seed=seed), 2)
    assert path_value(rich) == blocks.observed_value(rich)
    assert path_value(rich) == blocks.average_sides(rich)[1]


@pytest.mark.parametrize("seed", SEEDS)
def test_what_representatives_do_is_counted_by_loops(seed):
    case, distance = few.sample_represented(Tape(seed=seed), 3)
    block, names, worst = case.block, case.emulator.observations, Fraction(0)
    for h, s in product(range(block.latent.horizon), range(block.latent.states)):
        own = [x for x in names[h] if block.emissions[h, s, x] > 0]
        for a in range(2):
            true = sum(
                Fraction(block.emissions[h, s, x])
                for x in range(block.observations)
                if case.table[h, x] == a
            )
            share = Fraction(sum(int(case.table[h, x]) == a for x in own), len(own))
            # Two actions: either difference is the total variation.
            worst = max(worst, abs(true - share))
    assert worst == distance


@pytest.mark.parametrize("seed", SEEDS)
def test_noise_stays_within_what_is_declared(seed):
    case, moves, pay = emulators.sample_noisy(Tape(seed=seed), 3)
    block, model, names = case.block, case.emulator.model, case.emulator.observations
    decoded = np.stack([block.decoder[h, row] for h, row in enumerate(names)])
    for h, i, a in product(range(model.horizon), range(model.states), range(2)):
        s = decoded[h, i]
        gap = Fraction(model.rewards[h, i, a]) - Fraction(block.latent.rewards[h, s, a])
        assert abs(gap) <= pay
        if h + 1 == model.horizon:
            continue
        # The right row shares equally; so for latent states it is enough to sum.
        right = np.zeros(model.states, dtype=object)
        for t in range(block.latent.states):
            own = np.flatnonzero(decoded[h + 1] == t)
            right[own] = Fraction(block.latent.transitions[h, s, a, t]) / len(own)
        row = [Fraction(x) for x in model.transitions[h, i, a]]
        assert sum(abs(x - y) for x, y in zip(row, right, strict=True)) / 2 <= moves


def test_extremes_meet_the_bounds():
    for horizon, k in product((1, 2, 4), (1, 5, 16)):
        share = Fraction(k, 16)
        leak = emulators.leaking(horizon, share, share)
        left, right = emulators.MODEL_ERROR.sides(leak)
        assert left == right == sum(1 - (1 - share) ** (h + 1) for h in range(1, horizon + 1))
        if k < 16:
            chain = few.Represented(few.forgetful(horizon, share), share)
            left, right = few.REPRESENTED.sides(chain)
            assert left == right


def test_averages_over_draws_are_seen_when_sampling():
    drawn = few.sample_drawn(Tape(seed=2), 2)
    mean, value = few.unbiased_sides(drawn)
    assert mean == value
    shared, _ = few._shared_draw(drawn)
    rng, block = np.random.default_rng(0), drawn.block
    chances = block.emissions[0, [0, 0, 1, 1]]
    values = {}
    for kind in ("anew", "shared"):
        draws = np.array(
            [[rng.choice(4, size=2000, p=chances[i]) for i in range(4)] for _ in range(2)]
        ).transpose(2, 0, 1)
        if kind == "shared":
            draws[:, 1] = draws[:, 0]
        tables = drawn.table[np.arange(2)[:, None], draws]
        model = emulators.ideal_emulator(
            block_of(block), np.broadcast_to(np.arange(4), (2, 4))
        ).model
        values[kind] = class_values(model, PolicyClass(tables, 2)).values
    for kind, want in (("anew", mean), ("shared", shared)):
        error = values[kind].std() / np.sqrt(2000)
        assert abs(values[kind].mean() - float(want)) <= 5 * error


def block_of(block):
    """The same latent MDP with two even observations of each state."""
    even = np.broadcast_to(np.repeat(np.eye(2), 2, axis=1) / 2, (2, 2, 4))
    return blocks.BlockMDP(block.latent, even)
