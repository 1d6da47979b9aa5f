"""The read path before Django answers as Django does, without asking it twice."""

import itertools
import json
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.access import key_rules, services
from apps.access.models import AccessGeneration, Token
from apps.access.policy import EVERYWHERE, Place
from apps.configs import sources
from apps.configs.services import publishing, sections
from apps.configs.services.bases import Options
from apps.configs.services.places import create_service
from apps.core import clock
from apps.core.actor import system as system_actor
from apps.delivery import reads
from apps.delivery.hot import Hot
from apps.delivery.models import ReadCount
from apps.delivery.polls import Polls
from apps.registry.selectors import get_environment, get_service
from tests.delivery.asgi_client import Asgi, following
from tests.limits import examples

pytestmark = pytest.mark.django_db(transaction=True)

SYSTEM = system_actor("test")
LONG = {f"key_{n}": f"a value that is said again, {n % 5}" for n in range(60)}
DOCUMENTS = [
    {"a": 1, "ruled": {"pin": 1}},
    {"a": 2, "text": "ä€😀", "list": [{"n": 1}, {"ruled": 2}], "settings": {"db.host": "h"}},
    {"long": LONG, "ruled": {"pin": 2}, "env": {"A": "1", "B": "two"}},
    {"long": LONG, "nothing": None, "ratio": "1.50"},
    {"db": {"$secret": "pin"}, "a": "${secret:pin}!", "env": {"PIN": "${secret:pin}"}},
]
NAMES = itertools.count()
SERVICES = ("shop", "cart")
ENVIRONMENTS = ("production", "staging")


def place_of(service, environment):
    return Place(get_service(service), get_environment(environment))


def publish(service="shop", environment="production", config=None, **options):
    return publishing.publish(
        actor=SYSTEM,
        place=place_of(service, environment),
        source=sources.from_text(json.dumps(config), "json"),
        options=Options(on_stale="overwrite", **options),
    )


def token_of(slug, *, role="", on=EVERYWHERE, environment="production", life=None):
    """A new account's token, with a role where one is named."""
    account = services.create_account(
        actor=SYSTEM, slug=slug, environment=get_environment(environment)
    )
    if role:
        services.grant(actor=SYSTEM, to=f"service-account:{slug}", role=role, on=on)
    ends = clock.now() + life if life else None
    return services.create_token(actor=SYSTEM, account=account, expires_at=ends)


@pytest.fixture(autouse=True)
def _slow_machine(monkeypatch):
    """What is waited for comes: how long that takes says nothing here."""
    monkeypatch.setattr("apps.delivery.hot.CATCH_UP_WITHIN", 20)
    monkeypatch.setattr("apps.delivery.feed.CURRENT_FOR", 60)


@pytest.fixture
def world(transactional_db):
    """Two services, a key rule, a secret's name, a section, and a token for each kind of reader."""
    from tests.conftest import client_with

    shop, _cart = (create_service(actor=SYSTEM, slug=slug) for slug in SERVICES)
    admin = client_with("administrator")
    for service in SERVICES:
        for environment in ENVIRONMENTS:
            secret = {
                "service": service,
                "environment": environment,
                "name": "pin",
                "value": "4711",
            }
            assert admin.post("/secrets", secret).status_code == 201
    sections.create_section(actor=SYSTEM, service=shop, key="env", type="environment_variables")
    key_rules.create_key_rule(actor=SYSTEM, pattern="**.ruled", place=EVERYWHERE)
    for service in SERVICES:
        publish(service, config=DOCUMENTS[0])
    here = Place(shop, get_environment("production"))
    tokens = {
        "everything": token_of("everything", role="administrator"),
        "viewer": token_of("viewer", role="viewer"),
        "here": token_of("here", role="consumer", on=here),
        "nobody": token_of("nobody"),
        "staging": token_of("staging", role="viewer", environment="staging"),
    }
    return {name: raw for name, (_token, raw) in tokens.items()}


def bearer(raw):
    return ("authorization", f"Bearer {raw}")


def run(scenario):
    """Run ``scenario(asgi, feed)`` with a feed that follows."""

    async def running():
        async with following() as feed:
            await scenario(Asgi(), feed)

    async_to_sync(running)()


async def asked(asgi, address, *headers):
    """The answer, and how often Django was asked for it."""
    before = asgi.views.asked
    answer = await asgi.get(address, headers)
    return answer, asgi.views.asked - before


def at_once(coroutine):
    """What it returns without waiting for anything."""
    with pytest.raises(StopIteration) as done:
        coroutine.send(None)
    return done.value.value


def same(one, other):
    assert one.status == other.status
    assert sorted(one.headers) == sorted(other.headers)
    assert one.body == other.body


HOT = [
    ("/config/shop", ()),
    ("/api/v1/config/shop", ()),
    ("/config/shop.yaml", ()),
    ("/config/shop?environment=production&format=properties", ()),
    ("/config/shop?view=source", ()),
    ("/config/shop?key=a&key=long.*", ()),
    ("/config/shop?version=1", ()),
    ("/config/shop.env?section=env", ()),
    ("/config/shop/value?key=a", ()),
    ("/config/shop", (("accept", "application/toml"),)),
    ("/config/shop", (("accept-encoding", "gzip"),)),
    ("/config/shop", (("accept-encoding", "br, gzip;q=0.5"),)),
    ("/config/shop", (("if-none-match", "*"),)),
    ("/config/shop", (("x-config-instance", "pod-1"),)),
    ("/config/shop", (("content-type", "application/json"), ("content-length", "0"))),
    ("/config/shop", (("x-config-unit", "u1"),)),
    ("/config/shop?reveal=true", ()),
    ("/config?service=shop", ()),
    ("/api/v1/config?service=shop&service=cart&environment=production", ()),
]


def test_question__asked_again__is_answered_from_memory_at_once(world):
    """Nothing is waited for: no thread, and no query, which Django refuses in an event loop."""
    publish(config={"a": 1, "long": LONG, "env": {"A": "1"}})
    reader = bearer(world["everything"])

    async def scenario(asgi, _feed):
        for address, headers in HOT:
            first, times = await asked(asgi, address, reader, *headers)
            assert (times, first.status in (200, 304)) == (1, True), (address, headers)

            before = asgi.views.asked
            again = at_once(asgi.get(address, [reader, *headers]))

            assert asgi.views.asked == before, (address, headers)
            same(again, first)
            same(again, await asgi.get_from_django(address, [reader, *headers]))

    run(scenario)


COLD = [
    ("/config/shop?at=2099-01-01T00:00:00Z", ()),
    ("/config/shop?unit=u1", ()),
    ("/config/shop", (("x-config-unit", "\x01"),)),
    ("/config/shop?after=0", ()),
    ("/config/shop?through=django", ()),
    ("/config/shop", (("cookie", "sessionid=x"),)),
    ("/config/shop/history", ()),
    ("/config?service=shop&at=2099-01-01T00:00:00Z", ()),
    ("/config?service=shop&service=none", ()),
    ("/config?service=shop&reveal=true", ()),
    ("/config/nothing", ()),
    ("/config/shop?environment=staging", ()),
    ("/config/shop", (("host", "other.example"),)),
    ("/config/shop", (("accept", "text/plain"),)),
]


def test_question__of_what_is_not_kept__is_for_django_each_time(world):
    publish(config=DOCUMENTS[4])

    async def scenario(asgi, feed):
        for address, headers in COLD:
            for _again in range(2):
                _answer, times = await asked(asgi, address, bearer(world["everything"]), *headers)
                assert times == 1, (address, headers)
            assert not len(feed.memory), (address, headers)

    run(scenario)


def running():
    """The experiment that runs."""
    from apps.rollouts.models import Experiment

    return Experiment.objects.filter(state=Experiment.RUNNING).first()


def start_experiment():
    """One over what is live of the shop in production, of two variants."""
    from apps.rollouts import experiments

    variants = [{"name": "plain"}, {"name": "new", "patch": {"a": 7, "new": True}}]
    here = place_of("shop", "production")
    made = experiments.create_experiment(
        actor=SYSTEM, place=here, name=f"x{next(NAMES)}", variants=variants
    )
    return experiments.start_experiment(actor=SYSTEM, experiment=made)


def write_pin(value):
    """Another value of the shop's secret in production."""
    from apps.vault.models import Secret
    from apps.vault.services import write_secret

    secret = Secret.objects.get(service__slug="shop", environment__slug="production", slug="pin")
    return write_secret(actor=SYSTEM, secret=secret, value=value)


def moved_by(kind, world):
    """Do one thing that decides what ``everything`` is served of the shop; a second one of the cart."""
    here = place_of("shop", "production")
    if kind == "publish":
        publish(config=DOCUMENTS[1])
    elif kind == "retire":
        publishing.retire(actor=SYSTEM, place=here, options=Options())
    elif kind == "token":
        services.withdraw_token(actor=SYSTEM, token=newest_token("viewer"))
    elif kind == "grant":
        services.withdraw_grant(actor=SYSTEM, grant=grant_of("viewer"))
    elif kind == "rule":
        key_rules.create_key_rule(actor=SYSTEM, pattern="a", place=EVERYWHERE)
    elif kind == "section":
        sections.create_section(
            actor=SYSTEM, service=here.service, key="a", type="application_settings"
        )


def newest_token(slug):
    return Token.objects.filter(account__slug=slug).latest("created_at")


def grant_of(slug):
    from apps.access.models import Grant

    return Grant.objects.get(user__service_account__slug=slug)


@pytest.mark.parametrize("kind", ["publish", "retire", "token", "grant", "rule", "section"])
def test_act__that_decides__is_seen_by_the_next_question(world, kind):
    async def scenario(asgi, _feed):
        reader = bearer(world["viewer"])
        before, _times = await asked(asgi, "/config/shop", reader)
        assert (await asked(asgi, "/config/shop", reader))[1] == 0

        await sync_to_async(moved_by)(kind, world)

        after, times = await asked(asgi, "/config/shop", reader)
        assert times == 1
        same(after, await asgi.get_from_django("/config/shop", [reader]))
        if kind != "section":
            assert (after.status, after.body) != (before.status, before.body)

    run(scenario)


def test_act__on_another_configuration__moves_the_revision_alone(world):
    async def scenario(asgi, feed):
        reader = bearer(world["viewer"])
        before, _times = await asked(asgi, "/config/shop", reader)

        made = await sync_to_async(publish)("cart", config=DOCUMENTS[1])

        after, times = await asked(asgi, "/config/shop", reader)
        assert times == 0
        assert after.body == before.body
        assert after.header(b"x-config-revision") == str(made.revision).encode()
        same(after, await asgi.get_from_django("/config/shop", [reader]))

    run(scenario)


def test_dependent__left_outdated_by_anothers_publish__says_so_at_once(world):
    """The publish names the other configuration in no event of its own."""
    from apps.configs.services.places import update_environment

    update_environment(actor=SYSTEM, environment=get_environment("staging"), protected=True)
    publish("cart", "staging", config={"b": "${shop@production:a}"})

    async def scenario(asgi, _feed):
        reader, address = bearer(world["everything"]), "/config/cart?environment=staging"
        before, _times = await asked(asgi, address, reader)
        assert b"outdated" not in before.body
        assert (await asked(asgi, address, reader))[1] == 0

        await sync_to_async(publish)(config={"a": 5})

        for _again in range(2):  # what is outdated is not kept: the mark may go without an act
            after, times = await asked(asgi, address, reader)
            assert times == 1
            assert b'"outdated":true' in after.body
        assert after.header(b"etag") != before.header(b"etag")

    run(scenario)


def test_act__not_yet_read__lets_nothing_old_be_given(world, monkeypatch):
    """The feed is stopped: what this process commits is known to it all the same."""

    async def scenario(asgi, feed):
        reader = bearer(world["viewer"])
        await asked(asgi, "/config/shop", reader)
        for task in feed._tasks:
            task.cancel()
        monkeypatch.setattr("apps.delivery.hot.CATCH_UP_WITHIN", 0.01)

        await sync_to_async(publish)(config=DOCUMENTS[1])

        after, times = await asked(asgi, "/config/shop", reader)
        assert times == 1
        assert json.loads(after.body)["config"]["a"] == 2

    run(scenario)


def test_feed__that_cannot_look__answers_nothing_after_its_time(world, monkeypatch):
    async def scenario(asgi, feed):
        reader = bearer(world["viewer"])
        await asked(asgi, "/config/shop", reader)
        for task in feed._tasks:
            task.cancel()
        assert (await asked(asgi, "/config/shop", reader))[1] == 0

        monkeypatch.setattr("apps.delivery.feed.CURRENT_FOR", 0.0)
        monkeypatch.setattr("apps.delivery.hot.CATCH_UP_WITHIN", 0.01)

        assert (await asked(asgi, "/config/shop", reader))[1] == 1

    run(scenario)


def test_right__moved_without_an_act__is_seen_at_the_next_look(world):
    """The triggers raise the access generation; nobody wakes the feed."""

    async def scenario(asgi, feed):
        reader = bearer(world["viewer"])
        await asked(asgi, "/config/shop", reader)
        moved = Token.objects.filter(account__slug="viewer")
        await sync_to_async(moved.update)(withdrawn_at=clock.now())

        feed._wake.set()
        while feed.generation != await sync_to_async(generation)():
            await sync_to_async(str)()

        assert (await asked(asgi, "/config/shop", reader))[0].status == 401

    run(scenario)


def generation():
    return AccessGeneration.objects.get(pk=1).number


@pytest.mark.parametrize("what", ["token", "grant"])
def test_end__by_the_clock__is_held_to_at_each_question(world, what, monkeypatch):
    soon = clock.now() + timedelta(hours=1)
    if what == "token":
        _token, raw = token_of("short", role="viewer", life=timedelta(hours=1))
    else:
        _token, raw = token_of("short")
        to = "service-account:short"
        services.grant(actor=SYSTEM, to=to, role="viewer", on=EVERYWHERE, expires_at=soon)

    async def scenario(asgi, _feed):
        reader = bearer(raw)
        assert (await asked(asgi, "/config/shop", reader))[0].status == 200
        assert (await asked(asgi, "/config/shop", reader))[1] == 0

        later = clock.now() + timedelta(hours=2)
        monkeypatch.setattr("apps.core.clock.now", lambda: later)
        monkeypatch.setattr("apps.delivery.hot.time.time", later.timestamp)

        answer, times = await asked(asgi, "/config/shop", reader)
        assert times == 1
        assert answer.status == (401 if what == "token" else 404)

    run(scenario)


def test_reads__from_memory__are_counted_as_others_and_so_is_the_tokens_use(world):
    async def scenario(asgi, _feed):
        for _again in range(3):
            await asked(asgi, "/config/shop?key=a", bearer(world["viewer"]))

    Token.objects.update(last_used_at=None)
    run(scenario)
    reads.flush()

    row = ReadCount.objects.get(account="service-account:viewer")
    assert (row.count, row.asked, row.version) == (3, "a", 1)
    assert newest_token("viewer").last_used_at is not None


def test_compression__by_what_is_accepted__has_an_entity_tag_of_its_own(world):
    import gzip

    import brotli

    publish(config={"long": LONG})

    async def scenario(asgi, _feed):
        reader, found = bearer(world["viewer"]), {}
        for coding in ("", "gzip", "br", "identity", "gzip;q=0", "zstd", "*", "gzip, br"):
            answer, _times = await asked(
                asgi, "/config/shop.json", reader, ("accept-encoding", coding)
            )
            assert b"Accept-Encoding" in answer.header(b"vary")
            found[coding] = answer
        plain = found[""]
        unpack = {None: bytes, b"gzip": gzip.decompress, b"br": brotli.decompress}
        for answer in found.values():
            coding = answer.header(b"content-encoding")
            assert unpack[coding](answer.body) == plain.body
            assert answer.header(b"content-length") == str(len(answer.body)).encode()
            assert answer.header(b"x-config-signature") == plain.header(b"x-config-signature")
        assert [found[each].header(b"content-encoding") for each in found] == [
            None, b"gzip", b"br", None, None, None, b"br", b"br",
        ]  # fmt: skip
        tags = {answer.header(b"etag") for answer in found.values()}
        assert len(tags) == 3
        for answer in found.values():
            known = ("if-none-match", answer.header(b"etag").decode())
            coding = answer.header(b"content-encoding") or b""
            accepts = ("accept-encoding", coding.decode())
            got, _times = await asked(asgi, "/config/shop.json", reader, known, accepts)
            assert (got.status, got.body) == (304, b"")
            assert got.header(b"etag") == answer.header(b"etag")

    run(scenario)


# The property: whatever is asked by whomever, after whatever has been done, the answers are the same.

GLOBS = st.sampled_from(
    ["a", "**", "long.*", "ruled", "ruled.pin", "nothing", "settings", "[", "x[0]"]
)
ENCODED = st.sampled_from(
    ["gzip", "br", "gzip, deflate, br", "identity", "*;q=0.1", "gzip;q=zero", ""]
)
QUERY = {
    "environment": st.sampled_from(["production", "staging", "PRODUCTION", "none", ""]),
    "format": st.sampled_from(["json", "yaml", "toml", "xml", "env", "properties", "exe", ""]),
    "view": st.sampled_from(["source", "", "other"]),
    "key": st.lists(GLOBS, min_size=1, max_size=2),
    "section": st.sampled_from(["env", "a", "none", ""]),
    "version": st.sampled_from(["1", "2", "99", "x", ""]),
    "at": st.sampled_from(["2099-01-01T00:00:00Z", "1", "x", ""]),
    "reveal": st.sampled_from(["true", "false", "maybe"]),
    "unit": st.sampled_from(["u1", ""]),
    "after": st.sampled_from(["0", "999999", "x", ""]),
    "wait": st.sampled_from(["0", "x"]),
    "min_revision": st.sampled_from(["1", "other-1", "x"]),
    "service": st.lists(st.sampled_from(["shop", "cart", "Shop", "none"]), min_size=1, max_size=3),
    "csk_x": st.just("1"),
    "%00": st.just("%00"),
    "%ff": st.just("1"),
}
HEADERS = {
    "accept": st.sampled_from(
        ["*/*", "application/json", "application/yaml", "text/html", "text/x-dotenv;q=0.5, */*;q=0.1",
         "text/plain", "", "application/toml, application/xml"]
    ),
    "accept-encoding": ENCODED,
    "x-config-instance": st.sampled_from(["pod-1", "pod 2", "", "x" * 300]),
    "x-config-unit": st.sampled_from(["u1", "u2", "u3", "\xc3\xbc", "\xfc", "", "x" * 300]),
    "host": st.sampled_from(["localhost", "localhost:8000", "127.0.0.1", "evil.example", "LOCALHOST"]),
    "cookie": st.sampled_from(["sessionid=x", "a=b"]),
    "x-forwarded-proto": st.sampled_from(["https", "http"]),
    "x-forwarded-host": st.just("evil.example"),
    "x-forwarded-for": st.just("10.0.0.1"),
    "origin": st.just("https://page.example"),
    "referer": st.just("https://page.example/"),
    "range": st.just("bytes=0-3"),
    "if-modified-since": st.just("Sat, 01 Jan 2028 00:00:00 GMT"),
    "if-match": st.sampled_from(["*", '"x"']),
    "cache-control": st.just("no-cache"),
    "accept-language": st.just("de"),
    "accept_encoding": ENCODED,
    "user-agent": st.sampled_from(["curl/8", "Mozilla/5.0"]),
    "x-http-method-override": st.just("DELETE"),
    "content-type": st.sampled_from(["application/yaml", "text/plain; charset=latin-1"]),
    "content-length": st.just("0"),
    "idempotency-key": st.just("k"),
    "x-requested-with": st.just("XMLHttpRequest"),
}  # fmt: skip
READERS = ["everything", "viewer", "here", "nobody", "staging"]
CREDENTIALS = st.one_of(
    st.sampled_from(READERS),
    st.sampled_from(READERS),
    st.sampled_from(["unknown", "none", "basic"]),
)
ADDRESSES = st.builds(
    "{}/config/{}{}".format,
    st.sampled_from(["", "", "/api/v1"]),
    st.sampled_from(["shop", "shop", "cart", "SHOP", "none", "sh%6fp"]),
    st.sampled_from(
        ["", "", "", ".json", ".yaml", ".toml", ".xml", ".env", ".properties", "/value", "/"]
    ),
) | st.sampled_from(
    [
        "/config?service=shop",
        "/config?service=shop&service=cart",
        "/config",
        "/api/v1/config?service=shop",
    ]
)


def some_of(choices, most):
    """At most so many of ``choices``, each with a value of its own."""
    names = st.lists(st.sampled_from(sorted(choices)), max_size=most, unique=True)
    return names.flatmap(lambda found: st.fixed_dictionaries({n: choices[n] for n in found}))


QUESTIONS = st.fixed_dictionaries(
    {
        "address": ADDRESSES,
        "query": some_of(QUERY, 2),
        "headers": some_of(HEADERS, 3),
        "who": CREDENTIALS,
        "known": st.sampled_from(["", "", "same", "weak", "*", "other", "many"]),
        "method": st.sampled_from(["GET"] * 8 + ["HEAD", "OPTIONS"]),
        "also": some_of(HEADERS, 1),
        "other": st.one_of(
            st.fixed_dictionaries({"who": CREDENTIALS}),
            st.fixed_dictionaries({"query": some_of(QUERY, 1)}),
            st.fixed_dictionaries({"address": ADDRESSES}),
        ),
        "twice": st.sampled_from([""] * 6 + ["authorization", "accept", "accept-encoding"]),
    }
)
PLAIN = QUESTIONS.map(
    lambda question: {
        **question,
        "address": "/config/shop",
        "query": {},
        "headers": {},
        "who": "everything",
        "known": "",
        "method": "GET",
        "twice": "",
    }
)
"""What is asked again and again: kept each time, whatever else the example does."""
ACTS = st.one_of(
    st.tuples(
        st.just("publish"),
        st.sampled_from(SERVICES),
        st.sampled_from(ENVIRONMENTS),
        st.sampled_from(DOCUMENTS),
    ),
    st.tuples(
        st.sampled_from(
            [
                "retire",
                "grant",
                "withdraw",
                "rule",
                "unrule",
                "section",
                "unsection",
                "token",
                "experiment",
                "unexperiment",
                "secret",
            ]
        )
    ),
)
STEPS = st.lists(st.one_of(PLAIN, QUESTIONS, QUESTIONS, ACTS), min_size=2, max_size=6)


def written(question, world, tag):
    """The address and headers of a question; ``tag`` is the entity tag that was seen before."""
    query = "&".join(
        f"{name}={value}"
        for name, values in question["query"].items()
        for value in (values if isinstance(values, list) else [values])
    )
    headers = list(question["headers"].items())
    who = question["who"]
    if who in world:
        headers.append(bearer(world[who]))
    elif who != "none":
        kinds = {"unknown": f"Bearer csk_{'x' * 40}", "basic": "Basic eDp5"}
        headers.append(("authorization", kinds[who]))
    known = {
        "same": tag,
        "weak": f"W/{tag}",
        "*": "*",
        "other": '"x"',
        "many": f'"a", {tag}',
    }.get(question["known"])
    if known:
        headers.append(("if-none-match", known))
    headers += [(name, value) for name, value in headers if name == question["twice"]]
    address = question["address"]
    mark = "&" if "?" in address else "?"
    return address + (f"{mark}{query}" if query else ""), headers


class Acting:
    """Does an act, and remembers what can be undone."""

    def __init__(self, world):
        self.world = world

    def __call__(self, act):
        kind, *rest = act
        getattr(self, f"_{kind}")(*rest)

    def _publish(self, service, environment, config):
        publish(service, environment, config)

    def _retire(self):
        from apps.configs.selectors.configurations import find_live

        here = place_of("cart", "production")
        if not find_live(actor=SYSTEM, place=here).row.retired:
            publishing.retire(actor=SYSTEM, place=here, options=Options())

    def _grant(self):
        services.grant(actor=SYSTEM, to="service-account:nobody", role="viewer", on=EVERYWHERE)

    def _withdraw(self):
        from apps.access.models import Grant

        for each in Grant.objects.filter(user__service_account__slug="nobody"):
            services.withdraw_grant(actor=SYSTEM, grant=each)

    def _rule(self):
        from apps.access.models import KeyRule

        if not KeyRule.objects.filter(pattern="a").exists():
            here = place_of("shop", "production")
            key_rules.create_key_rule(actor=SYSTEM, pattern="a", place=here)

    def _unrule(self):
        from apps.access.models import KeyRule

        for each in KeyRule.objects.exclude(pattern="**.ruled"):
            key_rules.delete_key_rule(actor=SYSTEM, rule=each)

    def _section(self):
        from apps.configs.models import Section

        shop = get_service("shop")
        if not Section.objects.filter(service=shop, key="long").exists():
            sections.create_section(
                actor=SYSTEM, service=shop, key="long", type="environment_variables"
            )

    def _unsection(self):
        from apps.configs.models import Section

        for each in Section.objects.filter(key="long"):
            sections.delete_section(actor=SYSTEM, section=each)

    def _experiment(self):
        if running() is None:
            start_experiment()

    def _unexperiment(self):
        from apps.rollouts import experiments

        if running() is not None:
            experiments.stop_experiment(actor=SYSTEM, experiment=running())

    def _secret(self):
        write_pin(f'"value" {next(NAMES)}')

    def _token(self):
        services.withdraw_token(actor=SYSTEM, token=newest_token("here"))
        account = newest_token("here").account
        _token, self.world["here"] = services.create_token(actor=SYSTEM, account=account)


class Comparing:
    """Asks the read path and Django the same, and counts what was answered from memory."""

    def __init__(self, asgi, world, counts):
        self.asgi, self.world, self.counts = asgi, world, counts
        self.tags, self.asked = ['"x"'], []

    async def ask(self, question):
        """Twice, the second time from memory where it is kept; then the same but for one thing."""
        self.asked = [*self.asked[-2:], question]
        await self.compare(question)
        await self.compare(question)
        await self.compare({**question, **question["other"]})
        for name, values in question["also"].items():
            changed = {**question["headers"], name: values}
            await self.compare({**question, "headers": changed})

    async def ask_again(self):
        """What was asked before, after something has been done."""
        for question in self.asked:
            await self.compare(question)

    async def compare(self, question):
        address, headers = written(question, self.world, self.tags[-1])
        options = {"method": question["method"]}
        if "reveal" in address:  # the first disclosure is an act, which moves the revision
            await self.asgi.get_from_django(address, headers, **options)
        before = self.asgi.views.asked
        answer = await self.asgi.get(address, headers, **options)
        self.counts.append(self.asgi.views.asked == before)
        same(answer, await self.asgi.get_from_django(address, headers, **options))
        if answer.header(b"etag"):
            self.tags.append(answer.header(b"etag").decode())


def test_any_question__after_any_acts__is_answered_as_django_answers_it(world):
    from_memory = []

    @settings(
        max_examples=examples(200),
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(STEPS)
    def holds(steps):
        acting = Acting(world)

        async def scenario(asgi, _feed):
            comparing = Comparing(asgi, world, from_memory)
            for step in steps:
                if isinstance(step, tuple):
                    await sync_to_async(acting)(step)
                    await comparing.ask_again()
                else:
                    await comparing.ask(step)

        run(scenario)

    holds()
    assert sum(from_memory) > len(from_memory) / 10  # or nothing is compared


def test_layers__before_django__are_wrapped_in_the_server():
    from configsvc import asgi

    assert isinstance(asgi.http, Polls)
    assert isinstance(asgi.http.behind, Hot)
