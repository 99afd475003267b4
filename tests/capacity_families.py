"""Families of policy classes with two actions, to go through one by one.

Each yields pairs of a table (P, H, S) and the sizes of its layers. Where classes that differ by
names only count once, these are the names of states in a layer, of actions at a state, and of
policies.
"""

from itertools import chain, combinations_with_replacement, permutations, product

import numpy as np

from rltheory.tabular.agnostic import PolicyClass


def table_of(layers, count):
    """The class of `count` policies in which bit p of layers[h][s] is what policy p does there."""
    bits = np.zeros((len(layers), max(map(len, layers))), dtype=np.int64)
    for h, row in enumerate(layers):
        bits[h, : len(row)] = row
    return (bits >> np.arange(count)[:, None, None] & 1).astype(np.int8)


def every_policy(sizes):
    """All 2^(number of states) policies, (P, H, S)."""
    cells = sum(sizes)
    table = np.zeros((2**cells, len(sizes), max(sizes)), dtype=np.int8)
    inside = np.arange(max(sizes)) < np.array(sizes)[:, None]
    table[:, inside] = np.arange(2**cells)[:, None] >> np.arange(cells) & 1
    return table


def all_classes(*sizes, step=1):
    """All classes there are, or one of `step`."""
    every = every_policy(sizes)
    for bits in range(1, 2 ** len(every), step):
        yield every[[bits >> p & 1 == 1 for p in range(len(every))]], sizes


def up_to_symmetry(count, *sizes):
    """All classes of `count` different policies; one of those that differ by names only.

    With its actions renamed a state is a set of policies without the first, a layer a multiset of
    such; of the rest, the names of policies, the least is kept, layer by layer.
    """
    kinds = range(0, 2**count, 2)
    orders = list(permutations(range(count)))
    layers = {n: list(combinations_with_replacement(kinds, n)) for n in set(sizes)}
    places = {n: {row: i for i, row in enumerate(rows)} for n, rows in layers.items()}
    moved = {n: [] for n in layers}
    for order in orders:
        image = {}
        for kind in kinds:
            bits = sum(1 << order[p] for p in range(count) if kind >> p & 1)
            image[kind] = bits ^ (2**count - 1) if bits & 1 else bits
        for n, rows in layers.items():
            moved[n].append([places[n][tuple(sorted(image[k] for k in row))] for row in rows])
    moved = {n: np.array(rows) for n, rows in moved.items()}

    def extend(h, group):
        if h == len(sizes):
            yield ()
            return
        images = moved[sizes[h]][group]
        for i in np.flatnonzero((images >= np.arange(images.shape[1])).all(axis=0)):
            for rest in extend(h + 1, group[images[:, i] == i]):
                yield (layers[sizes[h]][i], *rest)

    for found in extend(0, np.arange(len(orders))):
        table = table_of(found, count)
        if len({policy.tobytes() for policy in table}) == count:
            yield table, sizes


def up_to(most, *sizes):
    """All classes of up to `most` policies, up to symmetry."""
    return chain.from_iterable(up_to_symmetry(k, *sizes) for k in range(1, most + 1))


def up_to_on_small_shapes(most):
    """The same on all shapes of three layers with one to three states each."""
    return chain.from_iterable(up_to(most, *sizes) for sizes in product((1, 2, 3), repeat=3))


def all_but(most, *sizes):
    """All policies but up to `most`, up to symmetry."""
    every = every_policy(sizes)
    cells = every.reshape(len(every), -1)
    for left, _ in up_to(most, *sizes):
        gone = (cells[:, None] == left.reshape(1, len(left), -1)).all(axis=2).any(axis=1)
        yield every[~gone], sizes


def products(*sizes):
    """All classes whose layers do not depend on one another; of three states up to symmetry."""
    choices = []
    for n in sizes:
        rows = every_policy((n,))[:, 0, :]
        choices.append([rows[chosen] for chosen in _sets_of_ways(n)])
    for layers in product(*choices):
        grid = np.indices([len(layer) for layer in layers]).reshape(len(sizes), -1)
        table = np.zeros((grid.shape[1], len(sizes), max(sizes)), dtype=np.int8)
        for h, (layer, picked) in enumerate(zip(layers, grid, strict=True)):
            table[:, h, : sizes[h]] = layer[picked]
        yield table, sizes


def _sets_of_ways(n):
    """Sets of the 2^n ways to act in a layer; one of those that differ by names only if n is 3."""
    ways = range(2**n)
    names = [(order, flip) for order in permutations(range(n)) for flip in ways]
    if n < 3:
        names = [(tuple(range(n)), 0)]
    moved = [
        [sum((w >> s & 1) << order[s] for s in range(n)) ^ flip for w in ways]
        for order, flip in names
    ]
    for bits in range(1, 2 ** len(ways)):
        images = (sum(1 << move[w] for w in ways if bits >> w & 1) for move in moved)
        if all(bits <= image for image in images):
            yield [w for w in ways if bits >> w & 1]


def named():
    """Every class that has a name, up to three states and three layers."""
    for horizon, states in product((1, 2, 3), repeat=2):
        shape = {"horizon": horizon, "states": states}
        ones = range(1, horizon * states + 1)
        found = [
            PolicyClass.constant(**shape),
            PolicyClass.open_loop(**shape),
            PolicyClass.singletons(**shape),
            *(PolicyClass.l_tons(k, **shape) for k in ones),
            *(PolicyClass.l_tons(k, **shape, exactly=True) for k in ones),
            *(PolicyClass.one_active(**shape, state=j) for j in range(states)),
            PolicyClass.all_active(**shape),
            PolicyClass.tabular(**shape),
        ]
        if states == 2:
            found += [PolicyClass.trees(depth, horizon=horizon, bits=1) for depth in (0, 1)]
        for policies in found:
            yield np.asarray(policies.table), (states,) * horizon


def drawn(count, *sizes):
    """Random classes from sparse to dense, from few policies to as many as fit."""
    generator = np.random.default_rng(len(sizes))
    for _ in range(count):
        policies = int(np.exp(generator.uniform(0, np.log(2 ** sum(sizes)))))
        share = generator.choice([0.05, 0.2, 0.5])
        table = generator.random((policies, len(sizes), max(sizes))) < share
        yield table.astype(np.int8), sizes
