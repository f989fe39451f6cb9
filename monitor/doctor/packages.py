"""Checks Python and the packages of gradwatch's extras: installed, in which version, and what they are for."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import metadata
from importlib.util import find_spec

from packaging.requirements import Requirement

from .results import Context, Result, Status

OLDEST_PYTHON = (3, 11)
USES = {
    "cpu": "every network, on the CPU",
    "gpu": "every network, on CUDA",
    "demo": "gradwatch demo: the embedded broker",
    "instrument": "gradwatch instrument",
    "bags": "gradwatch replay of ROS 2 bags and MCAP",
    "evidence": "gradwatch evidence",
    "review": "gradwatch review",
    "postgresql": "gradwatch review on PostgreSQL",
    "train": "training",
    "dev": "the tests",
}
MOST_NAMED = 3  # packages of an extra whose versions are shown
RUNTIMES = ("cpu", "gpu")  # one of them is needed


def python_and_core(context: Context) -> list[Result]:
    """Python's version, and the packages that gradwatch always needs."""
    got, oldest = platform.python_version(), ".".join(map(str, OLDEST_PYTHON))
    status = Status.OK if sys.version_info >= OLDEST_PYTHON else Status.WRONG
    python = Result("Python", status, got, f"install Python {oldest} or newer")
    try:
        broken = list(broken_requirements(_requirements("")))
    except metadata.PackageNotFoundError:
        found = "run from a folder that is not installed"
        return [python, Result("gradwatch", Status.UNKNOWN, found, "pip install -e .")]
    version = metadata.version("gradwatch")
    if broken:
        found = f"{version} with {', '.join(broken)}"
        return [python, Result("gradwatch", Status.WRONG, found, "pip install --upgrade gradwatch")]
    return [python, Result("gradwatch", Status.OK, f"{version} with all required packages")]


def extras(context: Context) -> list[Result]:
    """Every extra that this installation declares; one of `cpu` and `gpu` is needed, the others are optional."""
    try:
        names = metadata.metadata("gradwatch").get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return []
    broken = {name: list(broken_requirements(_requirements(name))) for name in names}
    has_runtime = any(name in broken and not broken[name] for name in RUNTIMES)
    if has_runtime:  # the other one can't be installed beside it
        names = [name for name in names if name not in RUNTIMES or not broken[name]]
    return [_extra(name, broken[name], needed=name == "cpu" and not has_runtime) for name in names]


def _extra(name: str, broken: list[str], needed: bool) -> Result:
    use = f"{USES[name]}: " if name in USES else ""
    if broken:
        remedy = f"pip install 'gradwatch[{name}]'"
        return Result(f"extra {name}", Status.MISSING, use + ", ".join(broken), remedy, needed)
    versions = [f"{r.name} {metadata.version(r.name)}" for r in _requirements(name)]
    found = ", ".join(versions) if len(versions) <= MOST_NAMED else f"{len(versions)} packages"
    return Result(f"extra {name}", Status.OK, use + found, needed=False)


def _requirements(extra: str) -> list[Requirement]:
    """What gradwatch needs here for `extra` alone; for "" what it always needs."""
    every = [Requirement(text) for text in metadata.requires("gradwatch") or []]
    always = [r for r in every if r.marker is None or r.marker.evaluate({"extra": ""})]
    if not extra:
        return always
    return [r for r in every if r.marker is not None and r.marker.evaluate({"extra": extra}) and r not in always]


def broken_requirements(requirements: Iterable[Requirement]) -> Iterator[str]:
    """What is missing or has another version, in words."""
    modules = _modules_of_packages()
    for requirement in requirements:
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            yield f"no {requirement.name}"
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            yield f"{requirement.name} {version} instead of {requirement.specifier}"
        elif not all(_can_be_found(module) for module in modules.get(_normalized(requirement.name), ())):
            yield f"{requirement.name} {version}, which can't be imported"


def _can_be_found(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


@cache
def _modules_of_packages() -> Mapping[str, list[str]]:
    """Package -> the public modules that it alone installs."""
    result: dict[str, list[str]] = {}
    for module, packages in metadata.packages_distributions().items():
        if len(set(packages)) == 1 and not module.startswith("_") and module.isidentifier():
            result.setdefault(_normalized(packages[0]), []).append(module)
    return result


def _normalized(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
