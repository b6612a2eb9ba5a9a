"""The tree as the architecture tests see it: our modules and what each imports, by syntax only."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("aegis_lib", "deployments", "flows")


@dataclass(frozen=True)
class Module:
    """One file: its dotted name, its path, and the dotted names that it imports anywhere in its body."""

    name: str
    path: Path
    imports: frozenset[str]

    def imports_any(self, *prefixes: str) -> set[str]:
        return {
            found
            for found in self.imports
            for prefix in prefixes
            if found == prefix or found.startswith(f"{prefix}.")
        }


def _imports(tree: ast.AST, package: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
            found.add(base)
            found.update(f"{base}.{alias.name}" for alias in node.names)
    return found


@cache
def modules() -> tuple[Module, ...]:
    """Every module of the product."""
    result = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            name = dotted.removesuffix(".__init__")
            parent = name if path.name == "__init__.py" else name.rpartition(".")[0]
            tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
            result.append(Module(name, path, frozenset(_imports(tree, parent))))
    return tuple(result)


def matching(*patterns: str) -> list[Module]:
    """Modules whose path fits a glob; never empty, so that no test passes on nothing."""
    found = [m for m in modules() if any(m.path.relative_to(ROOT).match(p) for p in patterns)]
    assert found, f"no module matches {patterns}: the test would prove nothing"
    return found
