"""Counts what was tried: each promise in docs/reliability.md is so many cases."""

from collections import Counter
from collections.abc import Callable

import pytest

_TRIED: pytest.StashKey[dict[str, Counter[str]]] = pytest.StashKey()

# Called with what was tried, for example "mutants rejected", and how many.
Tried = Callable[[str, int], None]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_TRIED] = {}


@pytest.fixture
def tried(request: pytest.FixtureRequest) -> Tried:
    """Counts cases; the sums stand at the end of what pytest prints, and in its XML."""
    counts = request.config.stash[_TRIED].setdefault(
        request.node.nodeid.partition("[")[0], Counter()
    )

    def count(what: str, cases: int = 1) -> None:
        counts[what] += cases
        request.node.user_properties = [(what, str(counts[what]))]

    return count


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    tried = terminalreporter.config.stash[_TRIED]
    if tried:
        terminalreporter.section("cases tried")
        for test, counts in tried.items():
            words = ", ".join(f"{count:,} {what}" for what, count in counts.items())
            terminalreporter.write_line(f"{test.rpartition('/')[2]}: {words}")
