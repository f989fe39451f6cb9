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
        ({"wroker": {}}, "wroker", "file.yaml", "worker"),
        ({"worker": {"max_pending_frame": 1}}, "max_pending_frame", "worker", "max_pending_frames"),
        ({"judge": {"tracker": {"high_scor": 1}}}, "high_scor", "judge.tracker", "high_score"),
        ({"judge": {"alarms": {"false_alarms": 1}}}, "false_alarms", "judge.alarms", "false_alarms_per_hour"),
        ({"models": {"sign_thresh": 1}}, "sign_thresh", "models", "sign_score"),
        ({"streams": {"a": {"calibraton": "x"}}}, "calibraton", "streams.a", "calibration"),
    ],
)
def test_an_unknown_key_names_the_nearest(tree, key, where, nearest):
    with pytest.raises(ConfigurationError) as error:
        from_tree(tree, "file.yaml")
    assert str(error.value).startswith("file.yaml: ")
    assert f"unknown field `{key}`" in str(error.value)
    assert f"{where}: " in str(error.value)
    assert f"(did you mean `{nearest}`?)" in str(error.value)


@pytest.mark.parametrize(
    ("tree", "where"),
    [
        (
            {"worker": {"model_threads": "many"}},
            r"configuration: worker.model_threads: Expected `int`, got `str`; the range is 1 to 256$",
        ),
        ({"worker": {"policy": "fast"}}, r"worker.policy: Invalid enum value 'fast'"),
        ({"judge": {"horizon_s": 3}}, r"judge.horizon_s: Expected `array`, got `int`"),
        ({"broker": "kafka:9092"}, r"broker: Expected `object`, got `str`"),
        ([1], r"Expected `object`, got `array`"),
        ({"judge": {"calibration_frames": 99}}, r"judge.calibration_frames: expected 100 to 1000000, got 99$"),
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


# -- numbers ----------------------------------------------------------------------------------------------


def numbers_of(kind, where="configuration"):
    """Every number in a type, with its place: `(place, msgspec's description of it)`."""
    if isinstance(kind, msgspec.inspect.Metadata):
        kind = kind.type
    if isinstance(kind, msgspec.inspect.IntType | msgspec.inspect.FloatType):
        yield where, kind
    for field in getattr(kind, "fields", ()):
        yield from numbers_of(field.type, f"{where}.{field.name}")
    for part in ("item_type", "value_type"):
        if hasattr(kind, part):
            yield from numbers_of(getattr(kind, part), where)
    for each in getattr(kind, "types", ()):
        yield from numbers_of(each, where)


NUMBERS = dict(numbers_of(msgspec.inspect.type_info(Configuration)))


def test_numbers_are_found_in_every_section():
    found = {place.split(".")[1] for place in NUMBERS}
    assert found == {"topics", "worker", "models", "judge", "cameras", "evidence", "review"}


@pytest.mark.parametrize("place", NUMBERS)
def test_every_number_has_two_ends(place):
    """Both are needed: a number without an upper end may be infinite."""
    number = NUMBERS[place]
    assert number.ge is not None or number.gt is not None
    assert number.le is not None or number.lt is not None


def test_the_defaults_are_within_their_ranges():
    assert from_tree(msgspec.to_builtins(Configuration(), str_keys=True)) == Configuration()


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        ("judge.alarms.false_alarms_per_hour", "0", "0.0001 to 3600"),
        ("models.pedestrian_score", "3", "0 to 1"),
        ("models.tile_seed", "99999999999999999999", "0 to 4294967295"),
        ("worker.max_frame_age_s", "-5", "more than 0, at most 86400"),
        ("worker.max_frame_age_s", ".nan", "more than 0, at most 86400"),
        ("worker.max_frame_age_s", ".inf", "more than 0, at most 86400"),
        ("worker.metrics_port", "70000", "0 to 65535"),
        ("judge.coverage", "1", "more than 0, less than 1"),
        ("cameras.gate.rate_hz", "0", "more than 0, at most 1000"),
        ("cameras.gate.url", "-1", "0 to 255"),
        ("judge.policy.distribution_shift.critical", "-1", "more than 0, at most 1000"),
    ],
)
def test_a_number_out_of_its_range_is_named_with_range_and_value(written, place, value, expected):
    *sections, key = place.split(".")
    text = "".join(f"{section}: {{" for section in sections) + f"{key}: {value}" + "}" * len(sections)
    with pytest.raises(ConfigurationError) as error:
        written(text)
    assert str(error.value).endswith(f"gradwatch.yaml: {place}: expected {expected}, got {value.lstrip('.')}")


def test_a_number_in_a_list_and_one_from_the_environment_are_checked_too(written):
    with pytest.raises(ConfigurationError, match=r"judge.horizon_s.1: expected more than 0, at most 86400, got -2$"):
        written("judge: {horizon_s: [1, -2]}")
    with pytest.raises(ConfigurationError, match=r"worker.drain_s: expected 0 to 86400, got 1e999$"):
        written("worker: {drain_s: '${DRAIN_S}'}", DRAIN_S="1e999")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("judge: {tracker: {low_score: 0.7}}", "judge.tracker: expected low_score <= high_score, got 0.7 and 0.5"),
        ("judge: {horizon_s: [2, 1]}", "judge: horizon_s: expected times that increase, got 2.0, 1.0"),
        ("topics: {frames: a.reports, prefix: a.}", "topics: frames: expected a topic apart from the outputs reports"),
        ("topics: {frames: a b}", "topics.frames: Expected `str` matching regex"),
        ("models: {pedestrian_decoder: yolox}", "models: pedestrian_decoder: expected a pedestrian_model beside it"),
        ("review: {trusted_proxies: [10.0.0.0/8], user_header: ''}", "review: user_header: expected the header"),
        ("worker: {group_id: ''}", "worker.group_id: Expected `str` of length >= 1"),
        ("judge: {horizon_s: []}", "judge.horizon_s: Expected `array` of length >= 1"),
        (
            "judge: {policy: {distribution_shift: {carriers: [msp], detector: ewma, leave: 1.5}}}",
            "judge.policy.distribution_shift: expected leave <= enter <= critical, got 1.5, 1.0 and 2.0",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(written, text, message):
    with pytest.raises(ConfigurationError) as error:
        written(text)
    assert message in str(error.value)


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
