"""The Python client against a real server: values, changes, resume, the copy on disk."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from tests.real_services import free_port
from tests.serving import TOP, installation, until

sys.path.insert(0, str(TOP / "deploy" / "agent"))

from configsvc_client import Config, ConfigError

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def served():
    with installation() as made:
        made.start()
        with made.servers[0].client(made.raw) as client:
            client.post("/services", json={"slug": "checkout"})
        publish(made, {"settings": {"timeout": 1, "hosts": ["a", "b"], "a.b": 0.5}})
        yield made


def publish(made, document):
    body = {"environment": "production", "config": document, "on_stale": "overwrite"}
    with made.servers[-1].client(made.raw) as client:
        assert client.post("/config/checkout", json=body).status_code in (200, 201)


def connect(made, **options):
    url = made.servers[-1].url
    return Config("checkout", environment="production", url=url, token=made.raw, **options)


def test_get__paths_of_all_kinds__give_values_with_their_types(served):
    publish(served, {"settings": {"timeout": 1, "hosts": ["a", "b"], "a.b": 0.5}})
    config = connect(served)

    assert config.get("settings.timeout") == 1
    assert config.get("settings.hosts[1]") == "b"
    assert config.get('settings["a.b"]') == 0.5
    assert config.get("settings.nope", "default") == "default"


def test_on_change__publish__calls_back_with_the_new_value(served):
    publish(served, {"settings": {"timeout": 1}})
    with connect(served) as config:
        heard, others = threading.Event(), []
        config.on_change(lambda _config: heard.set(), "settings.timeout")
        config.on_change(others.append, "settings.unrelated")
        time.sleep(0.5)

        publish(served, {"settings": {"timeout": 2}})

        assert heard.wait(20)
        assert config.get("settings.timeout") == 2
        assert others == []


def test_on_change__server_restarted_on_its_port__goes_on(served):
    publish(served, {"settings": {"timeout": 10}})
    with connect(served) as config:
        config.start()
        time.sleep(0.5)
        port = served.servers[-1].port
        served.servers[-1].kill()
        served.start(port=port)

        publish(served, {"settings": {"timeout": 11}})

        until(lambda: config.get("settings.timeout") == 11)  # pauses grow to half a minute


def test_start__server_away__uses_the_last_good_copy(served, tmp_path):
    publish(served, {"settings": {"timeout": 20}})
    connect(served, cache_dir=tmp_path)
    away = f"http://127.0.0.1:{free_port()}"

    kept = Config("checkout", environment="production", url=away, token="x", cache_dir=tmp_path)

    assert (kept.get("settings.timeout"), kept.stale) == (20, True)
    assert next(tmp_path.iterdir()).stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError):
        Config("checkout", environment="production", url=away, token="x")


def test_start__wrong_token__says_so(served):
    with pytest.raises(ConfigError) as caught:
        Config("checkout", environment="production", url=served.servers[-1].url, token="csk_no")

    assert caught.value.status == 401


def test_validate__asks_everything_that_publishing_would(served, tmp_path):
    with served.servers[-1].client(served.raw) as client:
        rule = {"name": "most", "service": "checkout", "expression": "config.settings.timeout < 9"}
        client.post("/rules", json={**rule, "acknowledge": True})
    document = tmp_path / "checkout.yaml"
    document.write_text("settings:\n  timeout: 10\n")
    command = [sys.executable, "-m", "configsvc_client", "validate", str(document)]
    asked = subprocess.run(
        [*command, "--environment", "production", "--url", served.servers[-1].url],
        cwd=TOP / "deploy" / "agent",
        env={"CONFIGSVC_TOKEN": served.raw},
        capture_output=True,
        text=True,
        check=False,
    )
    with served.servers[-1].client(served.raw) as client:
        client.delete("/rules/most")

    assert asked.returncode == 1, asked.stderr
    assert f"{document}:2:3: error: Rule 'most': It does not hold. (rule)" in asked.stdout


def test_example_service__publish__changes_its_answer_without_a_restart(served):
    publish(served, {"settings": {"timeout": 100}})
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, str(Path("deploy/agent/example_service.py"))],
        cwd=TOP,
        env={
            "CONFIGSVC_URL": served.servers[-1].url,
            "CONFIGSVC_TOKEN": served.raw,
            "PORT": str(port),
        },
        stdout=subprocess.PIPE,
    )
    try:
        process.stdout.readline()
        time.sleep(0.5)
        before = httpx.get(f"http://127.0.0.1:{port}").text
        publish(served, {"settings": {"timeout": 200}})
        until(lambda: "timeout 200 ms" in httpx.get(f"http://127.0.0.1:{port}").text)
    finally:
        process.terminate()
        process.wait(10)

    assert "timeout 100 ms" in before
