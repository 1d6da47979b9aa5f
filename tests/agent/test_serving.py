"""What the agent serves to local processes: one connection upstream, the contract's reads here."""

import http.client
import os
import socket
import stat
import threading
import time

import httpx
import pytest

from configsvc_agent.errors import UsageError
from configsvc_agent.serving import local_token, parse_address
from tests.agent.conftest import TOKEN
from tests.agent.test_fetching import wait_until


@pytest.fixture
def local(serve):
    """A client of one such server."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=serve().url, headers=headers, timeout=30) as client:
        yield client


def test_get__configuration__is_enveloped_with_the_servers_validators(server, local):
    answer = local.get("/config/checkout")

    assert answer.json() == {
        "service": "checkout",
        "environment": "production",
        "version": 1,
        "revision": 1,
        "config": {"settings": {"timeout": 1}},
    }
    assert answer.headers["ETag"] == '"e1-1"'
    assert answer.headers["X-Config-Epoch"] == "e1"
    assert answer.headers["X-Config-Revision"] == "1"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    known = local.get("/api/v1/config/CHECKOUT", headers={"If-None-Match": 'W/"x", "e1-1"'})
    assert (known.status_code, known.content) == (304, b"")
    assert local.head("/config/cart").headers["X-Config-Version"] == "1"


def test_get__forms_keys_and_values__are_the_contracts(server, local):
    server.publish({"settings": {"timeout": 1, "name": "x", "list": [1, 2]}, "other": {"a": None}})
    wait_until(lambda: local.get("/config/checkout").json()["version"] == 2)

    assert local.get("/config/checkout.yaml?key=settings.name").text == "settings:\n  name: x\n"
    assert (
        local.get("/config/checkout?format=env&section=settings&key=settings.t*").text
        == "timeout=1\n"
    )
    assert local.get("/config/checkout", headers={"Accept": "application/toml"}).status_code == 406
    assert local.get("/config/cart", headers={"Accept": "application/toml"}).text == "items = 3\n"
    assert local.get("/config/checkout/value?key=settings.list[1]").json() == 2
    assert local.get("/config/checkout/value?key=settings.name").text == "x"
    assert local.get("/config/checkout/value?key=nope").status_code == 404
    tags = {
        local.get(f"/config/cart{form}").headers["ETag"] for form in ("", ".json", ".yaml", ".xml")
    }
    assert len(tags) == 4


WITH_VARIABLES = {"env": {"TZ": "UTC", "B": 1}, "more": {"B": "2"}, "settings": {"timeout": 1}}


def test_env__sections_of_variables__are_what_it_is_made_of(server, local):
    server.sections = dict.fromkeys(("env", "more", "none"), "environment_variables")
    server.sections |= {"settings": "application_settings"}
    server.sections_of_a_page = 1
    server.publish(WITH_VARIABLES)
    wait_until(lambda: local.get("/config/checkout").json()["version"] == 2)

    answer = local.get("/config/checkout.env")

    assert answer.text == "TZ=UTC\nB=2\n"
    assert answer.headers["Content-Type"] == "text/x-dotenv; charset=utf-8"
    known = {"If-None-Match": answer.headers["ETag"]}
    assert local.get("/config/checkout?format=env", headers=known).status_code == 304
    accepted = {"Accept": "text/x-dotenv"}
    assert local.get("/config/checkout?key=*.TZ", headers=accepted).text == "TZ=UTC\n"
    assert local.get("/config/checkout.env?section=settings").text == "timeout=1\n"
    assert local.get("/config/cart.env").text == ""  # none of the sections is there


def test_env__section_declared_later__is_another_answer_of_the_same_version(server, local):
    server.publish(WITH_VARIABLES)
    wait_until(lambda: local.get("/config/checkout").json()["version"] == 2)
    before = local.get("/config/checkout.env")

    server.sections["env"] = "environment_variables"

    wait_until(lambda: local.get("/config/checkout.env").text == "TZ=UTC\nB=1\n")
    assert before.text == "env__TZ=UTC\nenv__B=1\nmore__B=2\nsettings__timeout=1\n"
    known = {"If-None-Match": before.headers["ETag"]}
    assert local.get("/config/checkout.env", headers=known).status_code == 200


def test_env__not_asked_for__asks_the_server_for_no_sections(server, local):
    server.publish(WITH_VARIABLES)
    wait_until(lambda: local.get("/config/checkout").json()["version"] == 2)
    local.get("/config/checkout.env?section=env")
    before = server.count("/services/checkout/sections")

    local.get("/config/checkout.env")

    assert (before, server.count("/services/cart/sections")) == (0, 0)
    assert server.count("/services/checkout/sections") > 0


def test_env__server_away__is_answered_when_it_was_before(server, local, serve, tmp_path):
    server.sections["env"] = "environment_variables"
    server.publish(WITH_VARIABLES)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    first = serve(cache=tmp_path)
    asked = httpx.get(f"{first.url}/config/checkout.env", headers=headers)
    server.stop()

    again = serve(cache=tmp_path)
    kept, unknown = (
        httpx.get(f"{again.url}/config/{name}.env", headers=headers)
        for name in ("checkout", "cart")
    )

    assert kept.text == asked.text == "TZ=UTC\nB=1\n"
    assert (unknown.status_code, unknown.json()["code"]) == (503, "sections_unknown")
    server.start()
    wait_until(lambda: httpx.get(f"{again.url}/config/cart.env", headers=headers).is_success)


def test_sections__asked_for_by_another_agent__are_those_of_variables(server, local):
    server.sections = {"env": "environment_variables", "settings": "application_settings"}

    answer = local.get("/services/checkout/sections?page_size=200")

    assert answer.json()["results"] == [{"key": "env", "type": "environment_variables"}]
    assert local.get("/services/other/sections").status_code == 404


def test_etag__of_a_compressed_fetch__is_that_of_the_answer_as_it_is(server, serve):
    server.zipped = True
    url = serve().url
    server.wait_for("/stream")
    wait_until(lambda: server.count("/config/checkout") == 2)

    answer = httpx.get(f"{url}/config/checkout", headers={"Authorization": f"Bearer {TOKEN}"})

    assert answer.headers["ETag"] == '"e1-1"'
    asked = [headers for path, _query, headers in server.asked if path == "/config/checkout"]
    assert asked[1]["If-None-Match"] == '"e1-1"'


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/config/other", 404, "not_found"),
        ("/config/checkout?environment=staging", 404, "not_found"),
        ("/config/checkout/history", 404, "not_found"),
        ("/services", 404, "not_found"),
        ("/config/checkout?version=1", 400, "live_only"),
        ("/config/checkout?at=2026-01-01T00:00:00Z", 400, "live_only"),
        ("/config/checkout?unit=ada", 400, "no_units"),
        ("/config/checkout?reveal=true", 403, "forbidden"),
        ("/config/checkout?key=[", 400, "malformed"),
        ("/config/checkout?after=x", 400, "malformed"),
        ("/config/checkout?after=1&wait=long", 400, "malformed"),
        ("/config/checkout?format=ini", 406, "unknown_format"),
    ],
)
def test_get__what_it_has_not__is_a_problem(local, path, status, code):
    answer = local.get(path)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_get__without_the_local_token__is_refused(server, serve):
    url = serve().url

    for headers in (
        {},
        {"Authorization": f"Bearer {server.token}"},
        {"Authorization": f"Basic {TOKEN}"},
    ):
        answer = httpx.get(f"{url}/config/checkout", headers=headers)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert httpx.get(f"{url}/healthz").status_code == 200


def test_get__host_of_another_page__is_refused(local):
    assert local.get("/config/checkout", headers={"Host": "evil.example"}).status_code == 421


def test_many_clients__one_stream_and_one_fetch_for_each_change(server, serve):
    url = serve().url
    server.wait_for("/stream")
    server.wait_for("/config/checkout", 2)  # the first, and the look when the stream is open
    headers = {"Authorization": f"Bearer {TOKEN}"}
    heard = []

    def follow():
        with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
            first = client.get("/config/checkout")
            after = f"{first.headers['X-Config-Epoch']}-{first.headers['X-Config-Revision']}"
            ready.release()
            etag = {"If-None-Match": first.headers["ETag"]}
            answer = client.get(f"/config/checkout?after={after}&wait=50", headers=etag)
            heard.append((answer.status_code, answer.json()["version"]))

    ready = threading.Semaphore(0)
    threads = [threading.Thread(target=follow) for _ in range(20)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert ready.acquire(timeout=60)
    time.sleep(0.3)
    fetched = server.count("/config/checkout")
    server.publish({"settings": {"timeout": 2}})
    for thread in threads:
        thread.join(60)

    assert heard == [(200, 2)] * 20
    assert server.count("/config/checkout") == fetched + 1
    assert server.count("/stream") == 1
    stream = next(query for path, query, _headers in server.asked if path == "/stream")
    assert stream["service"] in ("cart", "checkout")  # both are named; the last is shown


def test_change__of_one_service__fetches_that_one_alone(server, local):
    server.wait_for("/stream")
    server.wait_for("/config/cart", 2)  # at the start, and as the stream opened
    before = server.count("/config/checkout")

    server.moved_service, server.others["cart"] = "cart", {"items": 4}
    server.publish({"settings": {"timeout": 1}})

    wait_until(lambda: local.get("/config/cart").json()["config"] == {"items": 4})
    assert server.count("/config/checkout") == before


def test_long_poll__nothing_new__waits_and_says_so(server, local):
    first = local.get("/config/checkout")
    after = f"e1-{first.headers['X-Config-Revision']}"

    assert local.get(f"/config/checkout?after={after}&wait=0.2").status_code == 204
    known = {"If-None-Match": first.headers["ETag"]}
    assert local.get(f"/config/checkout?after={after}&wait=0.2", headers=known).status_code == 304
    for beyond in ("e0-1", "e1-99", "99"):
        assert local.get(f"/config/checkout?after={beyond}&wait=50").status_code == 200


def test_long_poll__change_while_it_waits__answers_who_sent_no_etag(server, local):
    first = local.get("/config/checkout")
    server.wait_for("/stream")
    timer = threading.Timer(0.3, server.publish, [{"settings": {"timeout": 8}}])
    timer.start()

    answer = local.get(f"/config/checkout?after=e1-{first.headers['X-Config-Revision']}&wait=25")

    assert answer.json()["config"] == {"settings": {"timeout": 8}}


def test_min_revision__waits_until_it_is_reached(server, local, monkeypatch):
    server.wait_for("/stream")
    server.publish({"settings": {"timeout": 9}})

    answer = local.get(f"/config/checkout?min_revision=e1-{server.revision}")

    assert answer.json()["config"] == {"settings": {"timeout": 9}}
    assert local.get("/config/checkout?min_revision=e0-1").json()["code"] == "epoch"
    monkeypatch.setattr("configsvc_agent.serving.REVISION_WAIT", 0.2)
    late = local.get("/config/checkout?min_revision=e1-99")
    assert (late.status_code, late.json()["code"]) == (412, "not_reached")
    assert late.headers["Retry-After"] == "1"


def test_min_revision__another_configuration_is_further__is_not_reached(server, local, monkeypatch):
    server.wait_for("/config/cart", 2)  # the first, and the look when the stream is open
    monkeypatch.setattr("configsvc_agent.serving.REVISION_WAIT", 0.2)
    server.refuse["/config/checkout"] = (403, {}, b"{}")
    server.moved_service = "unknown"  # about both
    server.others["cart"] = {"items": 4}
    server.publish({"settings": {"timeout": 9}})
    wait_until(lambda: local.get("/config/cart").json()["config"] == {"items": 4})

    early = local.get("/config/checkout?min_revision=e1-2")
    old = local.get("/config/checkout")

    assert (early.status_code, early.json().get("code")) == (412, "not_reached")
    assert (old.json()["config"], old.headers["X-Config-Revision"]) == (
        {"settings": {"timeout": 1}},
        "1",
    )
    server.refuse.clear()
    wait_until(lambda: local.get("/config/checkout?min_revision=e1-2").status_code == 200)
    assert local.get("/config/checkout").json()["config"] == {"settings": {"timeout": 9}}


def test_reveal__asked_for__has_the_values_and_is_not_stored(server, serve):
    url = serve(reveals=True).url
    headers = {"Authorization": f"Bearer {TOKEN}"}

    plain = httpx.get(f"{url}/config/checkout", headers=headers)
    revealed = httpx.get(f"{url}/config/checkout?reveal=true", headers=headers)

    assert "hunter2" not in plain.text
    assert revealed.json()["config"] == {"password": "hunter2"}
    assert revealed.headers["Cache-Control"] == "no-store"
    assert httpx.get(f"{url}/config/cart?reveal=true", headers=headers).status_code == 403


def test_retired__is_gone_and_comes_back(server, local):
    server.wait_for("/stream")
    server.retire()
    wait_until(lambda: local.get("/config/checkout").status_code == 410)

    server.publish({"back": True})

    wait_until(lambda: local.get("/config/checkout").status_code == 200)


def test_server_away__goes_on_and_says_how_long(server, local, monkeypatch):
    monkeypatch.setattr("configsvc_agent.serving.SILENCE", 0.3)
    server.wait_for("/stream")

    server.stop()

    wait_until(lambda: "X-Config-Stale" in local.get("/config/checkout").headers)
    assert local.get("/config/checkout").status_code == 200
    server.start()
    wait_until(lambda: "X-Config-Stale" not in local.get("/config/checkout").headers)


def test_python_client__pointed_at_the_agent__follows(server, serve, connect):
    config = connect(url=serve().url, token=TOKEN)
    config.start()
    server.wait_for("/stream")

    server.publish({"settings": {"timeout": 7}})

    wait_until(lambda: config.get("settings.timeout") == 7)


# -- where it listens --------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["0.0.0.0:80", "[::]:80", "10.0.0.1:80", "192.168.1.1:0"])
def test_listen__an_address_that_others_reach__is_refused(text):
    with pytest.raises(UsageError, match="loopback alone"):
        parse_address(text)


@pytest.mark.parametrize("text", ["", "80", "config.example:80", "unix:relative", "127.0.0.1:x"])
def test_listen__what_is_no_address__says_what_is(text):
    with pytest.raises(UsageError):
        parse_address(text)


def test_listen__tcp_without_a_token__is_refused(serve):
    with pytest.raises(UsageError, match="need a token"):
        serve(token=None)


def test_unix_socket__its_mode_says_who_may_ask(serve, short_folder):
    path = short_folder / "run" / "agent.sock"
    serve(f"unix:{path}", token=None)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as client:
        assert client.get("http://localhost/config/cart.yaml").text == "items: 3\n"
    with pytest.raises(UsageError, match="Another process answers"):
        serve(f"unix:{path}", token=None)


def test_unix_socket__left_by_a_killed_agent__is_replaced(serve, short_folder):
    path = short_folder / "agent.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()

    local = serve(f"unix:{path}", token=None)

    assert path.exists()
    local.close()
    assert not path.exists()
    path.write_text("a file")
    with pytest.raises(UsageError, match="no socket"):
        serve(f"unix:{path}", token=None)


def test_local_token__missing__is_made_for_its_owner_alone(tmp_path):
    path = tmp_path / "new" / "token"

    token = local_token(path)

    assert token.startswith("csl_")
    assert len(token) > 40
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert local_token(path) == token
    os.chmod(path, 0o644)  # noqa: PTH101 - short
    with pytest.raises(UsageError, match="Everybody may read"):
        local_token(path)


def test_connections__more_than_the_limit__are_answered_503(serve, monkeypatch):
    monkeypatch.setattr("configsvc_agent.serving.MOST_CONNECTIONS", 2)
    url = serve().url
    port = int(url.rpartition(":")[2])
    held = [socket.create_connection(("127.0.0.1", port)) for _ in range(2)]
    time.sleep(0.3)

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/healthz")

    assert connection.getresponse().status == 503
    for each in [*held, connection]:
        each.close()


def test_refusal_of_one_service__keeps_none_from_the_others(server, local):
    server.wait_for("/stream")
    server.refuse["/config/cart"] = (403, {}, b"{}")

    server.publish({"settings": {"timeout": 5}})
    server.cut_connections()

    wait_until(
        lambda: local.get("/config/checkout").json()["config"] == {"settings": {"timeout": 5}}
    )
    assert local.get("/config/cart").json()["config"] == {"items": 3}
