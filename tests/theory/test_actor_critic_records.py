"""What the records on actor-critics compute with, against solvers, listings and floats."""

from fractions import Fraction
from itertools import permutations, product

import numpy as np
import pytest
from scipy.optimize import linprog, minimize_scalar
from scipy.special import lambertw

from rltheory.tabular.finite_horizon import backward_induction
from rltheory.theory import actor_critic_instances as actors
from rltheory.theory import linear_instances
from rltheory.theory.exact import fractions
from rltheory.theory.records import (
    actor_critic_coverage,
    actor_critic_dimension,
    actor_critic_epochs,
    actor_critic_hedge,
    actor_critic_losses,
    actor_critic_regret,
    actor_critic_sets,
    actor_critic_switches,
)
from rltheory.theory.tape import Tape

SEEDS = pytest.mark.parametrize("seed", range(12))


def tape(seed):
    return Tape(seed=(seed, 67))


def as_floats(array):
    return np.asarray(array, dtype=float)


@SEEDS
def test_values_agree_with_backward_induction(seed):
    play = actors.play(tape(seed), 3)
    model = actors.exact(play.mdp)
    rows = as_floats(play.policy)
    for policy, public in (
        (None, backward_induction(play.mdp, arithmetic="rational")),
        (play.policy, backward_induction(play.mdp, policy=rows, arithmetic="rational")),
    ):
        assert actors.value(model, policy) == model.start @ public.values[0]
        again = actors.backup(model, public.action_values, policy)
        assert np.array_equal(again, public.action_values)
    assert actors.value(model, actors.optimal_policy(model)) == actors.value(model)


@SEEDS
def test_visits_are_frequencies_of_listed_paths(seed):
    play = actors.play(tape(seed), 2)
    mdp, model = play.mdp, actors.exact(play.mdp)
    found = np.zeros_like(model.rewards) + Fraction(0)
    pairs = list(product(range(mdp.states), range(mdp.actions)))
    for path in product(pairs, repeat=mdp.horizon):
        weight = model.start[path[0][0]]
        for h, (s, a) in enumerate(path):
            weight *= play.policy[h, s, a]
            if h + 1 < mdp.horizon:
                weight *= model.kernels[h, s, a, path[h + 1][0]]
        for h, (s, a) in enumerate(path):
            found[h, s, a] += weight
    assert np.array_equal(actors.visits(model, play.policy), found)


@SEEDS
def test_regret_forms_by_simulated_dynamic_programming(seed):
    # In floats, with the gap between two policies taken one step of replacement at a time.
    play = actors.play(tape(seed), 3)
    values = [
        backward_induction(play.mdp, policy=as_floats(p)).values[0]
        for p in (play.reference, play.policy)
    ]
    lost = play.mdp.initial @ (values[0] - values[1])
    left, right = actor_critic_regret.policy_form_sides(play)
    assert float(left) == pytest.approx(lost, abs=1e-12)
    assert left == right
    promised = play.mdp.initial @ as_floats(play.critic[0]).max(axis=1)
    left, right = actor_critic_regret.greedy_form_sides(play)
    assert float(left) == pytest.approx(promised - play.mdp.initial @ values[1], abs=1e-12)
    assert left == right


@SEEDS
def test_drawn_critics_satisfy_the_hypotheses(seed):
    promising = actor_critic_regret.sample_promising(tape(seed), 3)
    model = actors.exact(promising.mdp)
    assert actors.claimed(model, promising.critic) >= actors.value(model)
    evaluated = actor_critic_regret.sample_evaluated(tape(seed), 3)
    model = actors.exact(evaluated.mdp)
    assert np.all(evaluated.critic >= actors.backup(model, evaluated.critic, evaluated.policy))
    covered = actor_critic_regret.sample_covered(tape(seed), 3)
    assert np.all(covered.data.sum(axis=1) == 1)
    assert np.all((covered.data > 0) | (covered.visited == 0))


@SEEDS
def test_hedge_of_the_records_is_hedge(seed):
    updates = actor_critic_hedge.sample_updates(tape(seed), 3)
    weights, lost = as_floats(updates.start), 0.0
    for gains in as_floats(updates.gains):
        policy = weights / weights.sum()
        lost += (as_floats(updates.comparator) - policy) @ gains
        weights = policy * np.exp(float(updates.step) * gains)
    left, right = actor_critic_hedge.ledger_sides(updates)
    assert float(left.lower) == pytest.approx(float(updates.step) * lost, abs=1e-9)
    assert float(right.lower) == pytest.approx(float(left.lower), abs=1e-9)
    regret, bound = actor_critic_hedge.any_start_sides(updates)
    assert float(regret.lower) == pytest.approx(lost, abs=1e-9)
    assert regret.upper <= bound.lower


@pytest.mark.parametrize("actions", [2, 3, 10])
def test_worst_gap_is_lamberts(actions):
    def gap(x):
        rest = (actions - 1) * np.exp(-x)
        return x * rest / (1 + rest)

    worst = minimize_scalar(lambda x: -gap(x), bounds=(0, 20), method="bounded")
    known = lambertw((actions - 1) / np.e).real
    assert -worst.fun == pytest.approx(known, rel=1e-8)
    assert actor_critic_epochs._lambert(actions) == pytest.approx(known, rel=1e-12)
    assert known < np.log(actions)


@SEEDS
def test_stalled_actor_as_simulated(seed):
    instance = actor_critic_epochs.sample_doubling(tape(seed), 2)
    gap = 1.0 + max(instance.critic)
    logits, lost = np.zeros(2), 0.0
    for critic in ([0, gap], [gap, 0]):
        lost = 0.0
        for _ in range(instance.updates):
            weights = 2.0**logits
            lost += gap - np.array(critic) @ weights / weights.sum()
            logits = logits + critic
    assert float(actor_critic_epochs.stalled_sides(instance)[1]) == pytest.approx(lost)


@SEEDS
def test_excess_losses_by_least_squares(seed):
    data = actor_critic_losses.sample_data(tape(seed), 3)
    targets = as_floats(data.rewards + data.following[data.states])
    features = np.eye(3)[data.pairs]
    best = features @ np.linalg.lstsq(features, targets)[0]
    excess = ((as_floats(data.now)[data.pairs] - targets) ** 2).sum() - (
        (best - targets) ** 2
    ).sum()
    left, right = actor_critic_losses.table_sides(data)
    assert left == right
    assert float(left) == pytest.approx(excess, abs=1e-9)


@SEEDS
def test_crossing_probability_by_listing_paths(seed):
    kept = actor_critic_sets.sample_kept(tape(seed), 2)._replace(rounds=8)
    mean = Fraction(kept.sixteenths, 16)
    for share, kind in ((Fraction(1), "optimum"), (Fraction(1, 2), "member")):
        total = Fraction(0)
        for path in product((0, 1), repeat=kept.rounds):
            weight = Fraction(1)
            for y in path:
                weight *= mean if y else 1 - mean
            if any(crosses(path[:t], mean, kept, kind) for t in range(1, 9)):
                total += weight
        assert actor_critic_sets.crossed(kept, share) == total


def crosses(path, mean, kept, kind):
    """By the losses themselves, as the two statements have them."""
    loss = {e: sum((mean + e - y) ** 2 for y in path) for e in (0, *kept.errors)}
    if kind == "optimum":
        return any(loss[0] - loss[e] >= kept.threshold for e in kept.errors)
    return any(
        len(path) * e**2 >= 2 * (loss[e] - loss[0]) + 2 * kept.threshold for e in kept.errors
    )


def test_trap_is_one_in_a_loop():
    # GOLF on the two critics: the wrong one is never out, whatever it plays.
    trap = actor_critic_sets.Trap(Fraction(1), 50)
    model = actor_critic_sets.trap_model(trap)
    best = as_floats(linear_instances.solve(model.kernels, model.rewards).action_values)
    wrong = best.copy()
    wrong[1, 1, 1] = 0.0
    losses, earned = np.zeros((2, 2)), 0.0
    for _ in range(50):
        state = 0
        for h in range(2):
            action = int(wrong[h, state].argmax())
            reward = float(model.rewards[h, state, action])
            earned += reward
            target = reward + (wrong[1, 1].max() if h == 0 else 0.0)
            for number, critic in enumerate((best, wrong)):
                losses[h, number] += (critic[h, state, action] - target) ** 2
            state = 1
        assert np.all(losses[:, 1] <= losses.min(axis=1))
    assert earned == 0.0
    assert actor_critic_sets.trapped(trap, complete=False) == (1, 0, 0)
    assert actor_critic_sets.trapped(trap, complete=True) == (1, 0, 50)


@SEEDS
def test_policies_met_by_following_every_order(seed):
    critics = actor_critic_sets.sample_critics(tape(seed), 2)
    met = set()
    for order in product(critics.critics, repeat=critics.updates):
        logits = np.sum(order, axis=0) / 64
        weights = np.exp(logits - logits.max())
        met.add(tuple(np.round(weights / weights.sum(), 12)))
    assert len(met) == actor_critic_sets.covered_sides(critics)[0]


@SEEDS
def test_coverability_by_a_linear_program(seed):
    mdp = actor_critic_coverage.sample_reach(tape(seed), 2)
    visits = as_floats(actor_critic_coverage.pure_visits(mdp))
    for h in range(mdp.horizon):
        rows = visits[:, h].reshape(len(visits), -1)
        eye = np.tile(np.eye(rows.shape[1]), (len(rows), 1))
        # C mu >= d for every policy, least total C.
        found = linprog(np.ones(rows.shape[1]), A_ub=-eye, b_ub=-rows.ravel())
        reach = actors.reached(actors.exact(mdp))[h].sum() * mdp.actions
        assert found.fun == pytest.approx(float(reach), abs=1e-9)


def longest_by_listing(functions, scale):
    """The eluder dimension from its definition: every order of points, every scale that matters."""
    squares = functions**2
    count, points = squares.shape
    sums = {sum(row[list(some)]) for row in squares for some in subsets(points)}
    best = 0
    for square in {scale**2} | {x for x in sums if x >= scale**2}:
        for order in permutations(range(points)):
            for length in range(best + 1, points + 1):
                chosen = order[:length]
                if all(
                    any(
                        sum(squares[g, list(chosen[:i])], Fraction(0)) <= square < squares[g, z]
                        for g in range(count)
                    )
                    for i, z in enumerate(chosen)
                ):
                    best = length
    return best


def subsets(count):
    for mask in product((False, True), repeat=count):
        yield [i for i in range(count) if mask[i]]


@SEEDS
@pytest.mark.parametrize("points", [1, 3, 4])
def test_eluder_dimension_by_its_definition(seed, points):
    errors = actor_critic_dimension.sample_errors(tape(seed), points)
    found = actor_critic_dimension.dimension(errors.functions, errors.scale)
    assert found == longest_by_listing(errors.functions, errors.scale)


def test_eluder_dimension_of_indicators_is_their_number():
    assert actor_critic_dimension.dimension(fractions(np.eye(4)), Fraction(1, 2)) == 4
    assert actor_critic_dimension.dimension(fractions(np.eye(4)), Fraction(1)) == 0


@SEEDS
def test_rank_is_numpys(seed):
    functions = actor_critic_dimension.sample_errors(tape(seed), 4).functions
    assert actor_critic_dimension._rank(functions) == np.linalg.matrix_rank(as_floats(functions))


@SEEDS
def test_switches_by_hand(seed):
    visits = actor_critic_switches.sample_visits(tape(seed), 3)
    switched, total = [], np.zeros(3)
    for episode, pair in enumerate(visits.sequence):
        before = np.zeros(3) if not switched else history(visits, switched[-1])
        total = history(visits, episode)
        if total[pair] >= 2 * before[pair] and total[pair] > before[pair]:
            switched.append(episode)
    assert actor_critic_switches.table_switches(visits) == len(switched)
    design = actor_critic_switches.sample_rounds(tape(seed), 3)
    volume, switches = actor_critic_switches._volume(design)
    x, ridge = as_floats(design.features), float(design.ridge)
    assert float(volume) == pytest.approx(np.linalg.det(np.eye(3) + x.T @ x / ridge))
    assert 2**switches <= volume


def history(visits, episode):
    return np.bincount(visits.sequence[: episode + 1], minlength=visits.pairs)


@SEEDS
def test_epochs_of_the_residual_test(seed):
    # Every epoch's critic used at most the threshold before it, and reached the factor in it.
    tested = actor_critic_switches.sample_tested(tape(seed), 3)
    sequence, start, epochs = list(tested.visits.sequence), 0, 0
    while True:
        squares = tested.squares[start]
        used = sum((squares[z] for z in sequence[:start]), Fraction(0))
        scale = tested.share / used if used else Fraction(tested.factor)
        sums = [
            scale * sum((squares[z] for z in sequence[:t]), Fraction(0))
            for t in range(start + 1, len(sequence) + 1)
        ]
        ends = [t for t, total in enumerate(sums, start=start + 1) if total >= tested.factor]
        if not ends:
            break
        start, epochs = ends[0], epochs + 1
    assert actor_critic_switches.residual_switches(tested) == epochs


@SEEDS
def test_best_test_is_the_likelihood_ratios(seed):
    pair = actor_critic_switches.sample_pair(tape(seed), 2)
    first, second = (
        actor_critic_switches._joint(law, pair.draws) for law in (pair.first, pair.second)
    )
    assert first.sum() == second.sum() == 1
    least, _ = actor_critic_switches.tests_sides(pair)
    assert least == np.minimum(first, second).sum()
