"""Every noun of the graph says what REST says of the same thing."""

import pytest

from tests.api.graphql_client import as_rest, ask, data, nodes, problem
from tests.api.test_references import publish

pytestmark = pytest.mark.django_db

HERE = 'configuration(service: "shop", environment: "production")'
EXACT = '{"a":1.10,"big":9007199254740993,"e":1e2,"list":[1,{"n":0.1}],"pin":{"$secret":"pin"}}'


@pytest.fixture(scope="module")
def world(operator):
    """A service with versions, a template, a parent, a reference, secrets, rules, grants."""
    for slug in ("shop", "cart"):
        assert (
            operator.post("/services", {"slug": slug, "labels": {"tier": "1"}}).status_code == 201
        )
    operator("PATCH", "/environments/production", {"parent": "staging"})
    secret = {"service": "shop", "environment": "production", "name": "pin", "value": "v4lue"}
    assert operator.post("/secrets", {**secret, "description": "of the till"}).status_code == 201
    operator.post("/secrets/shop/pin/versions?environment=production", {"value": "other"})
    operator.post("/templates", {"slug": "base", "content": {"pool": 5}, "message": "first"})
    operator.post("/templates/base/versions", {"content": {"pool": 7}})
    section = {"key": "limits", "type": "application_settings", "schema": {"maxProperties": 3}}
    assert operator.post("/services/shop/sections", section).status_code == 201
    publish(operator, "cart", {"port": 1, "host": "h"})
    publish(operator, "shop", {"old": True}, environment="staging")
    body = f'{{"environment":"production","config":{EXACT},"extends":[{{"template":"base"}}]}}'
    assert operator.post("/config/shop", body).status_code == 201
    document = EXACT.replace('"pin"', '"port":"${cart:port}","pin"', 1)
    body = f'{{"environment":"production","config":{document},"on_stale":"overwrite"}}'
    assert operator.post("/config/shop", body).status_code == 201
    rule = {"name": "few", "service": "shop", "expression": "config.pool < 99", "message": "m"}
    assert operator.post("/rules", rule).status_code == 201
    held = '{"name":"held","key":"old","equals":1.10,"severity":"warning"}'
    assert operator.post("/rules", held).status_code == 201
    made = operator.post("/key-rules", {"pattern": "nothing.**", "description": "d"}).json()
    account = {"slug": "app", "environment": "production", "description": "d"}
    operator.post("/service-accounts", account)
    operator.post("/service-accounts/app/tokens", {"name": "one"})
    on = {"service": "shop", "environment": "production"}
    operator.post("/grants", {"to": "service-account:app", "role": "viewer", "on": on})
    on = {"key_rule": made["id"]}
    operator.post("/grants", {"to": "service-account:app", "verb": "read", "on": on})
    operator("PUT", "/roles/half", {"verbs": ["list", "read"], "description": "d"})
    return operator


# address of REST, list of the graph, what it is asked for, names that differ
LISTS = [
    (
        "/environments",
        "environments",
        "slug name rank default protected requiredApprovals parentSlug serviceCount",
        {"parent_slug": "parent", "service_count": "services"},
    ),
    ("/services", "services", "slug name description owner labels", {}),
    (
        "/key-rules",
        "keyRules",
        "id pattern service environment description createdAt createdBy",
        {},
    ),
    ("/roles", "roles", "name description verbs builtIn", {}),
    (
        "/service-accounts",
        "serviceAccounts",
        "slug description environmentSlug createdAt",
        {"environment_slug": "environment"},
    ),
    (
        "/audit",
        "audit",
        "number revision at actor action target data hash previous shortened",
        {},
    ),
    (
        "/secrets",
        "secrets",
        "service environment name description version rotation createdAt createdBy",
        {},
    ),
    ("/audit/verification", "verifications", "at actor ok revision events checkpoints outcome", {}),
]


@pytest.mark.parametrize("row", LISTS, ids=[row[1] for row in LISTS])
def test_lists__each__hold_what_rest_lists(world, row):
    address, name, members, renamed = row
    expected = world.get(f"{address}?page_size=100").json()["results"]

    found = nodes(world, f"{{ {name}(first: 100) {{ edges {{ node {{ {members} }} }} }} }}")

    found = [
        {renamed.get(k, k): v for k, v in as_rest(each).items() if (k, v) != ("shortened", False)}
        for each in found
    ]
    assert found == expected
    assert found or name == "verifications"


def test_rules__expression_and_test__hold_what_rest_lists(world):
    members = "name service environment severity expression key equals message description tests"

    found = nodes(world, f"{{ rules {{ edges {{ node {{ {members} }} }} }} }}")

    expected = world.get("/rules").json()["results"]
    absent = {"expression": None, "key": None, "equals": None}
    assert found == [absent | each for each in expected]
    one = data(world, '{ rule(name: "FEW") { name } none: rule(name: "no") { name } }')
    assert one == {"rule": {"name": "few"}, "none": None}
    asked = world.post("/graphql", {"query": '{ rule(name: "held") { equals } }'})
    assert b'"equals":1.10' in asked.content


def test_grants__on_places_and_rules__hold_what_rest_lists(world):
    members = "id to role verb on { service environment keyRule } expiresAt createdAt createdBy"

    found = nodes(world, f"{{ grants {{ edges {{ node {{ {members} }} }} }} }}")

    expected = world.get("/grants").json()["results"]
    found = [{**as_rest(each), "on": as_rest(each["on"])} for each in found]
    assert found == [{"role": None, "verb": None, **each} for each in expected]


def test_sections_and_templates__with_versions__hold_what_rest_gives(world):
    found = data(
        world,
        """{ service(slug: "SHOP") { slug sections { edges { node { key type schema description } } }
             section(key: "limits") { key } none: section(key: "x") { key } }
             template(slug: "base") { slug name newest { version content }
               versions { edges { node { version revision publishedAt author message parameters
                                         content extends } } }
               users { edges { node { service { slug } environment { slug } } } } }
             templates { edges { node { slug newest { version } } } } }""",
    )

    service, template = found["service"], found["template"]
    sections = world.get("/services/shop/sections").json()["results"]
    assert [each["node"] for each in service["sections"]["edges"]] == sections
    assert (service["section"], service["none"]) == ({"key": "limits"}, None)
    versions = [as_rest(each["node"]) for each in template["versions"]["edges"]]
    assert versions == world.get("/templates/base/versions").json()["results"]
    assert template["newest"] == {"version": 2, "content": {"pool": 7}}
    user = {"service": {"slug": "shop"}, "environment": {"slug": "production"}}
    assert template["users"]["edges"] == [{"node": user}]
    assert found["templates"]["edges"] == [{"node": {"slug": "base", "newest": {"version": 2}}}]


def test_secret__versions_status_and_users__are_what_rest_gives(world):
    found = data(
        world,
        """{ secret(service: "shop", name: "pin", environment: "production") {
             rotationStatus { state step error startedAt endedAt nextAt previousUntil }
             users { hidden results { service { slug } environment { slug } } }
             configuration { environment { slug } }
             versions { edges { node { version stages createdAt author revision destroyed } } } } }""",
    )["secret"]

    shown = world.get("/secrets/shop/pin?environment=production").json()
    assert as_rest(found["rotationStatus"]) == shown["rotation_status"]
    users = [
        {"service": each["service"]["slug"], "environment": each["environment"]["slug"]}
        for each in found["users"]["results"]
    ]
    assert (users, found["users"]["hidden"]) == (shown["users"], 0)
    versions = world.get("/secrets/shop/pin/versions?environment=production").json()["results"]
    assert [as_rest(each["node"]) for each in found["versions"]["edges"]] == versions


def test_tokens__of_an_account__are_what_rest_lists(world):
    members = "id name prefix createdBy createdAt expiresAt lastUsedAt withdrawnAt"

    found = data(
        world,
        f'{{ serviceAccount(slug: "app") {{ tokens {{ edges {{ node {{ {members} }} }} }} }} }}',
    )

    tokens = [as_rest(each["node"]) for each in found["serviceAccount"]["tokens"]["edges"]]
    assert tokens == world.get("/service-accounts/app/tokens").json()["results"]


ENVELOPE = "version revision checksum publishedAt author message cause retired restores promotes"


def test_configuration__live__is_byte_for_byte_the_document_that_rest_serves(world):
    asked = world.post("/graphql", {"query": f"{{ {HERE} {{ live {{ config }} }} }}"}).content

    served = world.get("/config/shop?environment=production").content
    document = served.partition(b'"config":')[2][:-1]
    assert b"1.10" in document
    assert b"9007199254740993" in document
    assert b'{"config":' + document + b"}" in asked


def test_configuration__versions_and_source__are_what_rest_gives(world):
    found = data(
        world,
        f"""{{ {HERE} {{ service {{ slug }} environment {{ slug parent {{ slug }} }}
            live {{ {ENVELOPE} keys config source {{ content format extends }} lock
                    narrow: config(keys: ["list.**"]) value(key: "list[1].n") none: value(key: "x")
                    file(format: "yaml") env: file(format: "env") }}
            version(number: 1) {{ {ENVELOPE} keys config source {{ content format extends }} lock }}
            missing: version(number: 99) {{ version }} }} }}""",
    )["configuration"]

    whole = world.get("/config/shop/versions/2?environment=production").json()
    del whole["service"], whole["environment"]
    live = as_rest(found["live"])
    assert {name: live[name] for name in whole} == whole
    older = world.get("/config/shop/versions/1?environment=production").json()
    assert as_rest(found["version"]) == {k: older[k] for k in as_rest(found["version"])}
    assert live["file"].encode() == world.get("/config/shop.yaml?environment=production").content
    assert live["env"].encode() == world.get("/config/shop.env?environment=production").content
    narrow = world.get("/config/shop?environment=production&key=list.**").json()["config"]
    assert live["narrow"] == narrow
    assert (live["value"], live["none"], found["missing"]) == (0.1, None, None)
    assert found["environment"] == {"slug": "production", "parent": {"slug": "staging"}}


def test_history__pages_and_filters__are_what_rest_lists(world):
    members = "version revision publishedAt author message cause keys checksum"
    for number in range(3):
        answer = publish(world, "shop", {"n": number})
        assert answer.status_code == 201, answer.content
    edges = f"pageInfo {{ hasNextPage hasPreviousPage endCursor startCursor }} edges {{ cursor node {{ {members} }} }}"
    query = f'query($first: Int, $after: String, $last: Int, $before: String, $key: String! = "") {{ {HERE} {{ history(first: $first, after: $after, last: $last, before: $before, key: $key) {{ {edges} }} }} }}'

    def page(**asked):
        found = data(world, query, **asked)["configuration"]["history"]
        return [as_rest(each["node"]) for each in found["edges"]], found["pageInfo"]

    rest = "/config/shop/history?environment=production"
    everything = world.get(f"{rest}&page_size=100").json()["results"]
    first, info = page(first=2)
    second, _info = page(first=2, after=info["endCursor"])
    back, info_back = page(last=2, before=second[-1]["version"] and str(second[-1]["version"]))
    assert first + second == everything[:4]
    assert (info["hasNextPage"], info["hasPreviousPage"]) == (True, False)
    assert back == everything[1:3]
    assert info_back["hasNextPage"]
    touched, _info = page(key="pin")
    assert touched == world.get(f"{rest}&key=pin").json()["results"]
    deep = f"{{ {HERE} {{ history(first: 2) {{ edges {{ node {{ version whole {{ version config }} }} }} }} }} }}"
    for each in data(world, deep)["configuration"]["history"]["edges"]:
        version = each["node"]["version"]
        shown = world.get(f"/config/shop/versions/{version}?environment=production").json()
        assert each["node"]["whole"] == {"version": version, "config": shown["config"]}


@pytest.mark.parametrize("sides", [("1", "live"), ("staging", "live"), ("1", "2")])
def test_diff__of_two_sides__is_what_rest_gives(world, sides):
    query = f"query($a: String!, $b: String!) {{ {HERE} {{ diff(from: $a, to: $b) {{ from {{ version }} to {{ version configuration {{ environment {{ slug }} }} }} changes patch unified }} }} }}"
    asked = f"/config/shop/diff?environment=production&from={sides[0]}&to={sides[1]}"

    if world.get(asked).status_code == 404:
        assert problem(world, query, a=sides[0], b=sides[1])["code"] == "not_found"
        return
    found = data(world, query, a=sides[0], b=sides[1])["configuration"]["diff"]

    shown = world.get(asked).json()
    assert found["changes"] == shown["changes"]
    assert found["from"]["version"] == shown["from"]["version"]
    assert found["patch"] == world.get(f"{asked}&format=patch").json()
    assert found["unified"].encode() == world.get(f"{asked}&format=unified").content


def test_origins_and_dependencies__both_directions__are_what_rest_gives(world):
    found = data(
        world,
        f"""{{ {HERE} {{
          explain(keys: ["port", "pool", "old"]) {{ key layers {{ kind name version }}
            hides {{ kind name version }} references {{ service environment key }} secrets }}
          dependencies {{ layers references {{ key target service environment
            configuration {{ service {{ slug }} live {{ version }} }} }} }} }}
          cart: configuration(service: "cart", environment: "production") {{
            dependents {{ hidden results {{ service environment inherits keys {{ key target }}
              configuration {{ service {{ slug }} }} }} }} }} }}""",
    )

    here = "environment=production"
    shown = world.get(f"/config/shop/explain?{here}&key=port&key=pool&key=old").json()["results"]
    told = [
        {
            name: [strip(each) for each in value] if name in ("layers", "hides") else value
            for name, value in each.items()
            if value or name in ("layers", "hides")
        }
        for each in found["configuration"]["explain"]
    ]
    assert told == shown
    dependencies = found["configuration"]["dependencies"]
    there = [each.pop("configuration") for each in dependencies["references"]]
    shown = world.get(f"/config/shop/dependencies?{here}").json()["results"]
    assert dependencies["layers"] + dependencies["references"] == shown
    assert there == [{"service": {"slug": "cart"}, "live": {"version": 1}}]
    dependents = found["cart"]["dependents"]["results"]
    owner = [each.pop("configuration") for each in dependents]
    assert dependents == world.get(f"/config/cart/dependents?{here}").json()["results"]
    assert owner == [{"service": {"slug": "shop"}}]


def strip(layer):
    return {name: value for name, value in layer.items() if value is not None}


def test_readers_and_unread__from_the_counters__are_what_rest_gives(world):
    world.get("/config/shop?environment=production&key=pool")

    found = data(
        world,
        f"{{ {HERE} {{ readers {{ account firstAt lastAt count version }} unread(days: 30) }} }}",
    )["configuration"]

    shown = world.get("/config/shop/readers?environment=production").json()["results"]
    assert [as_rest(each) for each in found["readers"]] == shown
    unread = world.get("/config/shop/unread?environment=production&days=30").json()["keys"]
    assert found["unread"] == unread
    assert "list[0]" in unread or unread


def test_reading_a_document__is_counted_as_rest_counts_it(world):
    data(world, f"{{ {HERE} {{ live {{ config }} }} }}")

    readers = world.get("/config/shop/readers?environment=production").json()["results"]

    assert [each["count"] for each in readers] == [1]


def test_matrix_and_across__are_what_rest_gives(world):
    rows = nodes(
        world,
        """{ matrix(label: "tier=1") { edges { node { service { slug name owner labels }
             cells { environment version revision publishedAt retired pinned outdated
                     apart { from keys } } } } } }""",
    )
    found = data(
        world,
        """{ across(service: "shop", keys: ["old", "pool"]) { environments { environment version
             checksum } results { key values { environment value origin { key layers { kind } } } } } }""",
    )["across"]

    shown = world.get("/matrix?label=tier=1").json()["results"]
    assert [each["service"]["slug"] for each in rows] == [each["service"] for each in shown]
    for row, there in zip(rows, shown, strict=True):
        cells = [as_rest(strip(each)) for each in row["cells"]]
        assert cells == [
            strip(each) if each["version"] else {"environment": each["environment"]}
            for each in there["environments"]
        ]
    shown = world.get("/config/shop/across?key=old&key=pool").json()
    assert found["environments"] == shown["environments"]
    assert [each["key"] for each in found["results"]] == [each["key"] for each in shown["results"]]


def test_snapshot__of_several__is_of_one_revision_as_in_rest(world):
    query = """query($s: [String!]!) { snapshot(services: $s, environment: "production") {
               epoch revision results { version checksum config configuration { service { slug } } } } }"""

    found = data(world, query, s=["shop", "cart"])["snapshot"]

    shown = world.get("/config?service=shop&service=cart&environment=production").json()
    assert (found["epoch"], found["revision"]) == (shown["epoch"], shown["revision"])
    assert [each["config"] for each in found["results"]] == [
        each["config"] for each in shown["results"]
    ]
    assert problem(world, query, s=["shop", "nope"])["code"] == "not_found"
    assert problem(world, query, s=[])["errors"][0]["pointer"] == "/service"


def test_live__before_the_first_publish_and_retired__is_null_and_an_error(world):
    world("DELETE", "/config/cart?environment=production&on_stale=overwrite&dependents=leave")
    query = """query($e: String!) { configuration(service: "cart", environment: $e) {
               live { version } atTime(at: "2001-01-01T00:00:00Z") { version } } }"""

    assert data(world, query, e="development")["configuration"] == {"live": None, "atTime": None}
    shown = world.get("/config/cart?environment=production")
    if shown.status_code == 410:
        told = problem(world, query, e="production")
        assert told["code"] == shown.json()["code"] == "retired"
        assert told["version"] == shown.json()["version"]


def test_pages__of_an_offset_list__go_forward_and_back(world):
    query = """query($f: Int, $a: String, $l: Int, $b: String) {
        services(first: $f, after: $a, last: $l, before: $b) {
            edges { cursor node { slug } } pageInfo { hasNextPage hasPreviousPage endCursor } } }"""

    first = data(world, query, f=1)["services"]
    second = data(world, query, f=1, a=first["pageInfo"]["endCursor"])["services"]
    back = data(world, query, l=5, b=second["edges"][0]["cursor"])["services"]

    assert [each["edges"][0]["node"]["slug"] for each in (first, second, back)] == [
        "cart",
        "shop",
        "cart",
    ]
    assert [each["pageInfo"]["hasNextPage"] for each in (first, second, back)] == [
        True,
        False,
        True,
    ]
    assert [each["pageInfo"]["hasPreviousPage"] for each in (first, second, back)] == [
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("asked", "pointer"),
    [
        ({"f": 201}, "/first"),
        ({"f": 0}, "/first"),
        ({"l": 1}, "/before"),
        ({"f": 1, "l": 1}, "/last"),
        ({"a": "x"}, "/after"),
        ({"l": -1, "b": "1"}, "/last"),
    ],
)
def test_pages__asked_for_wrongly__are_refused_with_the_argument(world, asked, pointer):
    query = """query($f: Int, $a: String, $l: Int, $b: String) {
        services(first: $f, after: $a, last: $l, before: $b) { edges { cursor } } }"""

    told = problem(world, query, **asked)

    assert (told["status"], told["code"]) == (400, "malformed")
    assert told["errors"][0]["pointer"] == pointer


def test_nested_pages__of_each_parent__are_its_own(world):
    query = """{ services { edges { node { slug configurations(first: 1) { pageInfo { hasNextPage
               endCursor } edges { node { environment { slug } } } } } } } }"""

    found = {each["slug"]: each["configurations"] for each in nodes(world, query)}

    assert found["cart"]["pageInfo"] == {"hasNextPage": False, "endCursor": "1"}
    assert found["shop"]["pageInfo"] == {"hasNextPage": True, "endCursor": "1"}
    after = query.replace("first: 1", 'first: 1, after: "1"')
    second = {each["slug"]: each["configurations"]["edges"] for each in nodes(world, after)}
    assert second == {
        "cart": [],
        "shop": [{"node": {"environment": {"slug": "production"}}}],
    }


def test_position__is_what_the_headers_of_rest_say(world):
    headers = world.get("/config/shop?environment=production").headers

    found = data(world, "{ position { epoch revision } }")["position"]

    assert found["epoch"] == headers["X-Config-Epoch"]
    assert str(found["revision"]) == headers["X-Config-Revision"]


def test_api_prefix__is_the_same_address(world):
    answer = world.post("/api/v1/graphql", {"query": "{ services { edges { cursor } } }"})

    assert answer.json() == ask(world, "{ services { edges { cursor } } }")
