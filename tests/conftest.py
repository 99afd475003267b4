"""What all tests share: strategies importable from every test, and properties without a clock."""

import sys
from pathlib import Path

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

# Fixtures from a module, so that `browser_page` is known to every test.
pytest_plugins = ("browser",)

# The first example of a property may load compiled code; how long it takes says nothing. The
# numbers of examples keep the default run short; `--hypothesis-profile=thorough` asks for more.
settings.register_profile("untimed", settings.default, deadline=None, max_examples=20)
settings.register_profile("thorough", settings.default, deadline=None, max_examples=400)
# For tests/fuzz: more than ten thousand inputs.
settings.register_profile("fuzz", settings.default, deadline=None, max_examples=1000)
settings.load_profile("untimed")


# With several processes: drawings take longest and go first; the claims, many and short, are dealt
# out by topic at the end, so that no process is left alone with a long file.
CLAIMS = {"test_claims.py", "test_mutations.py"}


def place(path):
    """Where a file stands in the order of tests."""
    if path.parent.name == "theory" and path.name in CLAIMS:
        return 2
    return 0 if path.parent.name == "figures" else 1


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: place(item.path))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Keep a module's tests in one process: what they share is drawn, or compiled, only once."""
    if config.getoption("dist") != "load":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            topic = nodeid.partition("[")[2].partition("/")[0]
            return f"{file}[{topic}" if place(Path(file)) == 2 else file

    config.option.loadscopereorder = False
    return Scheduling(config, log)
