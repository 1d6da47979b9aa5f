"""What each section type finds in a section, and what it lets pass."""

import time

import pytest
from hypothesis import given

from apps.engine import formats, schemas
from apps.engine.section_types import (
    environment_variables,
    feature_flags,
    flag_definitions,
    resource_limits,
    security_settings,
    service_discovery,
)
from apps.engine.section_types.examples import example_of
from apps.engine.section_types.section_type import UNKNOWN
from apps.engine.sections import SECTION_TYPES
from tests.engine import strategies
from tests.limits import CPU_SECONDS

VARIABLES, DISCOVERY = environment_variables.TYPE, service_discovery.TYPE
SECURITY, FLAGS, LIMITS = security_settings.TYPE, feature_flags.TYPE, resource_limits.TYPE


def found(kind, text):
    """The errors and warnings of a section, as ``pointer code``; a warning begins with ``?``."""
    tree = formats.parse(text, "yaml").tree if isinstance(text, str) else text
    told = kind.check(tree)
    broken = schemas.validate(kind.schema, tree)
    return sorted(
        [f"{each.pointer} {each.code}" for each in [*broken, *told.errors]]
        + [f"?{each.pointer} {each.code}" for each in told.warnings]
    )


@pytest.mark.parametrize("name", SECTION_TYPES)
def test_example__of_each_type__is_valid_and_not_warned_of(name):
    kind = SECTION_TYPES[name]

    schemas.check_schema(kind.schema)
    assert found(kind, kind.example) == []
    assert kind.example
    assert kind.label
    assert kind.description


VALID = {
    "variables": (VARIABLES, "{A: x, B_2: 1, _c: true, D: 0.10}"),
    "endpoints": (
        DISCOVERY,
        """
        a: {endpoints: ["cart.prod.internal:8080", "[2001:db8::7]:443", "10.0.0.1:80"], health: /up}
        b: {endpoints: ["https://x.test/v1", "grpc://x.test:9", "unix:///run/x.sock"]}
        c:
          policy: consistent-hash
          endpoints: [{url: "tcp://x.test:1", weight: 0.5}, {host: "::1", port: 2, weight: 0}]
          health: {url: "http://x.test/up", interval: 10s, timeout: 10s}
          timeout_ms: 2000
          connect_timeout: 300ms
        d: {endpoints: ["x.test:1", "x.test:2", "http://x.test:1/a", "http://x.test:1/b"], zone: eu}
        """,
    ),
    "security": (
        SECURITY,
        """
        tls: {min_version: "1.2", max_version: TLSv1.3, ciphers: "ECDHE+AESGCM:!aNULL:!MD5",
              certificate_file: /run/tls.crt, key_file: ./tls.key, client_certificates: required}
        cors: {origins: ["https://www.shop.example", "https://*.shop.example", "http://localhost:3000"],
               methods: [GET, PROPFIND], headers: "*", credentials: false, max_age: 0}
        cookies: {__Host-id: {secure: true, path: /, same_site: None}, other: {same_site: lax}}
        authentication: {session_lifetime: 8h, token_ttl_seconds: 60, algorithms: [RS256],
                         jwt: {issuer: "https://id.test", jwks_uri: "https://id.test/jwks"}}
        keys: {signing: /run/secrets/signing, rotation_interval: 30d}
        issuer: joe
        password: {minimum_length: 12}
        csrf: true
        """,
    ),
    "flags": (
        FLAGS,
        """
        a: true
        b: {enabled: false, share: 12.5, countries: [DE], off: "off", x-ticket: 1, owner: me}
        c: {enabled: true, variants: [p, q], type: string}
        d:
          enabled: true
          variants: {none: 0, cents: 2.5}
          default: none
          expires: 2027-03-01T00:00:00Z
          prerequisites: [{flag: a, variant: "on"}, {flag: c, variants: [p, q]}]
          rules:
            - {when: {country: [CH], age: {at_least: 18, less_than: 65}}, variant: cents}
            - {when: {app.version: {version: ">=2.1 <3 || ~4.0.1-rc.1"}, beta: {exists: true}}, variant: cents}
            - {when: {now: {after: "2026-11-24T00:00:00Z", before: "2026-12-27"}}, variant: cents}
            - {when: {any: [{segment: staff}, {not: {plan: {not_equals: free}}}]}, shares: {none: 33.3, cents: 66.7}}
            - {variant: none}
        e: {enabled: true, variants: {only: {a: 1}}}
        segments: {staff: {email: {ends_with: ["@a", "@b"]}}, all: {all: [{segment: [staff]}]}}
        """,
    ),
    "limits": (
        LIMITS,
        """
        cpu: {request: 250m, limit: "2"}
        memory: {request: 256Mi, limit: 0.25Gi}
        storage: 10Gi
        replicas: {min: 2, max: 2}
        min_replicas: 1
        max_replicas: 3
        wait: {min: 5s, max: 1m}
        timeout_ms: 100
        requests: {cpu: 100m, nvidia.com/gpu: 1}
        limits: {cpu: 0.1, nvidia.com/gpu: 1}
        pool: {min: 9, max: 10}
        requests_per_second: 400
        note: anything
        """,
    ),
}


@pytest.mark.parametrize("name", VALID)
def test_check__what_makes_sense__finds_nothing(name):
    assert found(*VALID[name]) == []


WRONG = [
    # ---- environment variables
    (VARIABLES, "{Path: a, PATH: b}", ["?/PATH same_name"]),
    (VARIABLES, {"A": "x" * 131_072}, ["?/A too_long"]),
    (VARIABLES, "{1A: x}", ["/1A name"]),
    (VARIABLES, "{A: [1], B: null}", ["/A type", "/B type"]),
    # ---- service discovery
    (DISCOVERY, "{a: {policy: round-robin}}", ["/a/endpoints required"]),
    (DISCOVERY, "{a: {endpoints: []}}", ["/a/endpoints minItems"]),
    (DISCOVERY, "{a: {policy: fastest, endpoints: [x:1]}}", ["/a/policy enum"]),
    (DISCOVERY, "{a: {endpoints: [x]}}", ["/a/endpoints/0 endpoint"]),
    (DISCOVERY, "{a: {endpoints: ['x:0']}}", ["/a/endpoints/0 endpoint"]),
    (DISCOVERY, "{a: {endpoints: ['x:65536']}}", ["/a/endpoints/0 endpoint"]),
    (DISCOVERY, "{a: {endpoints: ['x:1/path']}}", ["/a/endpoints/0 endpoint"]),
    (DISCOVERY, "{a: {endpoints: ['a_b..c:1']}}", ["/a/endpoints/0 endpoint"]),
    (DISCOVERY, "{a: {endpoints: ['300.1.1.1:1']}}", ["/a/endpoints/0 endpoint"]),
    (DISCOVERY, "{a: {endpoints: ['2001:db8::7:80']}}", ["/a/endpoints/0 endpoint"]),
    (DISCOVERY, "{a: {endpoints: ['htps://x']}}", ["?/a/endpoints/0 scheme"]),
    (DISCOVERY, "{a: {endpoints: ['X:1', {host: x, port: 1}]}}", ["/a/endpoints/1 duplicate"]),
    (DISCOVERY, "{a: {endpoints: [{host: x}]}}", ["/a/endpoints/0 endpoint"]),
    (DISCOVERY, "{a: {endpoints: [{url: 'x:1'}]}}", ["/a/endpoints/0/url endpoint"]),
    (
        DISCOVERY,
        "{a: {endpoints: [{url: 'tcp://x', host: x, port: 1}]}}",
        ["/a/endpoints/0 endpoint"],
    ),
    (DISCOVERY, "{a: {endpoints: [{host: 'a b', port: 1}]}}", ["/a/endpoints/0/host host"]),
    (DISCOVERY, "{a: {endpoints: [{host: a, port: 70000}]}}", ["/a/endpoints/0/port maximum"]),
    (
        DISCOVERY,
        "{a: {endpoints: [{host: a, port: 7, weight: -1}]}}",
        ["/a/endpoints/0/weight minimum"],
    ),
    (DISCOVERY, "{a: {endpoints: [{host: a, port: 7, weight: 0}]}}", ["/a/endpoints weights"]),
    (DISCOVERY, "{a: {endpoints: [a:1], health: up}}", ["/a/health health"]),
    (DISCOVERY, "{a: {endpoints: [a:1], timeout: soon}}", ["/a/timeout duration"]),
    (DISCOVERY, "{a: {endpoints: [a:1], timeout_ms: -1}}", ["/a/timeout_ms duration"]),
    (
        DISCOVERY,
        "{a: {endpoints: [a:1], health: {path: /x, interval: 1s, timeout: 1001ms}}}",
        ["/a/health/timeout timeout"],
    ),
    # ---- security settings
    (SECURITY, "{tls: {min_version: 1.0}}", ["/tls/min_version tls_version"]),
    (SECURITY, "{tls: {minimum: '1.1'}}", ["/tls/minimum tls_version"]),
    (SECURITY, "{tls: {min_version: SSLv3}}", ["/tls/min_version tls_version"]),
    (SECURITY, "{tls: {min_version: '1.3', max_version: '1.2'}}", ["/tls/min_version order"]),
    (SECURITY, "{tls: {ciphers: [TLS_RSA_WITH_RC4_128_MD5]}}", ["/tls/ciphers/0 weak_cipher"]),
    (SECURITY, "{tls: {ciphers: 'HIGH:DES-CBC3-SHA'}}", ["/tls/ciphers weak_cipher"]),
    (SECURITY, "{tls: {ciphers: []}}", ["/tls/ciphers ciphers"]),
    (SECURITY, "{tls: {verify: false}}", ["?/tls/verify unverified"]),
    (SECURITY, "{tls: {insecure_skip_verify: true}}", ["?/tls/insecure_skip_verify unverified"]),
    (SECURITY, "{tls: {certificate_file: /a}}", ["/tls/certificate_file pair"]),
    (SECURITY, "{tls: {key_file: /a}}", ["/tls/key_file pair"]),
    (SECURITY, "{tls: {cert: /a, key: abc}}", ["/tls/key plain_key"]),
    (SECURITY, "{cors: {origins: ['https://a.test/']}}", ["/cors/origins/0 origin"]),
    (SECURITY, "{cors: {origins: ['https://a.test?x']}}", ["/cors/origins/0 origin"]),
    (SECURITY, "{cors: {origins: [a.test]}}", ["/cors/origins/0 origin"]),
    (SECURITY, "{cors: {origins: ['http://a.test']}}", ["?/cors/origins/0 plain_http"]),
    (SECURITY, "{cors: {origins: ['null']}}", ["?/cors/origins/0 null_origin"]),
    (SECURITY, "{cors: {origins: '*', credentials: true}}", ["/cors/origins any_origin"]),
    (
        SECURITY,
        "{cors: {allowed_origins: ['*'], allow_credentials: true}}",
        ["/cors/allowed_origins/0 any_origin"],
    ),
    (SECURITY, "{cors: {methods: ['*'], credentials: true}}", ["?/cors/methods/0 any_name"]),
    (
        SECURITY,
        "{cors: {methods: [get, FETCH, TRACE]}}",
        [f"/cors/methods/{at} method" for at in range(3)],
    ),
    (SECURITY, "{cors: {max_age: -1}}", ["/cors/max_age max_age"]),
    (SECURITY, "{cors: {max_age: 1.5}}", ["/cors/max_age type"]),
    (SECURITY, "{cookie: {same_site: none}}", ["/cookie/same_site insecure_cookie"]),
    (
        SECURITY,
        "{cookies: {a: {same_site: None, secure: false}}}",
        ["/cookies/a/same_site insecure_cookie"],
    ),
    (SECURITY, "{cookies: {a: {same_site: maybe}}}", ["/cookies/a/same_site same_site"]),
    (SECURITY, "{cookies: {__Secure-a: {}}}", ["/cookies/__Secure-a insecure_cookie"]),
    (
        SECURITY,
        "{cookies: {__Host-a: {secure: true, domain: a}}}",
        ["/cookies/__Host-a host_cookie"],
    ),
    (
        SECURITY,
        "{authentication: {session_lifetime: long}}",
        ["/authentication/session_lifetime duration"],
    ),
    (SECURITY, "{jwt: {algorithms: [RS256, None]}}", ["/jwt/algorithms/1 no_algorithm"]),
    (SECURITY, "{jwt: {algorithm: none}}", ["/jwt/algorithm no_algorithm"]),
    (SECURITY, "{a: [{jwks_url: 'http://id.test/k'}]}", ["?/a/0/jwks_url plain_http"]),
    (SECURITY, "{issuer: 'ldap://id.test'}", ["/issuer url"]),
    (SECURITY, "{keys: {signing: c2VjcmV0}}", ["/keys/signing plain_key"]),
    (SECURITY, "{oauth: {client_secret: hunter}}", ["/oauth/client_secret plain_key"]),
    # ---- feature flags
    (FLAGS, "{a: {}}", ["/a/enabled required"]),
    (FLAGS, "{a: {enabled: 'yes'}}", ["/a/enabled type"]),
    (FLAGS, "{a: {enabled: true, share: 101}}", ["/a/share maximum"]),
    (FLAGS, "{a: {enabled: true, countries: [de]}}", ["/a/countries/0 pattern"]),
    (FLAGS, "{a: {enabled: true, enabeld: true}}", ["?/a/enabeld unknown_member"]),
    (FLAGS, "{a: {enabled: true, variants: []}}", ["/a/variants variants"]),
    (FLAGS, "{a: {enabled: true, variants: [x, x]}}", ["/a/variants variants"]),
    (
        FLAGS,
        "{a: {enabled: true, variants: {x: 1, y: a}, default: x}}",
        ["/a/variants/y variant_type"],
    ),
    (FLAGS, "{a: {enabled: true, variants: {x: null}}}", ["/a/variants/x variant_type"]),
    (FLAGS, "{a: {enabled: true, variants: {x: 1}, type: string}}", ["/a/variants/x variant_type"]),
    (FLAGS, "{a: {enabled: true, variants: [x], type: number}}", ["/a/type variant_type"]),
    (FLAGS, "{a: {enabled: true, type: number}}", ["/a/type variant_type"]),
    (FLAGS, "{a: {enabled: true, variants: {x: 1, y: 2}}}", ["/a default"]),
    (
        FLAGS,
        "{a: {enabled: true, variants: [x], default: y, off: z}}",
        ["/a/default variant", "/a/off variant"],
    ),
    (FLAGS, "{a: {enabled: true, variants: [x], share: 5}}", ["/a/share split"]),
    (FLAGS, "{a: {enabled: true, expires: soon}}", ["/a/expires time"]),
    (FLAGS, "{a: {enabled: true, expires: '2026-02-30'}}", ["/a/expires time"]),
    (FLAGS, "{a: {enabled: true, rules: [{variant: maybe}]}}", ["/a/rules/0/variant variant"]),
    (FLAGS, "{a: {enabled: true, rules: [{when: {x: 1}}]}}", ["/a/rules/0 rule"]),
    (
        FLAGS,
        "{a: {enabled: true, rules: [{variant: 'on'}, {variant: 'off'}]}}",
        ["?/a/rules/1 unreachable"],
    ),
    (
        FLAGS,
        "{a: {enabled: true, rules: [{variant: 'on', wen: {}}]}}",
        ["?/a/rules/0/wen unknown_member"],
    ),
    (
        FLAGS,
        "{a: {enabled: true, rules: [{shares: {'on': 50, 'off': 49}}]}}",
        ["/a/rules/0/shares shares"],
    ),
    (
        FLAGS,
        "{a: {enabled: true, rules: [{shares: {'on': 110, 'off': -10}}]}}",
        [
            "/a/rules/0/shares shares",
            "/a/rules/0/shares/off minimum",
            "/a/rules/0/shares/on maximum",
        ],
    ),
    (FLAGS, "{a: {enabled: true, rules: [{shares: {x: 100}}]}}", ["/a/rules/0/shares/x variant"]),
    (FLAGS, "{a: {enabled: true, prerequisites: [{flag: b}]}}", ["/a/prerequisites/0/flag flag"]),
    (
        FLAGS,
        "{a: {enabled: true, prerequisites: [{flag: b, variant: x}]}, b: true}",
        ["/a/prerequisites/0 variant"],
    ),
    (
        FLAGS,
        "{a: {enabled: true, prerequisites: [{flag: b}]}, b: {enabled: true, prerequisites: [{flag: a}]},"
        " c: {enabled: true, prerequisites: [{flag: a}]}}",
        ["/a/prerequisites cycle", "/b/prerequisites cycle"],
    ),
    (FLAGS, "{a: {enabled: true, prerequisites: [{flag: a}]}}", ["/a/prerequisites cycle"]),
    (
        FLAGS,
        "{segments: {a: {segment: b}, b: {not: {segment: a}}}}",
        ["/segments/a cycle", "/segments/b cycle"],
    ),
]
CONDITIONS = [
    ("{x: {is: 1}}", ["/x/is operator"]),
    ("{x: {}}", ["/x condition"]),
    ("{x: null}", ["/x condition"]),
    ("{x: []}", ["/x condition"]),
    ("{x: {one_of: DE}}", ["/x/one_of operand"]),
    ("{x: {one_of: [[1]]}}", ["/x/one_of operand"]),
    ("{x: {less_than: '5'}}", ["/x/less_than operand"]),
    ("{x: {starts_with: [a, 1]}}", ["/x/starts_with operand"]),
    ("{x: {version: latest}}", ["/x/version operand"]),
    ("{x: {version: '>=1.2 <'}}", ["/x/version operand"]),
    ("{x: {version: 1.2}}", ["/x/version operand"]),
    ("{x: {after: '24.11.2026'}}", ["/x/after operand"]),
    ("{x: {exists: 1}}", ["/x/exists operand"]),
    ("{x: {at_least: 5, less_than: 5}}", ["?/x/at_least never"]),
    ("{x: {after: '2026-12-01', before: '2026-11-01'}}", ["?/x/after never"]),
    ("{any: {x: 1}}", ["/any condition"]),
    ("{all: []}", ["/all condition"]),
    ("{not: 1}", ["/not condition"]),
    ("{segment: nobody}", ["/segment segment"]),
    ("{segment: 5}", ["/segment segment"]),
]
LIMITED = [
    ("{cpu: {request: 3, limit: '2'}}", ["/cpu/request order"]),
    ("{cpu: {request: 1, limit: 999m}}", ["/cpu/request order"]),
    ("{memory: {request: 1Gi, limit: 1G}}", ["/memory/request order"]),
    ("{cpu: 0.0005}", ["/cpu precision"]),
    ("{cpu: {limit: 2 cores}}", ["/cpu/limit quantity"]),
    ("{memory: {limit: 512m}}", ["/memory/limit precision"]),
    ("{memory: {limit: 512}}", ["?/memory/limit small"]),
    ("{storage: -1Gi}", ["/storage quantity"]),
    ("{gpu: {request: 2, limit: 1}}", ["/gpu/request order"]),
    ("{gpu: {limit: many}}", ["/gpu/limit quantity"]),
    ("{replicas: 1.5}", ["/replicas type"]),
    ("{replicas: {min: 3, max: 2}}", ["/replicas/min order"]),
    ("{min_replicas: 3, max_replicas: 2}", ["/min_replicas order"]),
    ("{pool_min: 3, pool_max: 2}", ["/pool_min order"]),
    ("{wait: {min: 2m, max: 90s}}", ["/wait/min order"]),
    ("{poll_interval: often}", ["/poll_interval duration"]),
    ("{requests: {memory: 2Gi}, limits: {memory: 1Gi}}", ["/requests/memory order"]),
    ("{cpu_request: 2, cpu_limit: 1}", ["/cpu_request order"]),
]
WRONG += [(LIMITS, text, wanted) for text, wanted in LIMITED]
WRONG += [
    (
        FLAGS,
        {
            "a": {
                "enabled": True,
                "rules": [{"when": formats.parse(text, "yaml").tree, "variant": "on"}],
            }
        },
        [f"{'?' * each.startswith('?')}/a/rules/0/when{each.lstrip('?')}" for each in wanted],
    )
    for text, wanted in CONDITIONS
]


@pytest.mark.parametrize(
    ("kind", "text", "wanted"),
    WRONG,
    ids=[f"{kind.name}-{at}" for at, (kind, *_) in enumerate(WRONG)],
)
def test_check__what_makes_no_sense__is_found_where_it_stands(kind, text, wanted):
    assert found(kind, text) == sorted(wanted)


def blanked(tree, path):
    if not path:
        return UNKNOWN
    step, *rest = path
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    copy[step] = blanked(tree[step], rest)
    return copy


def places(tree, path=()):
    yield path
    steps = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    )
    for step, child in steps:
        yield from places(child, (*path, step))


@pytest.mark.parametrize("name", VALID)
def test_check__a_secret_anywhere__nothing_is_said_of_it(name):
    kind, text = VALID[name]
    tree = formats.parse(text, "yaml").tree

    for path in list(places(tree))[1:]:
        told = kind.check(blanked(tree, path))
        assert told.errors == [], path


@given(strategies.trees())
def test_check__any_document__finds_at_most_a_hundred_and_never_fails(tree):
    shaped = {"enabled": True, "endpoints": tree, "rules": [{"when": tree}], "request": tree}
    for kind in SECTION_TYPES.values():
        for section in (
            tree,
            {"a": tree, "tls": tree, "cors": tree, "cookies": {"c": tree}},
            {"a": shaped},
        ):
            told = kind.check(section)
            assert max(len(told.errors), len(told.warnings)) <= 100


LARGE = {
    "variables": (VARIABLES, {f"K{i}": "v" for i in range(9_000)}),
    "endpoints": (DISCOVERY, {"a": {"endpoints": ["a." * 1_000 + ":1"] * 9_000}}),
    "origins": (SECURITY, {"cors": {"origins": ["a@" * 1_000] * 5_000, "credentials": True}}),
    "ciphers": (SECURITY, {"tls": {"ciphers": "DES:" * 200_000}}),
    "versions": (
        FLAGS,
        {"segments": {f"s{i}": {"v": {"version": "1." * 500}} for i in range(5_000)}},
    ),
    "variants": (
        FLAGS,
        {
            "a": {
                "enabled": True,
                "variants": [f"v{i}" for i in range(9_000)],
                "rules": [{"variant": f"v{i}"} for i in range(4_500)],
            }
        },
    ),
    "circle": (
        FLAGS,
        {
            f"f{i}": {"enabled": True, "prerequisites": [{"flag": f"f{(i + 1) % 3_000}"}]}
            for i in range(3_000)
        },
    ),
    "quantities": (
        LIMITS,
        {f"r{i}": {"request": "1" * 64, "limit": "1" * 64} for i in range(6_000)},
    ),
    "durations": (LIMITS, {f"timeout{i}_timeout": "1h" * 40_000 for i in range(50)}),
}


@pytest.mark.parametrize("name", LARGE)
def test_check__large_or_hostile__takes_linear_time(name):
    kind, tree = LARGE[name]

    started = time.process_time()
    kind.check(tree)

    assert time.process_time() - started < CPU_SECONDS


# ---- examples -------------------------------------------------------------------------------

ONLY_NAMES = {"additionalProperties": {"required": ["endpoints"], "properties": {"endpoints": {}}}}
EXAMPLES = [
    (LIMITS, {}, LIMITS.example),
    (LIMITS, {"examples": [{"cpu": 1}]}, {"cpu": 1}),
    (
        LIMITS,
        {"additionalProperties": False, "properties": {"timeout": {}, "cpu": {"type": "string"}}},
        {"timeout": "30s"},
    ),
    (
        DISCOVERY,
        {
            "additionalProperties": {
                **ONLY_NAMES["additionalProperties"],
                "additionalProperties": False,
            }
        },
        {"payments": {"endpoints": DISCOVERY.example["payments"]["endpoints"]}},
    ),
    (
        SECURITY,
        {"maxProperties": 1, "required": ["issuer"], "properties": {"issuer": {"const": "i"}}},
        {"issuer": "i"},
    ),
    (
        SECTION_TYPES["application_settings"],
        {
            "properties": {
                "a": {"minimum": 5, "type": "integer"},
                "b": {"enum": ["x", "y"]},
                "c": {"type": ["string", "null"]},
                "d": True,
                "e": {"default": [1]},
            }
        },
        {"a": 5, "b": "x", "c": "", "d": "", "e": [1]},
    ),
]


@pytest.mark.parametrize(("kind", "schema", "wanted"), EXAMPLES)
def test_example_of__a_schema_of_ones_own__is_what_that_allows(kind, schema, wanted):
    assert example_of(kind, schema) == wanted


# ---- what pages show -------------------------------------------------------------------------


def test_list_entries__weights__are_shares_of_their_sum():
    (entry,) = service_discovery.list_entries(
        {"a": {"policy": "weighted", "endpoints": ["x:1", {"host": "::1", "port": 2, "weight": 3}]}}
    )

    assert [(row.address, row.weight, row.share) for row in entry.endpoints] == [
        ("x:1", 1, 25),
        ("[::1]:2", 3, 75),
    ]


def test_list_limits__both_ways_of_writing__are_canonical_with_the_part_that_is_requested():
    tree = {
        "cpu": {"request": "0.25", "limit": 1},
        "memory": "1024Mi",
        "requests": {"gpu": 1},
        "limits": {"gpu": 4},
    }

    assert [tuple(each) for each in resource_limits.list_limits(tree)] == [
        ("cpu", "250m", "1", "0.25 / 1", 25),
        ("gpu", "1", "4", "1 / 4", 25),
        ("memory", "", "1Gi", "1 GiB", None),
    ]


@pytest.mark.parametrize(
    ("request_", "limit", "plain"),
    [
        (134217728, 268435456, "128 MiB / 256 MiB"),
        ("1536Mi", "3Gi", "1.5 GiB / 3 GiB"),
        (1000, "1Ki", "1000 B / 1 KiB"),
        (0, "4000Pi", "0 B / 4000 PiB"),
    ],
)
def test_list_limits__bytes__are_in_units_that_people_read(request_, limit, plain):
    tree = {"web": {"memory": {"request": request_, "limit": limit}}}

    assert [each.plain for each in resource_limits.list_limits(tree)] == [plain]


def test_list_flags__shorthands__are_spelled_out():
    flags = flag_definitions.list_flags(
        {"a": False, "b": {"enabled": True, "share": 5, "countries": ["DE"]}, "segments": {}}
    )

    assert [(each.name, each.enabled, each.kind, each.default, each.serves) for each in flags] == [
        ("a", False, "boolean", "on", ""),
        ("b", True, "boolean", "on", "5 % of DE"),
    ]


@given(strategies.trees())
def test_lists__any_document__show_something(tree):
    for shown in (
        environment_variables.list_variables,
        service_discovery.list_entries,
        security_settings.list_statements,
        flag_definitions.list_flags,
        resource_limits.list_limits,
    ):
        shown(tree)
        shown({"a": tree, "endpoints": tree, "enabled": True})
