"""The contract's common rules: credentials, addresses, caching, paging, idempotency."""

import json

import pytest

from apps.access.policy import Place

pytestmark = pytest.mark.django_db


@pytest.fixture
def published(shop, operator):
    body = {"environment": "production", "config": {"settings": {"timeout": 1}, "log": "info"}}
    assert operator.post("/config/shop", body).status_code == 201
    return operator


@pytest.mark.parametrize("ending", ["", ".yaml", ".env", "?key=log"])
@pytest.mark.parametrize("coding", ["gzip", "identity"])
def test_etag__of_a_long_poll_without_news__is_that_of_what_is_live(published, ending, coding):
    address = f"/config/shop{ending}"
    first = published.get(address, accept_encoding=coding)
    after = f"{'&' if '?' in ending else '?'}after={first['X-Config-Revision']}"

    polled = published.get(address + after, accept_encoding=coding, if_none_match=first["ETag"])

    assert (polled.status_code, polled["ETag"]) == (304, first["ETag"])
    assert polled["X-Config-Version"] == first["X-Config-Version"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/config/shop"),
        ("POST", "/config/shop"),
        ("GET", "/nothing/here"),
        ("GET", "/environments"),
        ("GET", "/schema"),
        ("GET", "/docs"),
        ("GET", "/stream"),
        ("GET", "/audit"),
        ("GET", "/api/v1/config/shop"),
    ],
)
def test_without_credentials__everything__is_401_with_bearer(published, anonymous, method, path):
    answer = anonymous(method, path)

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Bearer"
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_without_credentials__health__is_open(anonymous, path):
    assert anonymous.get(path).status_code == 200


def test_without_credentials__browser__is_sent_to_log_in(anonymous):
    answer = anonymous.get("/config/shop", accept="text/html")

    assert answer.status_code == 302
    assert answer["Location"] == "/admin/login/?next=/config/shop"


@pytest.mark.parametrize("query", ["token=x", "access_token=x", "q=csk_abc"])
def test_credentials_in_the_query__are_refused(published, query):
    assert published.get(f"/config/shop?{query}").status_code == 401


def test_trailing_slash__is_308_to_the_path_without(published):
    answer = published.get("/config/shop/?environment=production")

    assert (answer.status_code, answer["Location"]) == (308, "/config/shop?environment=production")


def test_prefix__api_v1__answers_the_same(published):
    assert published.get("/api/v1/config/shop").content == published.get("/config/shop").content


def test_hidden__and_missing__look_alike_byte_for_byte(published, make_api):
    stranger = make_api("viewer", service="shop", environment="staging")

    hidden = stranger.get("/config/shop?environment=production")
    missing = published.get("/config/shop?environment=development")

    assert hidden.status_code == missing.status_code == 404
    assert hidden.content == missing.content
    unknown = stranger.get("/config/none?environment=production")
    nowhere = stranger.get("/config/shop?environment=none")
    assert hidden.content == unknown.content == nowhere.content
    nothing = make_api()
    assert nothing.get("/services/shop").content == nothing.get("/services/none").content


def test_not_allowed__is_403_naming_the_right(published, make_api):
    viewer = make_api("viewer")

    answer = viewer.post("/config/shop", {"environment": "production", "config": {}})

    assert answer.status_code == 403
    assert answer.json()["right"] == "publish"
    assert answer.json()["code"] == "forbidden"


ROLES = ("consumer", "viewer", "developer", "operator", "auditor", "administrator")
WRITERS = {"operator", "administrator"}
ALLOWED = [
    ("GET", "/config/shop?environment=production", None, set(ROLES)),
    ("GET", "/config/shop/history?environment=production", None, set(ROLES)),
    ("POST", "/config/shop/refresh", {"environment": "production"}, WRITERS),
    ("POST", "/config/shop/rollback", {"environment": "production", "to_version": 1}, WRITERS),
    ("PATCH", "/services/shop", {"description": "x"}, {"administrator"}),
    ("GET", "/audit", None, {"auditor", "administrator"}),
    ("GET", "/grants", None, {"auditor", "administrator"}),
    ("POST", "/environments", {"slug": "extra"}, {"administrator"}),
]


@pytest.mark.parametrize("role", ROLES)
def test_roles__every_call__is_allowed_or_refused_as_the_table_says(published, make_api, role):
    api = make_api(role)

    for method, path, body, roles in ALLOWED:
        answer = api(method, path, body if body is not None else "")
        if role in roles:
            assert answer.status_code < 300, (method, path, answer.content)
        else:
            assert answer.status_code == 403, (method, path, answer.content)


@pytest.mark.parametrize(
    ("service", "environment", "sees"),
    [
        (None, None, True),
        ("shop", None, True),
        (None, "production", True),
        ("shop", "production", True),
        ("shop", "staging", False),
        ("other", None, False),
        (None, "staging", False),
    ],
)
def test_grant__at_each_scope__decides_for_that_scope_alone(
    published, system, make_api, service, environment, sees
):
    from apps.configs.services.places import create_service

    create_service(actor=system, slug="other")
    api = make_api("viewer", service=service, environment=environment)

    assert (api.get("/config/shop?environment=production").status_code == 200) is sees


def test_withdrawn_grant__counts_at_once(published, make_api):
    api = make_api("viewer")
    assert api.get("/config/shop?environment=production").status_code == 200
    grants = published.get("/grants").json()["results"]
    mine = next(each for each in grants if each["to"] == f"service-account:{api.account.slug}")

    assert published("DELETE", f"/grants/{mine['id']}").status_code == 204

    assert api.get("/config/shop?environment=production").status_code == 404


def test_withdrawn_token__is_401_at_once(published, make_api):
    api = make_api("viewer")
    url = f"/service-accounts/{api.account.slug}/tokens"
    token = published.get(url).json()["results"][0]

    assert published("DELETE", f"{url}/{token['id']}").status_code == 204

    assert api.get("/config/shop").status_code == 401


def test_grant__of_what_one_has_not__is_refused(published, make_api, system):
    from apps.access import services

    half = make_api()
    services.grant(actor=system, to=f"service-account:{half.account.slug}", verb="manage")
    services.grant(actor=system, to=f"service-account:{half.account.slug}", verb="list")

    given = half.post("/grants", {"to": f"service-account:{half.account.slug}", "role": "operator"})

    assert (given.status_code, given.json()["code"]) == (403, "forbidden")


def test_etag__same_question__is_304_and_other_views_differ(published):
    first = published.get("/config/shop")
    tags = {
        published.get(path)["ETag"]
        for path in ("/config/shop", "/config/shop.yaml", "/config/shop?key=log")
    }

    again = published.get("/config/shop", if_none_match=first["ETag"])

    assert (again.status_code, again.content) == (304, b"")
    assert again["ETag"] == first["ETag"]
    assert not {"Content-Type", "Content-Length"} & set(again.headers)
    assert len(tags) == 3
    assert again["Cache-Control"] == "private, no-cache"
    assert "Authorization" in again["Vary"]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/yaml", "application/yaml; charset=utf-8"),
        ("application/toml", "application/toml; charset=utf-8"),
        ("application/xml;q=0.9, application/yaml;q=0.1", "application/xml; charset=utf-8"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
    ],
)
def test_accept__chooses_the_format(published, accept, kind):
    assert published.get("/config/shop", accept=accept)["Content-Type"] == kind


def test_accept__nothing_that_there_is__is_406(published):
    assert published.get("/config/shop", accept="image/png").status_code == 406


def test_format__that_cannot_hold_it__is_406_naming_the_keys(shop, operator):
    operator.post("/config/shop", {"environment": "production", "config": {"a": {"b": None}}})

    answer = operator.get("/config/shop.toml")

    assert answer.status_code == 406
    assert [each["pointer"] for each in answer.json()["errors"]] == ["/a/b"]


def test_key__globs__narrow_document_and_checksum(published):
    whole = published.get("/config/shop").json()

    part = published.get("/config/shop?key=settings.*&key=nope").json()

    assert part["config"] == {"settings": {"timeout": 1}}
    assert part["checksum"] != whole["checksum"]


def test_env_format__takes_the_sections_of_environment_variables(published):
    published.post("/services/shop/sections", {"key": "env", "type": "environment_variables"})
    body = {
        "environment": "production",
        "config": {"env": {"TZ": "UTC"}, "log": "x"},
        "base_version": 1,
    }
    published.post("/config/shop", body)

    assert published.get("/config/shop.env").content == b"TZ=UTC\n"
    assert published.get("/config/shop.properties?section=env").content == b"TZ=UTC\n"


def test_env_format__of_a_section_that_is_a_secret_as_a_whole__is_refused_by_its_key(published):
    section = {"key": "env", "type": "environment_variables"}
    here = {"service": "shop", "environment": "production"}
    body = {**here, "name": "all", "value": "x" * 20}
    config = {"environment": "production", "config": {"env": {"$secret": "all"}}}
    assert published("POST", "/secrets", body).status_code == 201
    assert published("POST", "/services/shop/sections", section).status_code == 201
    changed = published("POST", "/config/shop", {**config, "on_stale": "overwrite"})
    assert changed.status_code == 201, changed.content

    answer = published.get("/config/shop.env")

    assert (answer.status_code, answer.json()["code"]) == (406, "not_representable")
    assert "'env'" in answer.json()["detail"]


def test_env_format__another_section_of_variables__is_another_answer_of_the_same_version(published):
    body = {"config": {"env": {"TZ": "UTC"}, "more": {"A": "1"}}, "base_version": 1}
    published.post("/config/shop", {"environment": "production", **body})
    kind = "environment_variables"
    tags, bodies = [], []
    for key in ("env", "more"):
        published.post("/services/shop/sections", {"key": key, "type": kind})
        answer = published.get("/config/shop.env", if_none_match=",".join(tags))
        tags.append(answer["ETag"])
        bodies.append(answer.content)

    assert bodies == [b"TZ=UTC\n", b"TZ=UTC\nA=1\n"]
    assert published.get("/config/shop.env", if_none_match=tags[1]).status_code == 304


def test_several__as_of_one_revision__are_in_one_answer(published, system):
    from apps.configs.services.places import create_service

    create_service(actor=system, slug="cart")
    published.post("/config/cart", {"environment": "production", "config": {"c": 1}})

    answer = published.get("/config?service=shop&service=cart&environment=production").json()

    assert [each["service"] for each in answer["results"]] == ["shop", "cart"]
    assert published.get("/config?service=shop&service=none").status_code == 404


def test_idempotency_key__same_body__gives_the_first_answer_again(shop, operator):
    body = {"environment": "production", "config": {"a": 1}}

    first = operator.post("/config/shop", body, idempotency_key="k1")
    again = operator.post("/config/shop", body, idempotency_key="k1")
    other = operator.post("/config/shop", {**body, "config": {"a": 2}}, idempotency_key="k1")

    assert (first.status_code, again.status_code, other.status_code) == (201, 201, 422)
    assert first.content == again.content
    assert operator.get("/config/shop").json()["version"] == 1


def test_idempotency_key__failed_first__is_not_remembered(shop, operator):
    assert operator.post("/config/shop", {"config": 1}, idempotency_key="k2").status_code == 400

    body = {"environment": "production", "config": {"a": 1}}
    assert operator.post("/config/shop", body, idempotency_key="k2").status_code == 201


def test_idempotency_key__answer_with_a_credential__is_not_kept(operator):
    from apps.access.models import IdempotencyRecord

    operator.post("/service-accounts", {"slug": "app"})
    first = operator.post("/service-accounts/app/tokens", {}, idempotency_key="k3")

    again = operator.post("/service-accounts/app/tokens", {}, idempotency_key="k3")

    assert (again.status_code, again.json()["code"]) == (409, "already_done")
    assert again.json()["id"] == first.json()["id"]
    kept = json.dumps(list(IdempotencyRecord.objects.values("body", "headers")))
    assert first.json()["token"] not in kept
    assert len(operator.get("/service-accounts/app/tokens").json()["results"]) == 1


def test_pages__follow_next_to_the_end(operator, system):
    from apps.configs.services.places import create_service

    for number in range(7):
        create_service(actor=system, slug=f"svc-{number}")
    seen, url = [], "/services?page_size=3"
    while url:
        page = operator.get(url).json()
        seen += [each["slug"] for each in page["results"]]
        url = page["next"]

    assert seen == [f"svc-{number}" for number in range(7)]


def test_audit__who_did_what__is_there_with_hashes(published):
    events = published.get("/audit?action=configuration.*").json()["results"]

    assert events[0]["target"] == "configuration:shop@production"
    assert events[0]["actor"].startswith("service-account:")
    assert len(events[0]["hash"]) == 64
    assert events[0]["data"]["keys"] == ["log", "settings.timeout"]


def test_validate__bad_and_good__stores_nothing(published):
    published.post(
        "/services/shop/sections",
        {"key": "settings", "schema": {"properties": {"timeout": {"type": "integer"}}}},
    )
    ask = {"service": "shop", "environment": "production", "format": "yaml"}

    bad = published.post("/validate", {**ask, "content": "settings:\n  timeout: x\n"}).json()
    broken = published.post("/validate", {**ask, "content": "a: [1\n"}).json()
    good = published.post("/validate", {**ask, "content": "settings:\n  timeout: 5\n"}).json()

    assert (bad["valid"], bad["errors"][0]["line"]) == (False, 2)
    assert (broken["valid"], broken["errors"][0]["line"]) == (False, 2)
    assert good["valid"] is True
    assert {
        "key": "settings.timeout",
        "pointer": "/settings/timeout",
        "kind": "changed",
        "old": 1,
        "new": 5,
    } in good["changes"]
    assert published.get("/config/shop").json()["version"] == 1


def test_environments__first_three__are_as_the_contract_says(operator):
    found = operator.get("/environments").json()["results"]

    assert [(each["slug"], each["default"]) for each in found] == [
        ("development", True),
        ("staging", False),
        ("production", False),
    ]
    assert operator.post("/environments", {"slug": "first", "rank": 5}).status_code == 201
    found = operator.get("/environments").json()["results"]
    assert [each["slug"] for each in found] == ["first", "development", "staging", "production"]
    assert operator("PATCH", "/environments/staging", {"required_approvals": 1}).status_code == 422


def test_environments__made_in_any_order__come_by_rank_everywhere(published):
    for slug, rank in (("canary", 25), ("sandbox", 5)):
        assert published.post("/environments", {"slug": slug, "rank": rank}).status_code == 201
    by_rank = ["sandbox", "development", "staging", "canary", "production"]

    pages = [published.get(f"/environments?page_size=1&cursor={at}").json() for at in range(5)]
    rows = published.get("/matrix").json()["results"][0]["environments"]
    columns = published.get("/config/shop/across").json()["environments"]
    query = "{ environments { edges { node { slug } } } }"
    edges = published.post("/graphql", {"query": query}).json()["data"]["environments"]["edges"]

    assert [each["results"][0]["slug"] for each in pages] == by_rank
    assert [each["environment"] for each in rows] == by_rank
    assert [each["environment"] for each in columns] == by_rank
    assert [each["node"]["slug"] for each in edges] == by_rank


def test_template__in_use__cannot_be_deleted(published):
    published.post("/templates", {"slug": "base", "content": {"x": 1}})
    body = {
        "environment": "production",
        "config": {},
        "extends": [{"template": "base"}],
        "base_version": 1,
    }
    assert published.post("/config/shop", body).status_code == 201

    assert published("DELETE", "/templates/base").status_code == 422
    published("DELETE", "/config/shop?environment=production")
    deleted = published("DELETE", "/templates/base")
    assert deleted.status_code == 204
    assert not {"Content-Type", "Content-Length"} & set(deleted.headers)
    assert published.get("/templates/base").status_code == 404


def test_token__that_could_do_more_than_its_maker__is_refused(published, make_api, system):
    from apps.access import services
    from apps.registry.selectors import get_environment

    manager = make_api()
    name = f"service-account:{manager.account.slug}"
    production = get_environment("production")
    for verb in ("list", "read", "manage"):
        services.grant(actor=system, to=name, verb=verb, on=Place(environment=production))
    strong = make_api("administrator")

    refused = manager.post(f"/service-accounts/{strong.account.slug}/tokens", {})

    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    weak = make_api("viewer", environment="production")
    url = f"/service-accounts/{weak.account.slug}/tokens"
    assert manager.post(url, {}).status_code == 201


@pytest.mark.parametrize(
    ("path", "body", "made"),
    [
        ("/environments", {"slug": "extra"}, 201),
        ("/services", {"slug": "extra"}, 201),
        ("/services/shop/sections", {"key": "limits", "type": "resource_limits"}, 201),
        ("/templates", {"slug": "extra", "content": {"x": 1}}, 201),
        ("/templates/base/versions", {"content": {"x": 2}}, 201),
        ("/service-accounts", {"slug": "extra"}, 201),
        ("/grants", {"to": "service-account:other", "role": "viewer"}, 201),
        ("/config/shop", {"environment": "production", "config": {}, "base_version": 1}, 201),
        ("/config/shop/rollback", {"environment": "production", "to_version": 1}, 201),
        ("/config/shop/refresh", {"environment": "production"}, 200),
    ],
)
def test_idempotency_key__after_the_right_is_lost__gives_no_answer(
    published, make_api, path, body, made
):
    published.post("/service-accounts", {"slug": "other"})
    published.post("/templates", {"slug": "base", "content": {"x": 1}})
    api = make_api("administrator")
    assert api.post(path, body, idempotency_key="k").status_code == made
    repeated = api.post(path, body, idempotency_key="k")
    assert (repeated.status_code, repeated["Idempotent-Replay"]) == (made, "true")
    grants = published.get("/grants?page_size=200").json()["results"]
    mine = next(each for each in grants if each["to"] == f"service-account:{api.account.slug}")
    published("DELETE", f"/grants/{mine['id']}")

    answer = api.post(path, body, idempotency_key="k")

    assert answer.status_code in (403, 404)
    assert "slug" not in answer.json()


@pytest.mark.parametrize(
    "path",
    [
        "/config/shop?at=0001-01-01T00:00:00%2B23:59",
        "/config/shop?at=9999-12-31T23:59:59-23:59",
        "/config/shop/history?since=0001-01-01T00:00:00%2B23:59",
        "/audit?until=9999-12-31T23:59:59-23:59",
        "/config/shop?at=2026-01-01T00:00:00",
        "/config/shop?" + "&".join(f"a{n}=1" for n in range(10_100)),
        "/config/shop/history?cursor=--1",
        "/config/shop/history?cursor=%C2%B2",
        "/config/shop?after=1&wait=inf",
        "/config/shop?after=1&wait=1e1",
        "/config/shop?after=1&wait=61",
        "/config/shop/value?key=log&after=1&wait=-1",
    ],
)
def test_odd_parameters__are_400_problems(published, path):
    answer = published.get(path)

    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/config/shop/rollback", {"at": "0001-01-01T00:00:00+23:59"}),
        ("/service-accounts/robot-0/tokens", {"expires_at": "9999-12-31T23:59:59-23:59"}),
    ],
)
def test_times_outside_the_calendar__in_bodies__are_400(published, path, body):
    assert published.post(path, body).status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/service-accounts/robot-0/tokens", {"name": "n" * 201}),
        ("POST", "/templates", {"slug": "long", "content": {}, "name": "n" * 201}),
        ("PATCH", "/templates/base", {"name": "n" * 201}),
        ("POST", "/service-accounts", {"slug": "x", "description": "d" * 10_001}),
        ("POST", "/services", {"slug": "long", "name": "n" * 201}),
    ],
)
def test_names_longer_than_their_columns__are_422(published, method, path, body):
    published.post("/templates", {"slug": "base", "content": {"x": 1}})

    assert published(method, path, body).status_code == 422


def test_idempotency_key__with_a_very_long_address__is_remembered(shop, operator):
    url = "/config/shop?environment=production&" + "&".join(["environment=production"] * 300)
    body = {"environment": "production", "config": {"a": 1}}

    assert operator.post(url, body, idempotency_key="k").status_code == 201
    assert operator.post(url, body, idempotency_key="k")["Idempotent-Replay"] == "true"


def test_trailing_slash__with_line_breaks__stays_one_header(published):
    answer = published.get("/config/x%0d%0aSet-Cookie:%20a=b/")

    assert answer.status_code == 308
    assert answer["Location"] == "/config/x%0D%0ASet-Cookie:%20a=b"


def test_preflight__of_another_origin__gets_no_permission_and_no_401(anonymous):
    answer = anonymous(
        "OPTIONS", "/config/shop", origin="https://x.example", access_control_request_method="GET"
    )

    assert answer.status_code == 204
    assert not [name for name in answer.headers if name.startswith("Access-Control-Allow")]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/grants", {"to": "service-account:robot-1", "role": "viewer", "on": {"service": "{}"}}),
        ("/grants", {"to": "service-account:robot-1", "verb": "list", "on": {"environment": "{}"}}),
        ("/service-accounts", {"slug": "mine", "environment": "{}"}),
    ],
)
def test_hidden_names__in_bodies__look_like_missing_ones(published, make_api, system, path, body):
    from apps.configs.services.places import create_environment, create_service

    create_service(actor=system, slug="hidden")
    create_environment(actor=system, slug="hidden", rank=9)
    manager = make_api("administrator", service="shop", environment="production")

    answers = [
        manager.post(path, json.loads(json.dumps(body).replace("{}", name)))
        for name in ("hidden", "nowhere")
    ]

    assert {answer.status_code for answer in answers} == {422}
    assert answers[0].content == answers[1].content


def test_hidden_grant__looks_like_a_missing_one(published, make_api):
    manager = make_api("administrator", service="shop", environment="production")
    grants = published.get("/grants?page_size=200").json()["results"]
    globally = next(each for each in grants if each["on"]["service"] is None)

    hidden = manager("DELETE", f"/grants/{globally['id']}")
    missing = manager("DELETE", "/grants/999999")

    assert (hidden.status_code, hidden.content) == (404, missing.content)


def test_environments_manager__changes_a_description_without_naming_the_environment(
    published, make_api, system
):
    from apps.access import services
    from apps.registry.selectors import get_environment

    staging = get_environment("staging")
    services.create_account(actor=system, slug="worker", environment=staging)
    services.create_account(actor=system, slug="elsewhere")
    manager = make_api("administrator", environment="staging", own="staging")

    changed = manager("PATCH", "/service-accounts/worker", {"description": "new"})
    moved = manager("PATCH", "/service-accounts/worker", {"environment": None})
    listed = [each["slug"] for each in manager.get("/service-accounts").json()["results"]]

    assert (changed.status_code, moved.status_code) == (200, 403)
    assert "worker" in listed
    assert "elsewhere" not in listed


@pytest.mark.parametrize(
    ("url", "name"),
    [("/config/shop/history?page_size=2", "version"), ("/audit?page_size=3", "number")],
)
def test_pages__back_from_the_end__are_the_pages_that_led_there(published, url, name):
    for number in range(2, 9):
        body = {"environment": "production", "config": {"n": number}, "base_version": number - 1}
        assert published.post("/config/shop", body).status_code == 201
    forth, at = [], url
    while at:
        page = published.get(at).json()
        forth.append([each[name] for each in page["results"]])
        at = page["next"]

    back, at = [], page["previous"]
    while at:
        page = published.get(at).json()
        back.append([each[name] for each in page["results"]])
        assert page["next"]
        at = page["previous"]

    assert len(forth) > 2
    assert back == forth[-2::-1]


NAMES_TAKEN = [
    ("/services", {"slug": "Shop"}),
    ("/environments", {"slug": "Production"}),
    ("/templates", {"slug": "base", "content": {"a": 1}}),
    ("/service-accounts", {"slug": "app"}),
    ("/services/shop/sections", {"key": "log", "type": "application_settings"}),
    ("/secrets", {"service": "shop", "environment": "production", "name": "pin", "value": "x"}),
    ("/key-rules", {"pattern": "security.**"}),
    ("/rules", {"name": "limit", "expression": "true"}),
]
INVALID = "The configuration is not valid"
OTHERS = "The request is not valid"


def problem(answer):
    """Its title, once the members that programs go by are as they are for all of them."""
    told = answer.json()
    members = ("type", "status", "code")
    assert [told[name] for name in members] == ["about:blank", 422, "invalid"], told
    assert answer["Content-Type"] == "application/problem+json"
    return told["title"]


@pytest.mark.parametrize(("path", "body"), NAMES_TAKEN, ids=[path for path, _ in NAMES_TAKEN])
def test_problem__name_that_is_taken__is_titled_so(shop, make_api, path, body):
    administrator = make_api("administrator")
    if path != "/environments":
        administrator.post(path, body)

    answer = administrator.post(path, body)

    assert problem(answer) == "This is taken already"
    assert [each["code"] for each in answer.json()["errors"]] == ["taken"]


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ({"op": "test", "path": "/log", "value": "debug"}, "test_failed"),
        ({"op": "remove", "path": "/none"}, "path"),
    ],
)
def test_problem__patch_that_does_not_apply__is_titled_so(published, operation, code):
    answer = published(
        "PATCH",
        "/config/shop?environment=production",
        json.dumps([operation]),
        "application/json-patch+json",
    )

    assert problem(answer) == "The patch does not apply"
    assert [each["code"] for each in answer.json()["errors"]] == [code]


@pytest.mark.parametrize(
    ("path", "body", "title"),
    [
        ("/config/shop", {"config": {"a": {"$append": 1}}}, INVALID),
        ("/config/shop", {"config": {"a": "${cart:b}"}}, INVALID),
        ("/config/shop", {"content": "text", "format": "yaml"}, INVALID),
        ("/config/shop", {"config": {}, "extends": [{"template": "none"}]}, INVALID),
        ("/services", {"slug": "a/b"}, OTHERS),
        ("/templates", {"slug": "base", "content": {"$for": 1}}, OTHERS),
        ("/grants", {"to": "user:nobody", "role": "viewer", "on": {}}, OTHERS),
    ],
)
def test_problem__of_a_configuration_alone__is_titled_so(shop, operator, path, body, title):
    assert problem(operator.post(path, body)) == title


def test_problem__patch_that_leaves_no_object__is_titled_as_of_a_configuration(published):
    address = "/config/shop?environment=production"

    whole = json.dumps([{"op": "replace", "path": "", "value": 1}])

    answer = published("PATCH", address, whole, "application/json-patch+json")

    assert problem(answer) == INVALID
