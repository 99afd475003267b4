"""Every verdict is reached by a theorem that deserves it, and by the same bits every time."""

import errno
import json
import os
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import theory_examples as examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from theory_examples import theorem

from rltheory.theory import falsify, replay, store, theorems, verify
from rltheory.theory.engine import variant
from rltheory.theory.search import BUDGETS, Budget, attack, compared
from rltheory.theory.store import Store, fingerprint
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control
from rltheory.theory.verdict import EXISTENTIAL, decode_instance, decode_result, encode


def one(record, **settings):
    (result,) = verify([record], budget="quick", **settings)
    return result


@pytest.mark.parametrize(
    ("record", "verdict"),
    [
        (examples.EXACT, "holds (exact)"),
        (examples.IDENTITY, "holds (exact)"),
        (examples.CERTIFIED, "holds (certified bound)"),
        (examples.PARTLY, "holds"),
        (examples.FLOATS, "holds"),
        (examples.RATE, "holds"),
        (examples.SEPARATION, "holds (exact)"),
        (examples.CERTIFIED_SEPARATION, "holds (certified bound)"),
        (examples.FIXED, "holds (exact)"),
        (examples.FALSE, "refuted"),
        (examples.SURVIVING, "untested"),
    ],
    ids=lambda value: getattr(value, "id", ""),
)
def test_each_verdict_is_reached(record, verdict):
    result = one(record)
    assert result.verdict == verdict
    assert result.holds == verdict.startswith("holds")
    assert result.holds == (result.reason == "")
    assert result.attempt.instances > 0
    if verdict == "holds":
        count, tightness = result.attempt.satisfied, result.attempt.tightness
        assert result.label.startswith(
            f"holds on {count} instances, tightness {tightness:.1f}"[:-2]
        )


def test_undecided_instances_are_counted_and_prevent_a_stronger_verdict():
    result = one(examples.PARTLY)
    assert result.attempt.inconclusive > 0
    assert result.attempt.satisfied > 0
    assert result.attempt.instances == result.attempt.inconclusive + result.attempt.satisfied


def test_enclosures_that_always_overlap_leave_a_theorem_untested():
    record = theorem("example/wide", examples.touching_loosely, examples.square_reversed)
    result = one(record)
    assert result.verdict == "untested"
    assert "overlapping" in result.reason


def test_an_enclosure_without_end_does_not_make_an_identity_hold():
    def sides(x):
        return enclosed(-np.inf, np.inf), x

    def enclosed(low, high):
        return examples.Bounds(np.asarray(low), np.asarray(high))

    result = one(theorem("example/endless", sides, examples.doubled_wrongly, kind="identity"))
    assert result.verdict == "untested"


def test_a_violation_is_kept_with_the_instance_and_replayed():
    result = one(examples.FALSE)
    worst = result.attempt.worst
    assert worst.comparison.state == "violated"
    assert Fraction(worst.left) > Fraction(worst.right)
    same, found = replay(worst, examples.FALSE)
    assert same
    assert found.comparison == worst.comparison


def test_replay_notices_other_bits():
    worst = one(examples.EXACT).attempt.worst
    same, _ = replay(worst, theorem(worst.theorem, examples.doubled, examples.square_reversed))
    assert not same


def test_a_surviving_control_is_named():
    result = one(examples.SURVIVING)
    assert not result.control_refuted
    assert "false twin" in result.reason
    assert "survived" in result.reason


def test_a_separation_nobody_can_find_is_refuted_and_one_too_fine_to_see_is_not():
    nowhere = theorem("example/nowhere", examples.no_gap, examples.no_gap, kind="separation")
    assert one(nowhere).verdict == "refuted"
    unseen = theorem("example/unseen", examples.touching, examples.no_gap, kind="separation")
    assert one(unseen).verdict == "untested"


def test_the_control_of_a_separation_falls_only_by_enclosures_finer_than_the_gap():
    wide = theorem(
        "example/wide-control", examples.separated, examples.touching_loosely, kind="separation"
    )
    assert one(examples.CERTIFIED_SEPARATION).control_refuted
    result = one(wide)
    assert result.control.inconclusive == result.control.instances
    assert result.verdict == "untested"


def test_hypotheses_filter_instances_and_a_theorem_about_nothing_is_untested():
    def large(x):
        return x > Fraction(1, 2)

    def never(x):
        return False

    some = one(theorem("example/some", examples.square, examples.square_reversed, admissible=large))
    assert some.attempt.skipped > 0
    assert some.verdict == "holds (exact)"
    nothing = theorem("example/none", examples.square, examples.square_reversed, admissible=never)
    assert one(nothing).verdict == "untested"


def test_a_control_that_drops_a_hypothesis_brings_its_own_sampler():
    def negative(tape, size):
        return -examples.number(tape, size) - 1

    record = theorem(
        "example/dropped",
        lambda x: (x, x * x + Fraction(1, 4)),
        examples.square,
        admissible=lambda x: x >= 0,
        control=Control(
            name="negative numbers",
            explanation="The numbers are negative and the order is turned.",
            sample=negative,
            sides=lambda x: (x * x, x),
        ),
    )
    assert one(record).verdict == "holds (exact)"


@pytest.mark.parametrize("place", ["sample", "sides", "admissible", "details", "rounding"])
def test_an_exception_names_theorem_and_instance_and_stops_only_that_theorem(place):
    def broken(*arguments):
        raise ZeroDivisionError("no such number")

    fields = {place: broken}
    sides = fields.pop("sides", examples.square)
    record = theorem("example/broken", sides, examples.square_reversed, **fields)
    results = verify([record, examples.EXACT], budget="quick")
    assert [result.verdict for result in results] == ["untested", "holds (exact)"]
    assert "example/broken" in results[0].reason
    assert "no such number" in results[0].reason
    assert "of size " in results[0].reason
    with pytest.raises(ValueError, match=r"example/broken: .* of size \d with tape"):
        falsify(record, budget="quick")


def test_a_plain_float_without_a_rounding_bound_is_an_error_of_the_record():
    result = one(theorem("example/careless", examples.in_floats, examples.square_reversed))
    assert result.verdict == "untested"
    assert "plain float" in result.reason


def test_local_search_reaches_a_corner_that_random_instances_miss():
    """All ten coordinates must be near one: chance 2 ** -50 at random."""

    def corner(x):
        return sum(x), 10 - Fraction(10, 32)

    record = theorem("example/corner", corner, corner, sample=examples.vector, sizes=(10,))
    assert attack(record, Budget(300, 1), 0).violated == 0
    attempt = attack(record, BUDGETS["deep"], 0, stop=True)
    assert attempt.violated == 1
    assert attempt.worst.comparison.state == "violated"


def test_local_search_finds_ties():
    """Equal coordinates have probability about 1 / 1024 each at random."""

    def distinct(x):
        return Fraction(len(set(x)) == 1), Fraction(1, 2)

    record = theorem("example/ties", distinct, distinct, sample=examples.vector, sizes=(2,))
    assert attack(record, BUDGETS["deep"], 0, stop=True).violated == 1


def test_a_sampler_that_ignores_its_tape_is_evaluated_once_per_size():
    result = one(examples.FIXED)
    assert result.attempt.instances == len(examples.FIXED.sizes)


@pytest.mark.slow
@pytest.mark.parametrize("record", theorems(), ids=lambda record: record.id)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.floats(0, 1), max_size=60), st.integers(0, 2**32), st.data())
def test_hypothesis_finds_no_violation_either(record, vector, seed, data):
    """Another searcher than ours, with a taste of its own for zeros, ones and repetitions."""
    size = data.draw(st.sampled_from(record.sizes))
    found = compared(record, size, Tape(vector, seed=seed))
    if found is not None and record.kind not in EXISTENTIAL:
        assert found.state != "violated"


def test_budgets_grow_and_the_cost_divides_them():
    quick, standard = (
        attack(examples.EXACT, BUDGETS[name], 0).instances for name in ("quick", "standard")
    )
    assert quick < standard
    dear = theorem("example/dear", examples.square, examples.square_reversed, cost=10.0)
    assert one(dear).attempt.instances <= one(examples.EXACT).attempt.instances / 9


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32))
def test_the_seed_determines_everything(seed):
    first, second = one(examples.EXACT, seed=seed), one(examples.EXACT, seed=seed)
    assert first.same_as(second)
    other = one(examples.EXACT, seed=seed + 1)
    assert not first.same_as(other)


def test_results_do_not_depend_on_the_number_of_processes():
    cheap = [record for record in theorems() if record.cost <= 1][:5]
    assert len(cheap) == 5, "fewer would run in this process in both cases"
    alone = verify(cheap, budget="quick", jobs=1)
    together = verify(cheap, budget="quick", jobs=2)
    assert all(a.same_as(b) for a, b in zip(alone, together, strict=True))


@pytest.mark.parametrize(
    "record", [examples.EXACT, examples.FALSE, examples.FIXED, examples.PARTLY], ids=lambda r: r.id
)
def test_json_keeps_every_bit(record):
    result = one(record)
    again = decode_result(json.loads(json.dumps(encode(result), allow_nan=False)))
    assert again == result
    worst = result.attempt.worst
    assert decode_instance(json.loads(json.dumps(encode(worst)))) == worst


def test_the_store_resumes_and_forgives_a_half_written_line(tmp_path):
    path = tmp_path / "deep" / "run.jsonl"
    seen = []
    first = verify([examples.EXACT], budget="quick", store=path, on_result=seen.append)
    assert seen == list(first)
    with path.open("a") as file:
        file.write('{"theorem": "example/half')
    assert [r.theorem for r in Store(path).results()] == ["example/exact"]

    both = [examples.EXACT, examples.IDENTITY]
    results = verify(both, budget="quick", store=path, resume=True)
    assert results[0] == first[0], "taken from the store, its time included"
    assert [r.theorem for r in Store(path).results()] == ["example/exact", "example/identity"]
    assert verify(both, budget="quick", store=path, resume=True) == results
    assert len(Store(path).results()) == 2


def test_resuming_takes_nothing_from_another_seed_budget_or_source(tmp_path):
    path = tmp_path / "run.jsonl"
    verify([examples.EXACT], budget="quick", store=path)
    verify([examples.EXACT], budget="quick", store=path, resume=True, seed=1)
    verify([examples.EXACT], budget="standard", store=path, resume=True)
    changed = theorem("example/exact", examples.square, examples.square_reversed, sizes=(2,))
    assert fingerprint(changed) != fingerprint(examples.EXACT)
    verify([changed], budget="quick", store=path, resume=True)
    assert len(Store(path).results()) == 4
    assert Store(path).latest()["example/exact"].fingerprint == fingerprint(changed)


@pytest.mark.parametrize(
    ("changed", "counts"),
    [
        ("games/kernels.py", True),
        ("linear_mdp/planning.py", True),
        ("tabular/uncertainty/base.py", True),
        ("theory/search.py", True),
        ("theory/records/bellman.py", False),
        ("theory/report.py", False),
        ("analysis/plotting.py", False),
    ],
)
def test_a_verdict_is_stale_when_what_it_depends_on_has_changed(changed, counts, monkeypatch):
    """The solvers and the engine of all packages count, and what only shows results does not."""
    store._library_source.cache_clear()
    before = store._library_source()
    store._library_source.cache_clear()
    read = Path.read_bytes
    seen = []

    def edited(path):
        seen.append(path.as_posix().endswith(changed))
        return read(path) + b"#" * seen[-1]

    monkeypatch.setattr(Path, "read_bytes", edited)
    try:
        assert (store._library_source() != before) is counts
        assert any(seen) is counts
    finally:
        store._library_source.cache_clear()


def test_a_full_disk_is_named_and_stops_the_workers_quietly(tmp_path, monkeypatch):
    def full(file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with pytest.raises(OSError, match="No space left") as caught:
            verify(["bellman/*"], budget="quick", store=tmp_path / "run.jsonl", jobs=2)
    assert not heard
    assert caught.value.filename == str(tmp_path / "run.jsonl")


def test_a_damaged_store_is_named_with_its_line(tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_text("{}\nnonsense\n")
    with pytest.raises(ValueError, match=r"run\.jsonl, line 1 is not a result: .*'theorem'"):
        Store(path).results()
    path.write_text("nonsense\n{}\n")
    with pytest.raises(ValueError, match="line 1 is not a result"):
        verify([examples.EXACT], budget="quick", store=path, resume=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"budget": "huge"}, "budget is 'huge'; expected one of quick, standard, deep"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"jobs": 0}, "jobs is 0"),
        ({"resume": True}, "resume needs the store"),
        ({"ids": "nothing/like-this"}, "unknown theorem"),
    ],
)
def test_bad_arguments_are_named(settings, message):
    ids = settings.pop("ids", [examples.EXACT])
    with pytest.raises(ValueError, match=message):
        verify(ids, **settings)


def test_unknown_roles_are_named():
    with pytest.raises(ValueError, match="role is 'twin'; expected one of theorem, control"):
        variant(examples.EXACT, "twin")
