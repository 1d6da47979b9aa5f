"""Bad input: a 4xx problem with its position within two seconds, nothing stored, and on it goes."""

import io
import time
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.limits import CPU_SECONDS, examples

pytestmark = pytest.mark.django_db

MIB = 1_048_576
YAML, TOML, XML = "application/yaml", "application/toml", "application/xml"
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(ord(n) + 1)}: &{chr(ord(n) + 1)} [{','.join([f'*{n}'] * 9)}]\n" for n in "abcdefgh"
)
MERGES = "".join(
    f"k{n}: &k{n}\n  <<: [{','.join(['*a' if n == 0 else f'*k{n - 1}'] * 20)}]\n"
    for n in range(200)
)
WRITES = [
    ("nested arrays", "[" * 100_000, "application/json", 400),
    ("nested objects", '{"a":' * 100_000, "application/json", 400),
    ("nested config", '{"config":{"a":' + "[" * 100_000, "application/json", 400),
    ("broken UTF-8", b'{"config":{"a":"\xff"}}', "application/json", 400),
    ("lone surrogate", '{"config":{"a":"\\ud800"}}', "application/json", 400),
    ("NUL", '{"config":{"a":"\\u0000"}}', "application/json", 400),
    ("NUL in a key", '{"config":{"a\\u0000":1}}', "application/json", 400),
    ("NUL in a message", '{"config":{"a":1},"message":"\\u0000"}', "application/json", 400),
    ("duplicate keys", '{"config":{"a":1,"a":2}}', "application/json", 400),
    ("1e400", '{"config":{"a":1e400}}', "application/json", 400),
    ("NaN", '{"config":{"a":NaN}}', "application/json", 400),
    ("many digits", '{"config":{"a":' + "9" * 100_000 + "}}", "application/json", 400),
    ("long key", '{"config":{"' + "k" * 257 + '":1}}', "application/json", 400),
    ("many nodes", '{"config":{"a":[' + "1," * 20_000 + "1]}}", "application/json", 400),
    ("unknown member", '{"config":{},"colour":1}', "application/json", 400),
    ("both texts", '{"config":{},"content":"a: 1"}', "application/json", 400),
    ("wrong type", '{"config":{},"base_version":"1"}', "application/json", 400),
    ("no object", "[]", "application/json", 400),
    ("empty", "", "application/json", 400),
    ("list as config", '{"config":[]}', "application/json", 400),
    ("empty YAML", " \n", YAML, 400),
    ("empty TOML", "", TOML, 400),
    ("alias bomb", BOMB, YAML, 400),
    ("alias of itself", "a: &a [*a]\n", YAML, 400),
    ("merge bomb", "a: &a {x: 1}\n" + MERGES, YAML, 400),
    ("custom tag", "a: !!python/object/apply:os.system [x]", YAML, 400),
    ("two documents", "a: 1\n---\nb: 2\n", YAML, 400),
    ("deep flow", "[" * 100_000, YAML, 400),
    ("text at the top", "just text", YAML, 422),
    ("dotted keys", ".".join(["a"] * 100_000) + " = 1", TOML, 400),
    ("dotted header", "[" + ".".join(["a"] * 100_000) + "]", TOML, 400),
    ("nested lists", "a = " + "[" * 100_000, TOML, 400),
    ("inner entity", '<!DOCTYPE c [<!ENTITY x "y">]><c>&x;</c>', XML, 400),
    ("outer entity", '<!DOCTYPE c SYSTEM "file:///etc/passwd"><c/>', XML, 400),
    ("parameter entity", '<!DOCTYPE c [<!ENTITY % p SYSTEM "x"> %p;]><c/>', XML, 400),
    ("laughs", '<!DOCTYPE c [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><c>&b;</c>', XML, 400),
    ("deep elements", "<a>" * 100_000, XML, 400),
    ("another encoding", '<?xml version="1.0" encoding="utf-16"?><c><a>1</a></c>', XML, 400),
    ("form", "a=1", "application/x-www-form-urlencoded", 415),
    ("charset", '{"config":{}}', "application/json; charset=bogus", 415),
    ("reference", '{"config":{"a":"${other:key}"}}', "application/json", 422),
    ("marker", '{"config":{"a":{"$append":1}}}', "application/json", 422),
]


@pytest.mark.parametrize(
    ("body", "kind", "status"), [each[1:] for each in WRITES], ids=[each[0] for each in WRITES]
)
def test_publish__bad_body__is_a_problem_and_stores_nothing(shop, operator, body, kind, status):
    from apps.audit.selectors import head

    before = head().revision
    started = time.process_time()

    answer = operator("POST", "/config/shop?environment=production", body, kind)

    assert answer.status_code == status, answer.content
    assert time.process_time() - started < CPU_SECONDS
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"]
    assert len(answer.content) < 10_000
    assert head().revision == before
    assert operator.get("/config/shop?environment=production").status_code == 404


@pytest.mark.parametrize(
    ("body", "kind", "line", "column"),
    [
        ('{"config":\n {"a": 1,\n  "a": 2}}', "application/json", 3, 3),
        ('{"config": {"a" 1}}', "application/json", 1, 17),
        ("a: 1\na: 2\n", YAML, 2, 1),
        ("a = 1\nb = = 2\n", TOML, 2, 5),
        ("<c>\n<d></c>", XML, 2, 6),
        ('<?xml version="1.0" encoding="ISO-8859-1"?><c>é</c>', XML, 1, 21),
    ],
)
def test_publish__unreadable_text__names_line_and_column(shop, operator, body, kind, line, column):
    error = operator("POST", "/config/shop?environment=production", body, kind).json()["errors"][0]

    assert (error["line"], error["column"]) == (line, column)


def test_publish__text_in_an_unknown_format__names_the_member(shop, operator):
    answer = operator.post("/config/shop", {"content": "a", "format": "ini"})

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/format"


@pytest.mark.parametrize(
    "path",
    [
        "/config/shop?version=99999999999999999999",
        "/config/shop?version=x",
        "/config/shop?at=yesterday",
        "/config/shop?key=a..b",
        "/config/shop?format=docx",
        "/config/shop?after=x&wait=1",
        "/config/shop?after=1&wait=1000",
        "/config/shop?environment=%00",
        "/config/shop?environment=%ff",
        "/config/shop?view=x",
        "/config/%00",
        "/config/shop/value",
        "/config/shop/value?key=a[",
        "/config/shop/diff",
        "/config/shop/diff?from=99999999999999999&to=live",
        "/config/shop/diff?from=1&to=live&format=x",
        "/config/shop/history?page_size=1000",
        "/config/shop/history?since=x",
        "/config/shop/versions/99999999999999999999",
        "/config/shop/versions/x",
        "/config",
        "/audit?since=x",
        "/services?cursor=x",
        "/services/%00",
        "/grants?page_size=0",
    ],
)
def test_get__bad_parameter__is_a_4xx_problem(shop, operator, path):
    answer = operator.get(path)

    assert 400 <= answer.status_code < 500, answer.content
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("ask", "pointer"),
    [
        (("GET", "/config/shop?environment=production&after=junk"), "/after"),
        (("GET", "/config/shop?environment=production&min_revision=x"), "/min_revision"),
        (("PATCH", "/config/shop", "[]", "application/merge-patch+json"), ""),
        (("PATCH", "/services/shop", '{"slug":"other"}', "application/json"), "/slug"),
    ],
)
def test_refusal__names_its_place(shop, operator, ask, pointer):
    operator.post("/config/shop", {"environment": "production", "config": {}})

    told = operator(*ask)

    assert told.status_code in (400, 422), told.content
    assert [each["pointer"] for each in told.json()["errors"]] == [pointer]


@pytest.mark.parametrize(
    "name", ["", "a/b", ".a", "a.", "self", "SECRET", "x.json", "a" * 129, "ä", 5, None]
)
def test_create_service__bad_name__is_refused(operator, db, name):
    assert operator.post("/services", {"slug": name}).status_code in (400, 422)


def test_create_service__name_taken_in_another_case__is_refused(shop, operator):
    assert operator.post("/services", {"slug": "SHOP"}).status_code == 422
    assert operator("DELETE", "/services/shop").status_code == 204
    assert operator.post("/services", {"slug": "shop"}).status_code == 422


def test_body__over_the_limit__is_413(shop, operator):
    body = '{"config":{"a":"' + "x" * MIB + '"}}'

    answer = operator("POST", "/config/shop?environment=production", body)

    assert answer.status_code == 413


def test_body__of_an_import__may_be_larger_and_is_413_above_its_own_limit(operator, settings):
    settings.MAX_IMPORT_BYTES = 3 * MIB
    archives = [_archive(size * MIB) for size in (2, 3)]
    address = "/import?from=env&environment=production&dry_run=true"

    read, refused = (operator("POST", address, each, "application/zip") for each in archives)

    assert read.status_code == 200, read.content
    told = refused.json()
    assert (refused.status_code, told["code"]) == (413, "too_large")
    assert told["detail"] == f"A body has at most {3 * MIB} bytes here."


def _archive(size):
    """A ZIP archive of a few files, of about that many bytes, that are no documents."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for at in range(size // (MIB // 2) + 1):
            archive.writestr(f"notes/{at}.txt", b"x" * (MIB // 2))
    return made.getvalue()


PATHS = [
    ("POST", "/config/shop"),
    ("PATCH", "/config/shop"),
    ("POST", "/config/shop/rollback"),
    ("POST", "/config/shop/refresh"),
    ("POST", "/validate"),
    ("POST", "/services"),
    ("PATCH", "/services/shop"),
    ("POST", "/services/shop/sections"),
    ("POST", "/environments"),
    ("PATCH", "/environments/staging"),
    ("POST", "/templates"),
    ("POST", "/service-accounts"),
    ("POST", "/grants"),
]
MEMBERS = [
    *("environment", "config", "content", "format", "extends", "base_version", "on_stale"),
    *("message", "dry_run", "slug", "name", "labels", "owner", "parent", "rank", "default", "key"),
    *("type", "schema", "to", "role", "verb", "on", "to_version", "keys", "at", "service"),
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
bodies = st.dictionaries(st.sampled_from(MEMBERS) | st.text(max_size=4), json_values, max_size=5)
TYPES = [
    "application/json",
    "application/merge-patch+json",
    "application/json-patch+json",
    YAML,
    XML,
]


@given(
    st.sampled_from(PATHS), bodies | json_values | st.binary(max_size=60), st.sampled_from(TYPES)
)
@settings(
    max_examples=examples(400),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_write__arbitrary_body__is_never_a_5xx(shop, operator, where, body, kind):
    import json

    method, path = where
    data = body if isinstance(body, bytes) else json.dumps(body)

    answer = operator(method, path, data, kind)

    assert answer.status_code < 500, (where, data, answer.content)


@pytest.mark.parametrize("query", ["dry_run=true", "colour=x", "message=hi"])
def test_publish__member_in_the_query_beside_a_json_body__is_400_and_stores_nothing(
    shop, operator, query
):
    body = '{"environment":"production","config":{"a":1}}'

    answer = operator("POST", f"/config/shop?{query}", body, "application/json")

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == "unknown_member"
    assert operator.get("/config/shop?environment=production").status_code == 404
