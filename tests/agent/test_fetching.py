"""The first fetch: what is asked, what comes back, and what is refused."""

import json
import ssl
import subprocess
import threading
import time

import pytest

from configsvc_client import Config, ConfigError
from tests.agent.conftest import IMPATIENT, SHORT
from tests.agent.contract_server import ContractServer
from tests.real_services import free_port


def test_get__values__keep_their_types(server, connect):
    server.publish(
        {"n": 2**53 + 1, "f": 0.5, "t": True, "none": None, "text": "ü", "l": [{"a": 1}]}
    )

    config = connect()

    assert config.get("n") == 9007199254740993
    assert [type(config.get(key)) for key in ("f", "t", "text")] == [float, bool, str]
    assert config.get("none", "default") is None
    assert config.get("l[0].a") == 1
    assert config.get("nope.deeper", 7) == 7
    assert (config.version, config.stale, config.retired) == (2, False, False)


def test_document__changed_by_the_caller__changes_nothing_here(server, connect):
    server.publish({"list": [1], "object": {}})
    config = connect()

    config.document["list"].append(2)
    config.get("list").append(3)
    config.get("object")["x"] = 1

    assert config.document == {"list": [1], "object": {}}


def test_fetch__given_options__sends_them(server, connect):
    connect(environment="production", instance="node-7", unit="user-3")

    path, query, headers = server.asked[-1]
    assert (path, query) == ("/config/checkout", {"environment": "production"})
    assert headers["X-Config-Instance"] == "node-7"
    assert headers["X-Config-Unit"] == "user-3"
    assert headers["Authorization"] == "Bearer csk_right"


def test_fetch__environment_variables__are_read(server, connect, monkeypatch, tmp_path):
    (tmp_path / "token").write_text("csk_right\n")
    monkeypatch.setenv("CONFIGSVC_URL", f"{server.url}/")
    monkeypatch.setenv("CONFIGSVC_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("CONFIGSVC_ENVIRONMENT", "staging")
    monkeypatch.setenv("CONFIGSVC_INSTANCE", "node-8")
    monkeypatch.setenv("CONFIGSVC_CACHE_DIR", str(tmp_path / "cache"))

    connect(url=None, token=None)

    _path, query, headers = server.asked[-1]
    assert query == {"environment": "staging"}
    assert headers["X-Config-Instance"] == "node-8"
    assert (tmp_path / "cache" / "checkout@staging.json").exists()


def test_fetch__token_file_replaced__is_read_anew(server, connect, monkeypatch, tmp_path):
    path = tmp_path / "token"
    path.write_text("csk_right")
    monkeypatch.setenv("CONFIGSVC_TOKEN_FILE", str(path))
    config = connect(token=None)

    server.token = "csk_next"
    path.write_text("csk_next")
    config.start()
    server.publish({"x": 2})

    wait_until(lambda: config.get("x") == 2)


def test_fetch__zipped_answer__is_unzipped(server, connect):
    server.zipped = True

    assert connect().get("settings.timeout") == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_fetch__refused_without_a_copy__raises_the_status(server, connect, status):
    body = json.dumps({"detail": "What to do.", "code": "why"}).encode()
    server.refuse["/config/checkout"] = (status, {}, body)

    with pytest.raises(ConfigError, match="What to do") as caught:
        connect()

    assert (caught.value.status, caught.value.code) == (status, "why")


def test_fetch__redirect__is_not_followed(server, connect):
    server.refuse["/config/checkout"] = (302, {"Location": f"{server.url}/elsewhere"}, b"")

    with pytest.raises(ConfigError, match="is the URL right") as caught:
        connect()

    assert caught.value.status == 302
    assert server.count("/elsewhere") == 0


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((200, {}, b"<html>log in</html>"), "not JSON"),
        ((200, {}, b"[" * 100_000), "not JSON"),
        ((200, {}, b'{"config":{}}'), "configuration service"),
        ((200, {"Content-Encoding": "gzip"}, b"nonsense"), "gzip"),
        ((200, {"Transfer-Encoding": "chunked"}, b"zz\r\n"), "Incomplete"),
        ((202, {}, b"{}"), "202"),
        ((500, {}, b"Internal"), "500"),
        ((503, {}, b'"text"'), "503"),
    ],
)
def test_fetch__unusable_answer__is_a_server_that_is_away(server, connect, answer, says):
    server.refuse["/config/checkout"] = answer

    with pytest.raises(ConfigError, match=says) as caught:
        connect()

    assert caught.value.status == 503


@pytest.mark.parametrize("drip", [0.1, 20.0])
def test_fetch__slow_drops__ends_at_the_deadline(server, connect, drip):
    began = time.monotonic()
    server.drip = drip

    with pytest.raises(ConfigError, match="away"):
        connect(timing=IMPATIENT)

    assert time.monotonic() - began < 20


def test_fetch__cut_within_the_body__is_no_answer(server, connect):
    server.drip = 0.05
    threading.Timer(0.5, server.cut_connections).start()

    with pytest.raises(ConfigError, match="cut off"):
        connect()


def test_fetch__nothing_listens__says_so():
    with pytest.raises(ConfigError, match="no copy"):
        Config("checkout", url=f"http://127.0.0.1:{free_port()}", token="x", timing=SHORT)


@pytest.mark.parametrize("url", ["config.example", "ftp://a", "http://", "http://ada:pw@a"])
def test_config__bad_url__is_refused(url):
    with pytest.raises(ValueError, match="URL"):
        Config("checkout", url=url, token="x")


@pytest.mark.parametrize("option", ["token", "instance", "unit"])
def test_config__line_break_in_a_header__is_refused_without_repeating_it(connect, option):
    with pytest.raises(ValueError, match=option) as caught:
        connect(**{option: "secret\r\nX-Other: 1"})

    assert "secret" not in str(caught.value)


def test_repr__config__has_no_token(connect):
    assert repr(connect()) == "<Config checkout version 1>"


def test_fetch__https__verifies_the_certificate(tmp_path, caplog):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        + [
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
        ]
        + ["-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    with ContractServer(tls=context) as server:
        server.publish({"x": 1})
        options = {"url": server.url, "token": server.token, "timing": SHORT}
        with pytest.raises(ConfigError, match="CERTIFICATE_VERIFY_FAILED"):
            Config("checkout", **options)
        assert Config("checkout", verify=False, **options).get("x") == 1
        assert "not verified" in caplog.text
        with Config("checkout", verify=certificate, **options) as config:
            server.wait_for("/stream")
            server.publish({"x": 2})
            wait_until(lambda: config.get("x") == 2)
            began = time.monotonic()
        assert time.monotonic() - began < 20


def wait_until(holds, within=20.0):
    ends = time.monotonic() + within
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.01)
