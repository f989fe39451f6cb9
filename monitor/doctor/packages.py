"""Python and the packages that gradwatch's extras bring: there, in which version, and what they are for."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import metadata
from importlib.util import find_spec

from packaging.requirements import Requirement

from .findings import Finding, Scope, Status

OLDEST_PYTHON = (3, 11)
USES = {
    "cpu": "every network, on the CPU",
    "gpu": "every network, on CUDA",
    "deep": "scores with a backward pass",
    "demo": "gradwatch demo: the embedded broker",
    "bags": "gradwatch replay of ROS 2 bags and MCAP",
    "review": "gradwatch review",
    "evidence": "gradwatch evidence",
    "notify": "gradwatch notify",
    "grafana": "gradwatch grafana",
    "train": "training, gradwatch instrument",
    "dev": "the tests",
}
MOST_NAMED = 3  # packages of an extra whose versions are shown
RUNTIMES = ("cpu", "gpu")  # one of them is needed


def python_and_core(scope: Scope) -> list[Finding]:
    """Python's version, and the packages without which nothing works."""
    got, oldest = platform.python_version(), ".".join(map(str, OLDEST_PYTHON))
    fine = sys.version_info >= OLDEST_PYTHON
    python = Finding("Python", Status.OK if fine else Status.WRONG, got, f"install Python {oldest} or newer")
    try:
        broken = list(_broken(_requirements("")))
    except metadata.PackageNotFoundError:
        found = "runs from a folder that was not installed"
        return [python, Finding("gradwatch", Status.UNKNOWN, found, "pip install -e .")]
    version = metadata.version("gradwatch")
    if broken:
        found = f"{version} with {', '.join(broken)}"
        return [python, Finding("gradwatch", Status.WRONG, found, "pip install --upgrade gradwatch")]
    return [python, Finding("gradwatch", Status.OK, f"{version} and all that it always needs")]


def extras(scope: Scope) -> list[Finding]:
    """Every extra that this installation declares; one of `cpu` and `gpu` is needed, all others are for their verbs."""
    try:
        names = metadata.metadata("gradwatch").get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return []
    broken = {name: list(_broken(_requirements(name))) for name in names}
    has_runtime = any(name in broken and not broken[name] for name in RUNTIMES)
    if has_runtime:  # the other one can't be beside it
        names = [name for name in names if name not in RUNTIMES or not broken[name]]
    return [_extra(name, broken[name], needed=name == "cpu" and not has_runtime) for name in names]


def _extra(name: str, broken: list[str], needed: bool) -> Finding:
    use = USES.get(name, "")
    if broken:
        remedy = f"pip install 'gradwatch[{name}]'"
        return Finding(f"extra {name}", Status.MISSING, f"{use}: {', '.join(broken)}".lstrip(": "), remedy, needed)
    brought = [f"{r.name} {metadata.version(r.name)}" for r in _requirements(name)]
    told = ", ".join(brought) if len(brought) <= MOST_NAMED else f"{len(brought)} packages"
    return Finding(f"extra {name}", Status.OK, f"{use}: {told}".lstrip(": "), needed=False)


def _requirements(extra: str) -> list[Requirement]:
    """What gradwatch needs here with `extra`, beyond what it always needs; for "" what it always needs."""
    every = [Requirement(text) for text in metadata.requires("gradwatch") or []]
    always = [r for r in every if r.marker is None or r.marker.evaluate({"extra": ""})]
    if not extra:
        return always
    return [r for r in every if r.marker is not None and r.marker.evaluate({"extra": extra}) and r not in always]


def _broken(requirements: Iterable[Requirement]) -> Iterable[str]:
    """What is missing or of another version, in words."""
    modules = _modules_of_packages()
    for requirement in requirements:
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            yield f"no {requirement.name}"
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            yield f"{requirement.name} {version} instead of {requirement.specifier}"
        elif not all(_can_be_found(module) for module in modules.get(_normal(requirement.name), ())):
            yield f"{requirement.name} {version} that can't be imported"


def _can_be_found(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


@cache
def _modules_of_packages() -> Mapping[str, list[str]]:
    """Package -> the modules that it alone brings; names that start with _ are nobody's to import."""
    result: dict[str, list[str]] = {}
    for module, packages in metadata.packages_distributions().items():
        if len(set(packages)) == 1 and not module.startswith("_") and module.isidentifier():
            result.setdefault(_normal(packages[0]), []).append(module)
    return result


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
