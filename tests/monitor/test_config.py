"""The configuration: its commented file, its keys, its errors."""

from __future__ import annotations

import textwrap
from typing import get_args, get_type_hints

import msgspec
import pytest
import yaml

from gradwatch.monitor.alarms.policy import POLICY
from gradwatch.monitor.config import Configuration, ConfigurationError, StreamSettings, from_tree, load
from gradwatch.monitor.judging.settings import JudgeSettings
from gradwatch.streams.wire.messages import AlertKind

from ..places import ROOT

EXAMPLE = ROOT / "deploy" / "gradwatch.yaml"


@pytest.fixture
def written(tmp_path):
    """Writes YAML text to a file and loads it."""

    def write(text, **environment):
        path = tmp_path / "gradwatch.yaml"
        path.write_text(textwrap.dedent(text))
        return load(path, environment)

    return write


def keys_of(kind, where=()):
    """Every key of a struct type, with its place."""
    for name, hint in get_type_hints(kind).items():
        yield (*where, name)
        for inner in (hint, *get_args(hint)):
            if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
                places = [(*where, name)]
                if hint is not inner:  # a dict of structs: every entry of the default
                    places = [(*where, name, key) for key in (POLICY if name == "policy" else ())]
                for place in places:
                    yield from keys_of(inner, place)


# -- the commented file -----------------------------------------------------------------------------------


def test_the_commented_file_is_the_defaults():
    assert load(EXAMPLE, {}) == load() == Configuration()


@pytest.mark.parametrize("place", list(keys_of(Configuration)), ids=".".join)
def test_the_commented_file_has_every_key(place):
    tree = yaml.safe_load(EXAMPLE.read_text())
    for name in place:
        assert name in tree
        tree = tree[name]


@pytest.mark.parametrize("name", StreamSettings.__struct_fields__)
def test_the_commented_file_shows_every_key_of_a_stream(name):
    """Streams have no defaults to stand there: they are shown in comments."""
    assert f"#       {name}:" in EXAMPLE.read_text()


def test_every_key_of_the_commented_file_has_its_comment():
    lines = EXAMPLE.read_text().splitlines()
    for before, line in zip(["", *lines], lines, strict=False):
        if line.strip() and not line.lstrip().startswith("#"):
            assert "#" in line or before.lstrip().startswith("#"), line


# -- reading ----------------------------------------------------------------------------------------------


def test_keys_that_are_absent_keep_their_defaults(written):
    configuration = written(
        """
        worker: {policy: every_frame}
        judge: {horizon_s: [1, 2.5], alarms: {false_alarms_per_hour: 0.5}}
        streams: {gate-3: {calibration: gate.calibration}}
        """
    )
    assert configuration.worker.policy == "every_frame"
    assert configuration.worker.group_id == "gradwatch"
    assert configuration.judge.horizon_s == (1.0, 2.5)
    assert configuration.judge.alarms.bootstrap_hours == 40
    assert configuration.streams["gate-3"] == StreamSettings("gate.calibration")


def test_an_empty_file_is_the_defaults(written):
    assert written("# nothing\n") == Configuration()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"expected a configuration file at .*absent\.yaml, got No such file"):
        load(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("tree", "key", "where", "nearest"),
    [
        ({"wroker": {}}, "wroker", "", "worker"),
        ({"worker": {"max_pending_frame": 1}}, "max_pending_frame", "$.worker", "max_pending_frames"),
        ({"judge": {"tracker": {"high_scor": 1}}}, "high_scor", "$.judge.tracker", "high_score"),
        ({"judge": {"alarms": {"false_alarms": 1}}}, "false_alarms", "$.judge.alarms", "false_alarms_per_hour"),
        ({"models": {"sign_thresh": 1}}, "sign_thresh", "$.models", "sign_score"),
        ({"streams": {"a": {"calibraton": "x"}}}, "calibraton", "$.streams[...]", "calibration"),
    ],
)
def test_an_unknown_key_names_the_nearest(tree, key, where, nearest):
    with pytest.raises(ConfigurationError) as error:
        from_tree(tree, "file.yaml")
    assert str(error.value).startswith("file.yaml: ")
    assert f"unknown field `{key}`" in str(error.value)
    assert where in str(error.value)
    assert f"(did you mean `{nearest}`?)" in str(error.value)


@pytest.mark.parametrize(
    ("tree", "where"),
    [
        ({"worker": {"model_threads": "many"}}, r"Expected `int`, got `str` - at `\$.worker.model_threads`"),
        ({"worker": {"policy": "fast"}}, r"'fast' - at `\$.worker.policy`"),
        ({"judge": {"horizon_s": 3}}, r"Expected `array`, got `int` - at `\$.judge.horizon_s`"),
        ({"broker": "kafka:9092"}, r"Expected `object`, got `str` - at `\$.broker`"),
        ([1], r"Expected `object`, got `array`"),
        ({"judge": {"calibration_frames": 99}}, r"expected at least 100, got 99 - at `\$.judge`"),
        (
            {"judge": {"forecaster": "crystal_ball"}},
            r"forecaster: expected one of constant_velocity, got 'crystal_ball'",
        ),
        ({"streams": {"a/b": {}}}, r"stream id must match .*, got 'a/b'"),
    ],
)
def test_a_wrong_value_says_where(tree, where):
    with pytest.raises(ConfigurationError, match=where):
        from_tree(tree)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"detector": "gut_feeling"},
            r"policy.distribution_shift.detector: expected one of ewma, ewma_fast, cusum, got 'gut_",
        ),
        ({"carriers": ["msp", "moon"]}, r"policy.distribution_shift.carriers: expected one of .*msp.*, got 'moon'"),
    ],
)
def test_a_policy_with_unknown_names_is_refused(change, message):
    policy = {"carriers": ["msp"], "detector": "ewma"} | change
    with pytest.raises(ConfigurationError, match=message):
        from_tree({"judge": {"policy": {"distribution_shift": policy}}})


# -- the environment --------------------------------------------------------------------------------------


def test_variables_come_from_the_environment(written):
    text = """
        # ${COMMENTS} may speak of variables
        broker: {bootstrap_servers: "${HOST}:${PORT:9092}"}
        worker:
          model_threads: ${THREADS:3}
          max_frame_age_s: ${AGE}
          group_id: "${EMPTY:}group"
        streams:
          gate: {calibration: "${FOLDER:/var}/gate.calibration"}
    """
    configuration = written(text, HOST="kafka", AGE="0.25", FOLDER="/srv")
    assert configuration.broker.bootstrap_servers == "kafka:9092"
    assert (configuration.worker.model_threads, configuration.worker.max_frame_age_s) == (3, 0.25)
    assert configuration.worker.group_id == "group"
    assert configuration.streams["gate"].calibration == "/srv/gate.calibration"


def test_a_variable_without_value_and_default_is_named(written):
    with pytest.raises(ConfigurationError, match="environment variable KAFKA_PASSWORD is not set and has no default"):
        written("broker: {client: {sasl_plain_password: '${KAFKA_PASSWORD}'}}")


@pytest.mark.parametrize("password", ["a: b", "x #y", '"', "'", "{", "%&*!", "12345", "line\nbroker: {}", "${HOME}"])
def test_a_password_may_hold_any_character(written, password):
    text = "broker:\n  client:\n    sasl_plain_password: ${PASSWORD}\n"
    assert written(text, PASSWORD=password).broker.client == {"sasl_plain_password": password}


@pytest.mark.parametrize(
    "text",
    [
        "broker: {client: {sasl_plain_password: hunter2}, bootstrap: x}",
        "broker: {client: {sasl_plain_password: hunter2}, bootstrap_servers: [1]}",
        "broker: {client: {sasl_plain_password: ${PASSWORD}}}",  # not YAML: braces in a flow mapping want quotes
        "broker:\n  client:\n    sasl_plain_password: hunter2 : x\n",
        "broker: 'sasl://me:hunter2@kafka'",
        "broker: {client: hunter2}",
    ],
)
def test_credentials_are_never_in_an_error(written, text):
    with pytest.raises(ConfigurationError) as error:
        written(text, PASSWORD="hunter2")
    chain = [error.value]
    while (
        before := chain[-1].__cause__ or (None if chain[-1].__suppress_context__ else chain[-1].__context__)
    ) is not None:
        chain.append(before)
    assert not any("hunter2" in str(link) for link in chain)


def test_broken_yaml_says_in_which_line(written):
    with pytest.raises(ConfigurationError, match=r"gradwatch.yaml is not YAML in line 2: "):
        written("worker:\n  policy: live: now\n")


# -- what a calibration is bound to -----------------------------------------------------------------------


def test_the_configuration_id_follows_what_a_calibration_depends_on():
    def id_of(**judge):
        return from_tree({"judge": judge}).judge.configuration_id

    usual = JudgeSettings().configuration_id
    assert id_of() == usual
    assert id_of(alarms={"false_alarms_per_hour": 9}, calibration_frames=500, horizon_s=[1], coverage=0.5) == usual
    shift, mismatch = (msgspec.to_builtins(POLICY[kind]) for kind in POLICY)
    reworded = {"distribution_shift": shift | {"enter": 1.5, "clear_s": 9}, "expectancy_mismatch": mismatch}
    assert id_of(policy=reworded) == usual
    changed = [
        id_of(tracker={"high_score": 0.6}),
        id_of(expectation={"memory": 5}),
        id_of(policy=reworded | {"distribution_shift": shift | {"detector": "cusum"}}),
        id_of(policy=reworded | {"distribution_shift": shift | {"carriers": ["gradcon"]}}),
    ]
    assert len({usual, *changed}) == 5


def test_changing_one_configuration_leaves_the_defaults_alone():
    JudgeSettings().policy.pop(AlertKind.DISTRIBUTION_SHIFT)
    assert set(JudgeSettings().policy) == set(POLICY) == set(AlertKind)
