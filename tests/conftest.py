"""What all tests share: strategies importable from every test, and properties without a clock."""

import sys
from pathlib import Path

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

# The first example of a property may load compiled code; how long it takes says nothing. The
# numbers of examples keep the default run short; `--hypothesis-profile=thorough` asks for more.
settings.register_profile("untimed", settings.default, deadline=None, max_examples=40)
settings.register_profile("thorough", settings.default, deadline=None, max_examples=400)
settings.load_profile("untimed")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Keep a module's tests in one process: what they share is drawn, or compiled, only once."""
    if config.getoption("dist") != "load":
        return None
    from xdist.scheduler import LoadFileScheduling

    return LoadFileScheduling(config, log)
