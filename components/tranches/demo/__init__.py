"""Demo tranches: drawn pictures of people who sit, stand and lie, with true labels.

They show the machinery, not clinical accuracy.
"""

from typing import TYPE_CHECKING, Any

from components.tranches.demo.command import command

if TYPE_CHECKING:
    from components.tranches.demo.tranches import DemoReport, draw_tranches

__all__ = ["DemoReport", "command", "draw_tranches"]


def __getattr__(name: str) -> Any:
    # SciPy takes a second to import; `lookdeep demo --help` does not wait for it.
    if name in ("DemoReport", "draw_tranches"):
        from components.tranches.demo import tranches

        return getattr(tranches, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
