"""The engine refutes the control of every theorem, and the theorem with sign or constant turned."""

from fractions import Fraction

import pytest
import theory_examples as examples
from theory_examples import theorem

from rltheory.theory import falsify, theorems
from rltheory.theory.mutations import MutatedSides, mutations

EXAMPLES = [
    examples.EXACT,
    examples.IDENTITY,
    examples.CERTIFIED,
    examples.RATE,
    examples.SEPARATION,
    examples.FIXED,
]


LONGER = {
    ("estimators/softmax-smoothness", "constant"),
    ("learning/optimistic-gradient-is-fast", "constant"),
}
"""The variants that fall at the standard budget only."""


def cases(records):
    return [
        pytest.param(record, role, id=f"{record.id}-{role}")
        for record in records
        for role in ("control", "sign", "constant")
    ]


@pytest.mark.parametrize(("record", "role"), cases([*theorems(), *EXAMPLES]))
def test_false_variants_fall(record, role):
    budget = "standard" if (record.id, role) in LONGER else "quick"
    refuted, attempt = falsify(record, role=role, budget=budget)
    assert refuted, f"the {role} of {record.id} survives {attempt.instances} instances"


def test_what_is_turned():
    x = Fraction(1, 4)
    assert mutations(examples.EXACT)["sign"].sides(x) == (x, x * x)
    assert mutations(examples.EXACT)["constant"].sides(x) == (x * x, Fraction(3, 4) * x)
    assert mutations(examples.IDENTITY)["sign"].sides(x) == (2 * x, -2 * x)
    assert mutations(examples.IDENTITY)["constant"].sides(x)[1] == 2 * x * (1 + Fraction(1, 2**20))


def test_negative_right_sides_are_strengthened_too():
    record = theorem("example/negative", lambda x: (-2 * x - 1, -x - 1), examples.doubled)
    turned = mutations(record)["constant"].sides(Fraction(1))
    assert turned == (-3, -4)
    assert falsify(record, role="constant", budget="quick")[0]


def test_the_left_side_is_turned_where_the_record_says_so():
    record = theorem("example/left", examples.square, examples.doubled, mutable_side="left")
    x = Fraction(1, 4)
    assert mutations(record)["constant"].sides(x) == (2 * x * x, x)
    identity = theorem(
        "example/left-identity",
        examples.doubled,
        examples.doubled_wrongly,
        kind="identity",
        mutable_side="left",
    )
    assert mutations(identity)["sign"].sides(x) == (-2 * x, 2 * x)


def test_a_loose_bound_survives_its_constant_turned():
    loose = theorem("example/loose", lambda x: (x, x + 100), examples.doubled_wrongly)
    assert not falsify(loose, role="constant", budget="quick")[0]


def test_an_identity_known_too_loosely_survives_its_constant_turned():
    loose = theorem("example/vague", examples.touching, examples.doubled_wrongly, kind="identity")
    assert not falsify(loose, role="constant", budget="quick")[0]


@pytest.mark.parametrize("kind", ["identity", "inequality"])
def test_a_mutation_that_changes_nothing_is_an_error(kind):
    def against_zero(x):
        return (x if kind == "identity" else -x) * 0, Fraction(0)

    record = theorem("example/zero", against_zero, examples.doubled_wrongly, kind=kind)
    with pytest.raises(ValueError, match=r"example/zero: turning the constant changes nothing"):
        falsify(record, role="constant", budget="quick")
    if kind == "identity":
        with pytest.raises(ValueError, match="turning the sign changes nothing"):
            falsify(record, role="sign", budget="quick")


def test_effective_says_whether_anything_was_there_to_turn():
    sides = MutatedSides(examples.EXACT, "constant")
    sides(Fraction(0))
    assert not sides.effective
    sides(Fraction(1))
    assert sides.effective


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("sharpness", 0.0, "sharpness is 0.0"),
        ("sharpness", 1.0, "sharpness is 1.0"),
        ("mutable_side", "middle", "mutable_side is 'middle'"),
        ("kind", "lemma", "kind is 'lemma'"),
        ("sizes", (), "sizes is empty"),
        ("cost", 0.0, "cost is 0.0"),
    ],
)
def test_bad_fields_are_named_with_the_record(field, value, message):
    with pytest.raises(ValueError, match=f"example/bad: {message}"):
        theorem("example/bad", examples.square, examples.square, **{field: value})
