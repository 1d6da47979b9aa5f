"""Reading what other systems keep or export: what becomes of it, and what is refused where."""

import base64
import io
import json
import zipfile

import pytest

from apps.engine.errors import LimitError, MalformedError
from apps.engine.importers import apollo, consul, env_tree, kubernetes, nacos, spring
from apps.engine.importers.reading import Places, as_data, nested, unpacked

PLACES = Places(
    ("development", "staging", "production"),
    "development",
    {"dev": "development", "PRO": "production"},
)


def read(importer, files):
    return importer.read({path: text.encode() for path, text in files.items()}, PLACES)


def trees(reading):
    return {(each.service, each.environment): each.tree for each in reading.documents}


def told(reading):
    return {
        file: [(each.pointer, each.code, each.line) for each in problems]
        for file, problems in reading.refused.items()
    }


SPRING = {
    "application.yml": "spring:\n  jackson: {indent: true}\ntimeout: 5\nname: ${NAME:-x}\n",
    "application-production.yml": "timeout: 7\n",
    "orders.yml": "db: {url: jdbc:h2:mem, pool: 5}\n",
    "orders-production.yml": "db: {pool: 20}\n",
    "cart/application.properties": "cart.limit=9\n",
    "cart/application-dev.yml": "cart: {limit: 1}\n",
    "README.md": "# About\n",
}


def test_spring__shared_and_own_and_profiles__lie_in_spring_s_order():
    reading = read(spring, SPRING)

    assert reading.templates == {
        "application": {
            "spring": {"jackson": {"indent": True}},
            "timeout": 5,
            "name": "$${NAME:-x}",
        }
    }
    assert trees(reading) == {
        ("cart", "development"): {"cart": {"limit": 1}},
        ("cart", "production"): {"cart": {"limit": "9"}, "timeout": 7},
        ("orders", "development"): {"db": {"url": "jdbc:h2:mem", "pool": 5}},
        ("orders", "production"): {"db": {"url": "jdbc:h2:mem", "pool": 20}, "timeout": 7},
    }
    assert {each.templates for each in reading.documents} == {("application",)}
    production = next(each for each in reading.documents if each.environment == "production")
    assert production.files[0] == "cart/application.properties"
    assert reading.passed_over == ["README.md"]


def test_spring__documents_in_a_file__are_for_the_profiles_that_they_name():
    text = (
        "a: 1\n---\nspring:\n  config:\n    activate:\n      on-profile: production\na: 2\n"
        "---\nspring.profiles: x\nb: 1\n"
    )
    older = "b: 1\n---\nspring: {profiles: staging}\nb: 2\n"

    reading = read(
        spring, {"one.yml": text.split("---\nspring.profiles", maxsplit=1)[0], "two.yml": older}
    )

    assert trees(reading)[("one", "production")] == {"a": 2}
    assert trees(reading)[("one", "staging")] == {"a": 1}
    assert trees(reading)[("two", "staging")] == {"b": 2}


@pytest.mark.parametrize(
    ("files", "wrong"),
    [
        ({"a.yml": "x: [\n"}, ("", "malformed", None)),
        ({"a.yml": "x: 1\n---\ny: 1\ny: 2\n"}, ("", "malformed", 4)),
        (
            {"a.yml": "spring: {config: {activate: {on-profile: moon}}}\n"},
            ("", "environment", None),
        ),
        ({"a.properties": "a.b=1\na=2\n"}, ("", "shape", None)),
        ({"a.properties": "hosts[0]=x\n"}, ("", "list", None)),
    ],
)
def test_spring__that_cannot_be_read__is_refused_by_file(files, wrong):
    reading = read(spring, files)

    (problems,) = told(reading).values()
    assert problems[0][1:] == wrong[1:] or (wrong[1] == "malformed" and problems)


def consul_export(entries):
    return json.dumps(
        [
            {
                "key": key,
                "flags": 0,
                "value": None if value is None else base64.b64encode(value.encode()).decode(),
            }
            for key, value in entries.items()
        ]
    )


def test_consul__export__is_a_document_for_each_service():
    entries = {
        "config/": None,
        "config/shop/db/host": "db1",
        "config/shop/db/pool": "20",
        "config/shop,production/db/host": "${HOST}",
        "config/cart-staging/data": "limit: 3\nlist: [1]\n",
    }

    reading = read(consul, {"dump.json": consul_export(entries)})

    assert trees(reading) == {
        ("cart", "staging"): {"limit": 3, "list": [1]},
        ("shop", "development"): {"db": {"host": "db1", "pool": "20"}},
        ("shop", "production"): {"db": {"host": "$${HOST}"}},
    }


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '[{"key":1}]',
        '[{"key":"a/b","value":"***"}]',
        '[{"key":"a/b","value":"/w=="}]',
        consul_export({"alone": "x"}),
        consul_export({"shop,moon/a": "x"}),
        consul_export({"shop/a": "x", "shop/a/b": "y"}),
    ],
)
def test_consul__that_is_no_export__is_refused(text):
    reading = read(consul, {"dump.json": text})

    assert reading.documents == []
    assert list(reading.refused) == ["dump.json"]


def test_nacos__export__is_named_by_data_ids():
    files = {
        ".metadata.yml": "metadata: []\n",
        "DEFAULT_GROUP/shop.yaml": "a: {x: 1}\n",
        "DEFAULT_GROUP/shop-pro.yaml": "a: 2\n",
        "DEFAULT_GROUP/cart": "limit.max=3\n",
        "OTHER/shop.yaml": "a: 9\n",
    }

    reading = read(nacos, files)

    assert trees(reading) == {
        ("cart", "development"): {"limit": {"max": "3"}},
        ("shop", "development"): {"a": {"x": 1}},
        ("shop", "production"): {"a": 2},
    }
    assert told(reading) == {"OTHER/shop.yaml": [("", "group", None)]}


def test_apollo__export__has_namespaces_under_their_names():
    files = {
        "ada/shop/PRO/shop+default+application.properties": "timeout = 5\ndb.host = x\n",
        "ada/shop/PRO/shop+default+limits.yaml": "cpu: 2\n",
        "ada/shop/DEV/shop+default+application.properties": "timeout = 1\n",
        "ada/shop/DEV/shop+canary+application.properties": "timeout = 9\n",
        "ada/shop/UAT/shop+default+application.properties": "timeout = 9\n",
        "ada/shop/app.metadata": "{}",
    }

    reading = read(apollo, files)

    assert trees(reading) == {
        ("shop", "development"): {"timeout": "1"},
        ("shop", "production"): {"timeout": "5", "db": {"host": "x"}, "limits": {"cpu": 2}},
    }
    assert {file: each[0][1] for file, each in told(reading).items()} == {
        "ada/shop/DEV/shop+canary+application.properties": "cluster",
        "ada/shop/UAT/shop+default+application.properties": "environment",
    }


def test_env_tree__files__lie_over_each_other_by_environment():
    files = {
        "shop/.env": "A=1\nB=$${x}\n",
        "shop/.env.production": "A=2\n",
        "shop/.env.example": "A=\n",
        "shop/.env.production.local": "A=3\n",
        "cart.env": "C=1\n",
        ".env": "D=1\n",
        "shop/.env.moon": "A=1\n",
    }

    reading = read(env_tree, files)

    assert trees(reading)[("shop", "production")]["A"] == "2"
    assert trees(reading)[("cart", "production")] == {"C": "1"}
    assert set(told(reading)) == {".env", "shop/.env.moon"}
    assert set(reading.passed_over) == {"shop/.env.example", "shop/.env.production.local"}


MANIFEST = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: shop-config, namespace: production, labels: {app.kubernetes.io/name: shop}}
data:
  LOG: info
  application.yaml: |
    db: {pool: 5}
---
apiVersion: v1
kind: Secret
metadata: {name: shop-db, namespace: production, labels: {app: shop}}
data: {password: czNjcmV0}
stringData: {user: app}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
"""


def test_kubernetes__manifests__are_documents_and_secrets():
    listed = {"kind": "List", "items": [{"kind": "ConfigMap", "metadata": {"name": "cart"}}]}
    whole = "kind: ConfigMap\nmetadata: {name: one}\ndata: {config.json: '{\"a\": 1}'}\n"

    reading = read(
        kubernetes, {"shop.yaml": MANIFEST, "list.json": json.dumps(listed), "one.yml": whole}
    )

    assert trees(reading) == {
        ("cart", "development"): {},
        ("one", "development"): {"a": 1},
        ("shop", "production"): {
            "LOG": "info",
            "application": {"db": {"pool": 5}},
            "password": {"$secret": "shop-db.password"},
            "user": {"$secret": "shop-db.user"},
        },
    }
    assert [(each.name, each.value) for each in reading.secrets] == [
        ("shop-db.password", "s3cret"),
        ("shop-db.user", "app"),
    ]
    assert "s3cret" not in repr(reading)


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        ("kind: Secret\nmetadata: {name: a}\ndata: {k: '***'}\n", "/data/k"),
        ("kind: ConfigMap\nmetadata: {name: a}\nbinaryData: {k: aGk=}\n", "/binaryData"),
        ("kind: ConfigMap\nmetadata: {name: a}\ndata: {k: 1}\n", "/data"),
        ("kind: ConfigMap\nmetadata: {}\n", "/metadata/name"),
        ("kind: ConfigMap\nmetadata: {name: a}\ndata: {a.json: '{'}\n", "/data/a.json"),
        ("kind: Secret\nmetadata: {name: a}\nstringData: [1]\n", "/stringData"),
        ("kind: Secret\nmetadata: {name: a}\ndata: x\n", "/data"),
    ],
)
def test_kubernetes__that_cannot_be_taken__is_refused_with_its_place(text, pointer):
    assert told(read(kubernetes, {"a.yaml": text}))["a.yaml"][0][0] == pointer


def test_data__that_looks_like_our_syntax__is_kept_as_data():
    from apps.engine import merge, resolving

    data = {"a": "${x}", "b": {"$secret": "n"}, "c": [{"$remove": True}], "d": {"e": "$${y}"}}

    written = as_data(data)

    assert resolving.compose([merge.Layer("own", written)]).tree == data


def test_nested__keys_that_clash__are_refused_in_any_order():
    assert nested({"a.b": 1, "a.c.d": 2}, ".") == {"a": {"b": 1, "c": {"d": 2}}}
    for flat in ({"a": 1, "a.b": 2}, {"a.b": 2, "a": 1}):
        with pytest.raises(MalformedError):
            nested(flat, ".")


def archive(files):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as written:
        for name, content in files:
            written.writestr(name, content)
    return made.getvalue()


def test_archive__of_files__is_read_by_path():
    assert unpacked(archive([("a/b.yml", "x"), ("c/", "")])) == {"a/b.yml": b"x"}


@pytest.mark.parametrize(
    "content",
    [
        b"no archive",
        archive([("../up.yml", "x")]),
        archive([("/root.yml", "x")]),
        archive([("a\\b.yml", "x")]),
        archive([("bomb.yml", b"\0" * 3_000_000)]),
        archive([(f"{n}.yml", "") for n in range(2_001)]),
        archive([("a.yml", "x")])[:-30],
    ],
    ids=["none", "up", "root", "backslash", "bomb", "many", "cut"],  # as the time is in an archive
)
def test_archive__that_is_none_or_leads_out_or_is_too_large__is_refused(content):
    with pytest.raises((MalformedError, LimitError)):
        unpacked(content)
