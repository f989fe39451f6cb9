"""The sources of the three packages as a test reads them: files, parsed modules, imports and import circles."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from .places import ROOT

PACKAGES = ("streams", "models", "monitor")


@dataclass(frozen=True)
class Import:
    """One imported module by its absolute name; `gradwatch.` is kept, relative ones are resolved."""

    path: str
    line: int
    module: str
    relative: bool

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: imports {self.module}"


def sources(*folders: str) -> list[str]:
    """Python files below `folders`, as paths in the repository."""
    return sorted(p.relative_to(ROOT).as_posix() for folder in folders for p in (ROOT / folder).rglob("*.py"))


def module_of(path: str) -> str:
    return "gradwatch." + path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@cache
def tree(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), filename=path)


def imports_of(path: str, parsed: ast.Module) -> Iterator[Import]:
    """All imports of a file, those inside functions too; `from a import b` counts as a.b if that is a file of ours."""
    package = module_of(path).split(".")
    if not path.endswith("__init__.py"):
        package = package[:-1]
    for node in ast.walk(parsed):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(path, node.lineno, alias.name, False)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*start, *filter(None, [node.module])])
            for alias in node.names:
                name = f"{module}.{alias.name}"
                yield Import(path, node.lineno, name if is_module(name) else module, node.level > 0)


@cache
def is_module(name: str) -> bool:
    if not name.startswith("gradwatch."):
        return False
    path = ROOT / name.removeprefix("gradwatch.").replace(".", "/")
    return path.with_suffix(".py").is_file() or path.is_dir()


@cache
def imports_in(path: str) -> tuple[Import, ...]:
    """All imports of a file in the repository."""
    return tuple(imports_of(path, tree(path)))


@lru_cache(maxsize=1)
def all_imports() -> list[Import]:
    """Every import of the three packages."""
    return [i for path in sources(*PACKAGES) for i in imports_in(path)]


def area(module: str) -> str:
    """The package of ours that a module belongs to, or ''."""
    parts = module.split(".")
    return parts[1] if parts[0] == "gradwatch" and len(parts) > 1 else ""


def import_graph() -> dict[str, set[str]]:
    """Edges between our modules, deferred imports too: they hide circles. Packages stand for their __init__."""
    graph: dict[str, set[str]] = {module_of(path): set() for path in sources(*PACKAGES)}
    for i in all_imports():
        source = module_of(i.path)
        if i.module in graph and i.module != source:
            graph[source].add(i.module)
    return graph


def find_cycle(graph: dict[str, set[str]]) -> list[str]:
    """The first cycle found as a list of its nodes, or []."""
    done: set[str] = set()

    def visit(node: str, trail: list[str]) -> list[str]:
        if node in trail:
            return [*trail[trail.index(node) :], node]
        if node in done:
            return []
        done.add(node)
        return next(filter(None, (visit(n, [*trail, node]) for n in sorted(graph[node]))), [])

    return next(filter(None, (visit(node, []) for node in sorted(graph))), [])
