import socket
import threading
import time

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.engine import schemas, sections, values
from apps.engine.errors import InvalidError
from tests.limits import CPU_SECONDS, examples

SCHEMA = {
    "type": "object",
    "required": ["port"],
    "properties": {
        "port": {"type": "integer", "minimum": 1, "maximum": 65535},
        "host": {"type": "string", "pattern": "^[a-z.]+$", "maxLength": 20},
        "mode": {"enum": ["fast", "safe"]},
        "ratio": {"type": "number", "multipleOf": 0.5},
    },
    "additionalProperties": False,
}
members = st.fixed_dictionaries(
    {},
    optional={
        "port": st.integers(-5, 70000) | st.text(max_size=3),
        "host": st.text("abc.X", max_size=25),
        "mode": st.sampled_from(["fast", "slow", 1]),
        "ratio": st.sampled_from([0.5, 0.3, 2]),
        "other": st.none(),
    },
)


@given(members)
@settings(deadline=None, max_examples=examples(300))
def test_validate__any_document__agrees_with_the_reference_validator(tree):
    expected = {
        ("".join(f"/{step}" for step in error.absolute_path), error.validator)
        for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(tree)
    }

    found = {(problem.pointer, problem.code) for problem in schemas.validate(SCHEMA, tree)}

    assert found == expected


def test_validate__value_against_every_rule__is_never_repeated():
    secret = "hunter2hunter2hunter2hunter2"
    schema = {
        "properties": {
            "a": {"type": "integer"},
            "b": {"const": "x"},
            "c": {"pattern": "^x$"},
            "d": {"maxLength": 3},
            "e": {"anyOf": [{"type": "integer"}, {"enum": ["y"]}]},
            "f": {"format": "ipv4"},
            "g": {"not": {}},
        }
    }

    problems = schemas.validate(schema, dict.fromkeys("abcdefg", secret))

    assert {problem.pointer for problem in problems} == {f"/{name}" for name in "abcdefg"}
    assert not any(secret in problem.message for problem in problems)


@pytest.mark.parametrize(
    ("schema", "code"),
    [
        ({"type": "nonsense"}, "schema"),
        ({"$ref": "http://127.0.0.1:1/x"}, "remote_ref"),
        ({"$ref": "file:///etc/passwd"}, "remote_ref"),
        ({"properties": {"a": {"$ref": "other.json"}}}, "remote_ref"),
        ({"$schema": "http://json-schema.org/draft-04/schema#"}, "draft"),
        ({"pattern": "("}, "schema"),
        ({"pattern": r"(a)\1"}, "schema"),
        (5, "schema"),
    ],
)
def test_check_schema__unusable__is_refused(schema, code):
    with pytest.raises(InvalidError) as caught:
        schemas.check_schema(schema)

    assert caught.value.problems[0].code == code


def test_check_schema__remote_ref__opens_no_connection():
    heard = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)

        def listen():
            try:
                server.accept()
                heard.append(True)
            except TimeoutError:
                pass

        thread = threading.Thread(target=listen)
        thread.start()
        for keyword in ("$ref", "$dynamicRef", "$schema"):
            with pytest.raises(InvalidError):
                schemas.check_schema({keyword: f"http://127.0.0.1:{server.getsockname()[1]}/s"})
        schemas.validate(
            {"$id": f"http://127.0.0.1:{server.getsockname()[1]}/s", "type": "object"}, {}
        )
        thread.join()

    assert heard == []


def test_check_schema__doubled_references__are_refused_quickly():
    doubled = {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(25)}
    schema = {"$defs": {**doubled, "d25": {"type": "object"}}, "$ref": "#/$defs/d0"}
    started = time.process_time()

    with pytest.raises(InvalidError) as caught:
        schemas.check_schema(schema)

    assert caught.value.problems[0].code == "reach"
    assert time.process_time() - started < CPU_SECONDS


@pytest.mark.parametrize(
    ("schema", "tree"),
    [
        ({"pattern": "^(a+)+$"}, "a" * 5000 + "!"),
        ({"uniqueItems": True}, [{"a": i, "b": [i]} for i in range(6000)]),
    ],
)
def test_validate__costly_rule__answers_without_a_hang(schema, tree):
    schemas.check_schema(schema)
    started = time.process_time()

    schemas.validate(schema, tree)

    assert time.process_time() - started < CPU_SECONDS


def test_validate__kept_digits__count_as_numbers():
    assert schemas.validate({"type": "number"}, values.number("1.10")) == []
    assert schemas.validate({"maximum": 1}, values.number("1.10"))[0].code == "maximum"


def test_merge_keys__nested_lists__are_found_by_path():
    schema = {
        "properties": {
            "hosts": {"x-merge-key": "name"},
            "b": {"properties": {"c": {"x-merge-key": "id"}}},
        }
    }

    assert sections.merge_keys(schema, "net") == {"net.hosts": "name", "net.b.c": "id"}
