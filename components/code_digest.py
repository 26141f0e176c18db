"""A digest of the code behind a component, for TFX's cache key.

TFX keys its cache on inputs and settings, not on the Python code of a function
that is named by its import path. With the digest among the settings, an edited
source file reruns exactly the components that import it.
"""

import ast
import hashlib
import importlib.util
from pathlib import Path
from typing import Final

PACKAGES: Final = ("components", "schema", "pipeline")


def _imported(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # `from components import model` may name a module as well as a value.
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in names if name.split(".")[0] in PACKAGES}


def _source(module: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return None  # a value, not a module: `from schema.features import IMAGE`
    return Path(spec.origin) if spec and spec.origin else None


def code_digest(*modules: str) -> str:
    """Hashes modules and all of the project's modules that they import.

    Args:
      *modules: dotted names, for example `components.training.trainer`.

    Returns:
      A SHA-256 in hexadecimal.

    Raises:
      ValueError: one of the modules has no source.
    """
    for module in modules:
        if _source(module) is None:
            raise ValueError(f"module {module} has no source to hash")
    sources: dict[str, bytes] = {}
    waiting = set(modules)
    while waiting:
        module = waiting.pop()
        path = _source(module)
        if path is None or module in sources:
            continue
        sources[module] = path.read_bytes()
        waiting |= _imported(ast.parse(sources[module])) - sources.keys()
    digest = hashlib.sha256()
    for module in sorted(sources):
        digest.update(f"{module}\0".encode() + sources[module] + b"\0")
    return digest.hexdigest()
