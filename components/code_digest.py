"""A digest of the code behind a component, for TFX's cache key.

TFX keys its cache on inputs and settings, not on the Python code of a function that is
named by its import path, nor on the versions of the libraries it calls. With the digest
among its settings, a component runs again when its source or one of those versions changes.
"""

import ast
import functools
import hashlib
import importlib.util
import sys
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Final

PACKAGES: Final = ("components", "schema", "pipeline")


def code_digest(*modules: str) -> str:
    """Hashes modules, all of the project's modules that they import, and library versions.

    Args:
      *modules: dotted names, for example `components.training.trainer`; those of libraries
        stand for the library's version.

    Returns:
      A SHA-256 in hexadecimal.

    Raises:
      ValueError: one of the project's modules has no source.
    """
    for module in modules:
        if _is_ours(module) and _source(module) is None:
            raise ValueError(f"module {module} has no source to hash")
    known: dict[str, bytes] = {}
    waiting = set(modules)
    while waiting:
        module = waiting.pop()
        if not _is_ours(module):
            known |= _versions(module)
        elif module not in known and (path := _source(module)):
            known[module] = path.read_bytes()
            waiting |= _imported(ast.parse(known[module])) - known.keys()
    digest = hashlib.sha256()
    for name in sorted(known):
        digest.update(f"{name}\0".encode() + known[name] + b"\0")
    return digest.hexdigest()


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in PACKAGES


def _imported(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # `from components import files` may name a module as well as a value.
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def _source(module: str) -> Path | None:
    """The file of one of the project's modules, found without importing it."""
    package, *names = module.split(".")
    spec = importlib.util.find_spec(package)
    places = spec.submodule_search_locations if spec else None
    if not places:
        return None
    place = Path(places[0], *names)
    files = (place.with_suffix(".py"), place / "__init__.py")
    # None for a value that is no module: `from schema.features import IMAGE`.
    return next((path for path in files if path.is_file()), None)


def _versions(module: str) -> dict[str, bytes]:
    """The version of the library that a module belongs to; empty for the standard library."""
    package = module.partition(".")[0]
    if package in sys.stdlib_module_names:
        return {}
    libraries = _libraries().get(package, set())
    # Of several that share a package, such as `tfx`, the one of that name; where there is none,
    # as for `google`, nobody can say which is meant.
    names = {package} & libraries or (libraries if len(libraries) == 1 else set())
    return {name: version(name).encode() for name in names}


@functools.cache
def _libraries() -> dict[str, set[str]]:
    return {package: set(names) for package, names in packages_distributions().items()}
