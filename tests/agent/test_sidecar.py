"""The agent on a real server: publish, file, restart, report, secrets, and without the server."""

import contextlib
import itertools
import json
import os

import httpx
import pytest
import yaml

from configsvc_client.events import EventReader
from tests.agent.processes import Agent, wait_until
from tests.serving import TOP, installation

pytestmark = pytest.mark.servers(database=False)

SHOW = 'echo "started with $APP_SETTINGS__TIMEOUT $APP_DB__PASSWORD"; exec sleep 300'
FAST = ("--wait", "0.2:2", "--kill-timeout", "10")


@pytest.fixture(scope="module")
def served():
    with installation() as made:
        made.start()
        with made.servers[0].client(made.raw) as client:
            for name in ("checkout", "cart"):
                client.post("/services", json={"slug": name})
            for key in ("env", "more"):
                section = {"key": key, "type": "environment_variables"}
                answer = client.post("/services/cart/sections", json=section)
                assert answer.status_code == 201, answer.text
            secret = {"service": "checkout", "environment": "production", "name": "db-password"}
            answer = client.post("/secrets", json={**secret, "value": "hunter2-at-first"})
            assert answer.status_code == 201, answer.text
        publish(made, 1)
        made.app_token = made.token("consumer:checkout", "checkout-app")
        with made.servers[0].client(made.raw) as client:
            grant = {"to": "service-account:checkout-app", "role": "consumer"}
            answer = client.post("/grants", json={**grant, "on": {"service": "cart"}})
            assert answer.status_code == 201, answer.text
        yield made


def publish(made, timeout):
    document = {
        "settings": {"timeout": timeout, "rate": 0.5},
        "db": {"password": "${secret:db-password}"},
    }
    return publish_document(made, "checkout", document)


def publish_document(made, service, document):
    body = {"environment": "production", "config": document, "on_stale": "overwrite"}
    with made.servers[-1].client(made.raw) as client:
        answer = client.post(f"/config/{service}", json=body)
        assert answer.status_code in (200, 201), answer.text
        return answer.json().get("version")


@pytest.fixture
def launch(served, tmp_path):
    started = []

    def launch(*arguments, act="run"):
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(
                [str(TOP / "deploy" / "agent"), os.environ.get("PYTHONPATH", "")]
            ),
            "CONFIGSVC_URL": served.servers[-1].url,
            "CONFIGSVC_TOKEN": served.app_token,
            "CONFIGSVC_ENVIRONMENT": "production",
            "CONFIGSVC_INSTANCE": "node-7",
        }
        agent = Agent(tmp_path, [act, *arguments], environment)
        started.append(agent)
        return agent

    yield launch
    for agent in started:
        agent.process.kill()
        agent.process.wait()


def running(made):
    """The version that the server knows of node-7."""
    code = (
        "from apps.rollouts.models import Instance; "
        "print([each.version for each in Instance.objects.filter(name='node-7')])"
    )
    return json.loads(made.run("shell", "-v0", "-c", code).stdout.replace("None", "null"))


def test_publish__changes_the_file_restarts_the_child_and_is_reported(served, launch, tmp_path):
    file = tmp_path / "app.yaml"
    agent = launch(
        "--file", f"yaml:{file}", "--env-prefix", "APP_", *FAST, "checkout", "--", "sh", "-c", SHOW
    )
    agent.says("started with")

    version = publish(served, 20)
    agent.says("started with 20 ")
    agent.logs(f"The server knows that version {version} is in use.")

    with served.servers[-1].client(served.app_token) as client:
        theirs = client.get("/config/checkout.yaml?environment=production").text
    assert yaml.safe_load(file.read_text()) == yaml.safe_load(theirs)
    assert running(served) == [version]
    agent.process.terminate()
    assert agent.wait() == 143


def test_report__of_a_version_that_cannot_be_used__is_not_made(served, launch, tmp_path):
    good = publish(served, 30)
    agent = launch("--file", f"toml:{tmp_path}/a.toml", *FAST, "checkout", "--", "sleep", "300")
    agent.logs(f"The server knows that version {good} is in use.")

    bad = publish(served, None)
    agent.logs(f"Version {bad} is not used")

    assert running(served) == [good]


def test_report__of_a_version_that_the_url_refuses__comes_after_it_took_it(
    served, launch, tmp_path, hook
):
    good = publish(served, 34)
    launched = (
        "--file",
        f"json:{tmp_path}/a.json",
        "--on-change",
        f"url:{hook.url}",
        *FAST,
        "checkout",
    )
    agent = launch(*launched)
    agent.logs(f"The server knows that version {good} is in use.")
    hook.fails = 1000

    later = publish(served, 35)
    agent.logs(f"The URL did not take version {later}: it answers 500.")
    meanwhile = running(served)
    hook.fails = 0
    agent.logs(f"The server knows that version {later} is in use.")

    assert meanwhile == [good]
    assert running(served) == [later]


def test_reveal__only_when_asked__and_a_new_value_restarts(served, launch, tmp_path):
    publish(served, 40)
    arguments = ("--env-prefix", "APP_", *FAST, "checkout", "--", "sh", "-c", SHOW)
    plain = launch(*arguments)
    plain.says("started with 40 \n")
    plain.process.kill()
    revealing = launch("--reveal", "--cache-dir", str(tmp_path / "kept"), *arguments)
    revealing.says("started with 40 hunter2-at-first\n")

    with served.servers[-1].client(served.raw) as client:
        place = "/secrets/checkout/db-password/versions?environment=production"
        answer = client.post(place, json={"value": "hunter2-later"})
        assert answer.status_code == 201, answer.text

    revealing.says("started with 40 hunter2-later\n")
    assert "hunter2" not in revealing.log
    for kept in (tmp_path / "kept").iterdir():
        assert b"hunter2" not in kept.read_bytes()


def test_start__server_killed__uses_what_it_kept_with_its_secrets(served, launch, tmp_path):
    publish(served, 50)
    arguments = (
        *("--reveal", "--cache-dir", str(tmp_path / "kept"), "--env-prefix", "APP_", *FAST),
        *("checkout", "--", "sh", "-c", SHOW),
    )
    first = launch(*arguments)
    first.says("started with 50 hunter2")
    first.process.terminate()
    first.wait()
    port = served.servers[-1].port
    served.servers[-1].kill()

    second = launch(*arguments)
    second.says("started with 50 hunter2")
    served.start(port=port)
    publish(served, 51)

    second.says("started with 51 hunter2")
    wait_until(lambda: "The server knows that version" in second.log)


def events_of(client, stack, headers):
    """What a stream says, as it comes."""
    answer = stack.enter_context(
        client.stream("GET", "/stream?service=checkout&environment=production", headers=headers)
    )
    assert answer.status_code == 200
    reader = EventReader()
    return (event for piece in answer.iter_raw() for event in reader.feed(piece))


def test_serve__tells_on_what_the_server_tells(served, launch, short_folder):
    """The same messages with the same ids, also to who comes again."""
    publish(served, 70)
    path = short_folder / "agent.sock"
    launch("--listen", f"unix:{path}", "checkout", act="serve")
    wait_until(path.exists)

    with contextlib.ExitStack() as stack:
        theirs = stack.enter_context(served.servers[-1].client(served.app_token))
        transport = httpx.HTTPTransport(uds=str(path))
        ours = stack.enter_context(
            httpx.Client(transport=transport, base_url="http://localhost", timeout=60)
        )
        there, here = (events_of(each, stack, {}) for each in (theirs, ours))
        begun = next(there), next(here)
        for timeout in (71, 72):
            publish(served, timeout)
        heard, told = (
            list(itertools.islice((event for event in events if event.kind == "changed"), 2))
            for events in (there, here)
        )
        again = events_of(ours, stack, {"Last-Event-ID": told[0].id})

        assert {each.kind for each in begun} == {"ready"}
        assert told == heard
        assert next(again).kind == "ready"
        assert next(again) == heard[1]


ASKED = [
    "",
    ".json",
    ".toml",
    ".xml",
    ".env",
    ".env?section=settings",
    "?format=json&key=settings.*",
    "?key=settings.timeout&key=nope",
    "/value?key=settings.rate",
    "/value?key=settings.nope",
    "?environment=nope",
    "?key=a..b",
    "?after=0&wait=1",
    "?after=999999999",
    "?reveal=true",
    "?reveal=true&key=db.*",
    ".toml?reveal=true",
    ".env?reveal=true",
]


VARIABLES = {
    "settings": {"timeout": 60, "text": "long enough to be compressed " * 40},
    "more": {"LEVEL": "info", "ZONE": "UTC"},
    "env": {"LEVEL": "debug", "http_proxy": "a b", "PASSWORD": "${secret:checkout/db-password}"},
}
ASKED_OF_VARIABLES = [
    "",
    ".json",
    ".yaml",
    ".toml",
    ".xml",
    ".env",
    "?format=env",
    ".env?section=env",
    ".env?section=settings",
    ".env?key=env.*",
    ".env?key=settings.*",
    ".env?key=*.LEVEL",
    "?reveal=true",
    ".env?reveal=true",
]


@pytest.mark.parametrize(
    ("service", "all_asked"), [("checkout", ASKED), ("cart", ASKED_OF_VARIABLES)]
)
def test_serve__answers_what_the_server_answers(served, launch, short_folder, service, all_asked):
    publish(served, 60)
    publish_document(served, "cart", VARIABLES)
    path = short_folder / "agent.sock"
    launch("--reveal", "--listen", f"unix:{path}", service, act="serve")
    wait_until(path.exists)

    with (
        served.servers[-1].client(served.app_token) as theirs,
        httpx.Client(
            transport=httpx.HTTPTransport(uds=str(path)), base_url="http://localhost"
        ) as ours,
    ):
        for asked in all_asked:
            there, here = (
                each.get(f"/config/{service}{asked}", headers={"Accept-Encoding": "identity"})
                for each in (theirs, ours)
            )

            assert here.status_code == there.status_code, asked
            if there.is_success:
                assert_same(here, there, asked)
            if not asked or asked == "?reveal=true":
                assert here.headers["ETag"] == there.headers["ETag"]


def assert_same(here, there, asked):
    if asked.startswith(".yaml"):
        assert yaml.safe_load(here.content) == yaml.safe_load(there.content)
    else:
        assert here.content == there.content, asked
    names = ("X-Config-Version", "X-Config-Epoch", "Cache-Control", "Content-Type")
    assert [here.headers[each] for each in names] == [there.headers[each] for each in names]


def test_env__service_with_sections_of_variables__has_the_servers_file_and_their_names(
    served, launch, tmp_path
):
    publish_document(served, "cart", VARIABLES)
    show = 'echo "level=$LEVEL zone=$ZONE proxy=$http_proxy timeout=$SETTINGS__TIMEOUT"'
    agent = launch("--env", "--file", f"env:{tmp_path}/.env", "cart", "--", "sh", "-c", show)

    agent.says("level=info zone=UTC proxy=a b timeout=60")

    with served.servers[-1].client(served.app_token) as client:
        theirs = client.get("/config/cart?environment=production&format=env").content
    assert (tmp_path / ".env").read_bytes() == theirs
    assert b"LEVEL=info" in theirs
