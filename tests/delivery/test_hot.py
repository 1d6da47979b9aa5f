"""The read path before Django answers as Django does, without asking it twice."""

import itertools
import json
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync, sync_to_async

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


def test_layers__before_django__are_wrapped_in_the_server():
    from configsvc import asgi

    assert isinstance(asgi.http, Polls)
    assert isinstance(asgi.http.behind, Hot)
