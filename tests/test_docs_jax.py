"""The page on JAX: its blocks run, and its table of what is there is that of the signatures."""

import inspect

import doc_pages
import numpy as np
import pytest

from rltheory import games
from rltheory.analysis import oblr_po
from rltheory.tabular import plan_many, robust_value_iteration, value_iteration

pytest.importorskip("jax")


def test_the_blocks_run_and_say_what_they_say():
    names = doc_pages.run(doc_pages.read("jax.md"), "jax.md")
    assert max(solution.gap for solution in names["solved"]) <= 1e-8
    np.testing.assert_allclose(np.asarray(names["slope"]).sum(axis=1), 0.95, rtol=1e-12)
    assert len(names["runs"]) == 8


@pytest.mark.parametrize(
    "function",
    [value_iteration, robust_value_iteration, plan_many, games.cfr, games.cfr_many, oblr_po],
)
def test_what_the_table_names_takes_a_backend(function):
    assert "backend" in inspect.signature(function).parameters
    assert function.__name__ in doc_pages.read("jax.md")
