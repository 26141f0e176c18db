"""README.md and docs/*.md, as the tests of the documents read them."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DOCUMENTS: Final = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


def name(document: Path) -> str:
    """A document's path within the project, for the names of test cases."""
    return str(document.relative_to(ROOT))
