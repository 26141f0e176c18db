"""Counts what was tried: each promise in docs/reliability.md is so many cases."""

from collections import Counter
from collections.abc import Callable

import pytest

# Called with what was tried, for example "mutants rejected", and how many.
Tried = Callable[..., None]


@pytest.fixture
def tried(request: pytest.FixtureRequest) -> Tried:
    """Counts the cases of a test; pytest prints the sums at its end, and they are in its XML."""
    counts: Counter[str] = Counter()

    def count(what: str, cases: int = 1) -> None:
        counts[what] += cases
        request.node.user_properties = list(counts.items())

    return count


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Adds up what the tests' reports say, which also arrive from processes of pytest-xdist."""
    sums: dict[str, Counter[str]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") == "call" and report.user_properties:
                test = report.nodeid.partition("[")[0].partition("@")[0]
                sums.setdefault(test, Counter()).update(dict(report.user_properties))
    if sums:
        terminalreporter.section("cases tried")
        for test, counts in sums.items():
            words = ", ".join(f"{cases:,} {what}" for what, cases in counts.items())
            terminalreporter.write_line(f"{test.rpartition('/')[2]}: {words}")
