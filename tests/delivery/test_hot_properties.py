"""Whatever is asked of the read path by whomever, after whatever has been done, is answered as Django answers it."""

import pytest
from asgiref.sync import sync_to_async
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.access import key_rules, services
from apps.access.policy import EVERYWHERE
from apps.configs.services import publishing, sections
from apps.configs.services.bases import Options
from apps.registry.selectors import get_service
from tests.delivery.test_hot import (
    DOCUMENTS,
    ENVIRONMENTS,
    NAMES,
    SERVICES,
    SYSTEM,
    _slow_machine,  # noqa: F401 - a fixture
    bearer,
    newest_token,
    place_of,
    publish,
    run,
    running,
    same,
    start_experiment,
    world,  # noqa: F401 - a fixture
    write_pin,
)
from tests.limits import examples

pytestmark = pytest.mark.django_db(transaction=True)

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


def written(question, world, tag):  # noqa: F811
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

    def __init__(self, world):  # noqa: F811
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

    def __init__(self, asgi, world, counts):  # noqa: F811
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


def test_any_question__after_any_acts__is_answered_as_django_answers_it(world):  # noqa: F811
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
