"""Every figure is documented, selectable by name, and the same byte for byte when drawn again."""

import inspect
import os
import re
import subprocess
import sys

import pytest

from rltheory.paper_figures import registry

NAMES = [figure.name for figure in registry.figures()]


@pytest.mark.parametrize("figure", registry.figures(), ids=NAMES)
def test_a_figure_says_what_it_shows(figure):
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", figure.name)
    assert figure.title
    assert figure.source
    assert figure.caption.endswith(".")
    assert set(figure.settings) == set(registry.SCALES)
    assert inspect.getmodule(figure.draw).__doc__.strip().endswith("?")


def test_names_globs_and_none_select():
    assert [f.name for f in registry.select()] == sorted(NAMES)
    assert [f.name for f in registry.select(["bounds"])] == ["bounds"]
    assert [f.name for f in registry.select("bounds")] == ["bounds"]
    assert {f.name for f in registry.select(["b*", "p*"])} == {n for n in NAMES if n[0] in "bp"}


def test_an_unknown_scale_is_named(tmp_path):
    with pytest.raises(ValueError, match="scale is 'huge'"):
        registry.render("bounds", tmp_path, scale="huge")


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """The files of a figure, drawn with seed 0 in this process."""
    return registry.render("bounds", tmp_path_factory.mktemp("here"))


def test_another_process_draws_the_same_bytes(here, tmp_path):
    code = (
        "from rltheory.paper_figures import registry; "
        f"registry.render('bounds', {str(tmp_path / 'there')!r})"
    )
    # Another hash seed reorders every set of strings; nothing of that may reach a file.
    environment = os.environ | {"PYTHONHASHSEED": "12345", "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    for path in here.values():
        assert path.read_bytes() == (tmp_path / "there" / path.name).read_bytes()


def test_another_seed_draws_other_data(here, tmp_path):
    other = registry.render("bounds", tmp_path, seed=1)
    assert here["csv"].read_bytes() != other["csv"].read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_figure_is_drawn_the_same_twice(name, tmp_path):
    first, second = (registry.render(name, tmp_path / str(k)) for k in range(2))
    for kind in first:
        assert first[kind].read_bytes() == second[kind].read_bytes()
