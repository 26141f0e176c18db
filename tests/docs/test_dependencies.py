"""docs/dependencies.md says of each direct dependency why it is there, and of no other."""

import re
import tomllib
from typing import Any, Final

from tests.support import documents

NAME: Final = re.compile(r"[\w-]+")
PINNED: Final = re.compile(r"([\w-]+)==([\d.]+)")


def project() -> dict[str, Any]:
    return tomllib.loads((documents.ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def section(heading: str) -> str:
    text = (documents.ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def named(lines: list[str]) -> set[str]:
    return {name[0] for line in lines if (name := NAME.match(line))}


def first_cells() -> list[str]:
    rows = section("Why each direct dependency is there").splitlines()
    return [row.split("|")[1].strip() for row in rows if row.startswith("| `")]


def test_each_direct_dependency_has_its_reason() -> None:
    documented = {name for cell in first_cells() for name in re.findall(r"`([\w-]+)`", cell)}
    assert documented == named(project()["project"]["dependencies"])


def test_each_development_dependency_is_named() -> None:
    documented = set(re.findall(r"`([\w-]+)`", section("Development only")))
    assert documented == named(project()["dependency-groups"]["dev"])


def test_quoted_versions_are_the_pinned_ones() -> None:
    pinned = dict(PINNED.findall("\n".join(project()["project"]["dependencies"])))
    quoted = dict(re.findall(r"^`([\w-]+)` ([\d.]+\.\d+)$", "\n".join(first_cells()), re.MULTILINE))
    assert quoted == pinned
