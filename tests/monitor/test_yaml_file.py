"""YAML files of all kinds: read, or refused in one line, within bounds of time and memory."""

from __future__ import annotations

import random

import pytest
import yaml

from gradwatch.monitor.config import ConfigurationError, load
from gradwatch.monitor.yaml_file import MAX_BYTES, MAX_VALUES, YamlFileError, read_yaml

from ..places import ROOT

PIECES = [b"", b"&a ", b"*a", b"!!binary ", b"!!int ", b"[", b"{", b": ", b"\n", b"\xff", b"-", b"null"]
BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 20))


@pytest.fixture
def written(tmp_path):
    """Writes a file and reads it as YAML."""

    def write(content):
        path = tmp_path / "some.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_yaml(path)

    return write


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(BOMB, f"expected at most {MAX_VALUES} values", id="aliases"),
        pytest.param("a: &a {b: *a}", "line 1: an alias refers to a value that contains it", id="circle"),
        pytest.param("<<: &a {<<: *a}", "an alias refers to a value that contains it", id="circle of merges"),
        pytest.param("[" * 10_000, "line 1: expected at most 32 levels", id="deep"),
        pytest.param("".join(" " * n + "a:\n" for n in range(99)), "line 32: expected at most 32", id="deep block"),
        pytest.param("? " * 5_000, "expected at most 32 levels", id="deep keys"),
        pytest.param("a: 1\n" * MAX_BYTES, f"expected at most {MAX_BYTES} bytes", id="long"),
        pytest.param("- 1\n" * (MAX_VALUES + 1), f"expected at most {MAX_VALUES} values", id="many"),
        pytest.param("worker: {}\nbroker: {}\nworker: {}", "line 3: the key 'worker' is given twice", id="twice"),
        pytest.param("a: {b: 1, b: 2}", "line 1: the key 'b' is given twice", id="twice inside"),
        pytest.param(b"\x00\xff\x00" * 9, "it contains characters that YAML does not allow", id="bytes"),
        pytest.param(b"a: \xff", "it contains characters that YAML does not allow", id="not UTF-8"),
        pytest.param(b"\x7fELF\x02\x01", "it contains characters that YAML does not allow", id="a program"),
        pytest.param("a: 2026-13-45", "line 1: a value is not of its type, timestamp", id="no such day"),
        pytest.param("a: !!bool maybe", "line 1: a value is not of its type, bool", id="no bool"),
        pytest.param("a: !!int ''", "line 1: a value is not of its type, int", id="no int"),
        pytest.param("a: !!timestamp x", "line 1: a value is not of its type, timestamp", id="no time"),
        pytest.param("a: " + "9" * 5_000, "line 1: a value is not of its type, int", id="a long number"),
        pytest.param("a: !!python/object/apply:os.system [ls]", "could not determine a constructor", id="a call"),
        pytest.param("a: 1\n---\nb: 2", "line 2: but found another document", id="two documents"),
    ],
)  # fmt: skip
def test_what_is_no_fit_file_is_refused_in_one_line(written, content, problem):
    with pytest.raises(YamlFileError) as error:
        written(content)
    assert problem in str(error.value)
    assert "\n" not in str(error.value)


def test_aliases_and_merges_are_read(written):
    tree = written("base: &base {rate_hz: 5, transport: udp}\nnorth: {<<: *base, rate_hz: 9}\nsouth: *base")
    assert tree["north"] == {"rate_hz": 9, "transport": "udp"}
    assert tree["south"] == {"rate_hz": 5, "transport": "udp"}


def test_a_file_of_another_encoding_is_read(written):
    assert written("a: Fußgänger".encode("utf-16")) == {"a": "Fußgänger"}


def test_a_folder_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="got Is a directory"):
        load(tmp_path)


def test_mutations_of_the_commented_file_are_read_or_refused(tmp_path):
    """Bytes changed, removed and doubled, 200 times: a configuration or one line, never another error."""
    draw, path = random.Random(0), tmp_path / "gradwatch.yaml"
    original = yaml.dump(yaml.safe_load((ROOT / "deploy" / "gradwatch.yaml").read_text())).encode()
    read, refused = 0, []
    for _ in range(200):
        content = bytearray(original)
        for _ in range(draw.randint(1, 3)):
            at = draw.randrange(len(content))
            content[at : at + draw.randint(0, 8)] = draw.choice(PIECES)
        path.write_bytes(content)
        try:
            load(path, {})
            read += 1
        except ConfigurationError as error:
            refused.append(str(error))
    assert read
    assert refused
    assert not [sentence for sentence in refused if "\n" in sentence]
