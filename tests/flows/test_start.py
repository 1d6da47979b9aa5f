"""Starting: what is made, what is refused and named, and that a second start changes nothing."""

import multiprocessing
import re
import resource
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from websockets.sync.client import connect

from apps.delivery.management.commands.serve import take_open_files
from configsvc.env import Env, create_keys, read_key
from tests.real_services import free_port
from tests.serving import TOP, installation

pytestmark = pytest.mark.servers
SECOND_START_SECONDS = 5
same_on_every_database = pytest.mark.servers(database=False)


@same_on_every_database
def test_server__takes_as_many_open_files_as_it_may():
    usual, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, most), most))
    try:
        assert take_open_files() == most
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, most)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (usual, most))


def test_first_and_second_start__keys_password_and_token__once(tmp_path):
    with installation(demo=True, prepared=False) as made:
        first = made.start()
        text = first.log.read_text()
        command = next(line for line in text.splitlines() if "curl" in line)
        token = command.split("Bearer ")[1].split("'")[0]
        address = command.rsplit("'", 2)[1]
        answer = httpx.get(address, headers={"Authorization": f"Bearer {token}"})
        assert answer.json()["service"] == "checkout"
        before = httpx.get(f"{first.url}/readyz").json()
        keys = {path.name: path.stat().st_mode & 0o777 for path in (made.folder / "keys").iterdir()}
        assert keys == dict.fromkeys(("signing.key", "encryption.key", "signature.key"), 384)
        for path in made.folder.glob("configsvc.sqlite3*"):
            assert path.stat().st_mode & 0o077 == 0, path.name
        first.stop()

        second = made.start()

        assert httpx.get(f"{second.url}/readyz").json() == before
        assert "csk_" not in second.log.read_text()
        assert second.running_seconds() < SECOND_START_SECONDS
        again = httpx.get(
            f"{second.url}/config/checkout?environment=production",
            headers={"Authorization": f"Bearer {token}"},
        )
        assert again.content == answer.content
        with second.client(token) as client:
            services = client.get("/services?page_size=200").json()["results"]
            environments = client.get("/environments").json()["results"]
        assert len(services) >= 8
        assert [each["services"] for each in environments] == [len(services)] * 3


def refusal(made, *options):
    return made.manage("serve", "--no-demo", "--port", str(free_port()), *options, check=False)


def assert_refused(answer, said):
    """One line on standard error tells it, and nothing else is told."""
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert answer.stderr.count("\n") == 1, answer.stderr
    assert said in answer.stderr


def test_sqlite__two_workers_or_two_servers__are_refused(tmp_path):
    with installation() as made:
        if made.is_postgres:
            return
        workers = refusal(made, "--workers", "2", "--data", str(tmp_path / "data"))
        made.start()
        second = refusal(made)

    assert (tmp_path / "data" / "keys" / "signing.key").exists()
    assert workers.returncode != 0
    assert "DATABASE_URL" in workers.stderr
    assert second.returncode != 0
    assert "Another server" in second.stderr


@same_on_every_database
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CONFIGSVC_SECRET_KEY", "changeme"),
        ("CONFIGSVC_SECRET_KEY_FALLBACKS", "changeme"),
        ("CONFIGSVC_SIGNATURE_KEY", "changeme"),
        ("CONFIGSVC_ENCRYPTION_KEY", f"{'0123456789abcdef' * 3},changeme"),
        ("CONFIGSVC_KEY_PROVIDER", "vault"),
        ("CONFIGSVC_PAGE_SIZE", "many"),
        ("CONFIGSVC_PRIVATE_TARGETS", "here"),
        ("CONFIGSVC_DATA_DIR", "/dev/null"),
        ("DATABASE_URL", "sqlite:///config.sqlite3"),
        ("DATABASE_URL", "postgres://u@h/x?colour=1"),
        ("REDIS_URL", "redis://h:port/0"),
    ],
)
def test_unsafe_variable__is_refused_by_name(variable, value):
    with installation() as made:
        made.environment[variable] = value
        answer = made.manage("check", check=False)  # the settings refuse: every command does

    assert_refused(answer, f"{variable} ")


@same_on_every_database
@pytest.mark.parametrize("name", ["signing.key", "signature.key", "encryption.key"])
def test_key_file__readable_by_others__is_refused_by_name(name):
    with installation() as made:
        (made.folder / "keys" / name).chmod(0o640)
        answer = made.manage("check", check=False)

    assert_refused(answer, f"{name} is readable by others: `chmod 600 ")


@same_on_every_database
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"changeme", "signing.key is weak"),
        (b"", "signing.key is weak"),
        (b"\xff", "signing.key cannot be read: it is not text"),
        (None, "signing.key cannot be read: Is a directory"),
    ],
)
def test_key_file__that_holds_no_key__is_refused_by_name(content, said):
    with installation() as made:
        path = made.folder / "keys" / "signing.key"
        if content is None:
            path.unlink()
            path.mkdir()
        else:
            path.write_bytes(content)
        answer = made.manage("check", check=False)

    assert_refused(answer, said)


@same_on_every_database
def test_server__that_loads_the_application_alone__is_refused_as_well():
    with installation() as made:
        made.environment["CONFIGSVC_SECRET_KEY"] = "changeme"
        answer = subprocess.run(
            [sys.executable, "-m", "uvicorn", "configsvc.asgi:application", "--port", "1"],
            cwd=TOP,
            env=made.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    assert_refused(answer, "CONFIGSVC_SECRET_KEY is weak")


@same_on_every_database
def test_key_of_secrets__weak_in_its_file__is_refused_until_another_wraps():
    with installation() as made:
        path = made.folder / "keys" / "encryption.key"
        path.write_text("changeme\n")
        answer = made.manage("worker", check=False)
        assert_refused(answer, f"The key that wraps secrets, in {path}, is weak")

        made.manage("rotate_keys", "--new-key", "--forget-unused")

        server = made.start()
        assert httpx.get(f"{server.url}/readyz").json()["sealed"] is False


@pytest.mark.servers(database=pytest.long_form)
def test_start__without_the_key_of_secrets__serves_all_but_them_until_it_is_back():
    here = "environment=production"
    body = {"service": "shop", "environment": "production"}
    with installation() as made:
        server = made.start()
        with server.client(made.raw) as client:
            assert client.post("/services", json={"slug": "shop"}).status_code == 201
            secret = {**body, "name": "pin", "value": "hello"}
            assert client.post("/secrets", json=secret).status_code == 201
        made.stop()
        key_file = made.folder / "keys" / "encryption.key"
        kept = key_file.rename(made.folder / "kept.key")

        server = made.start()

        with server.client(made.raw) as client:
            ready = client.get("/readyz")
            assert (ready.status_code, ready.json()["sealed"]) == (200, True)
            assert not key_file.exists()
            config = {"pin": {"$secret": "pin"}, "a": 1}
            published = {"environment": "production", "config": config}
            assert client.post("/config/shop", json=published).status_code == 201
            assert client.get(f"/config/shop?{here}").json()["config"] == config
            assert client.get("/secrets").json()["results"][0]["name"] == "pin"
            assert client.get("/audit").status_code == 200
            for answer in (
                client.get(f"/config/shop?{here}&reveal=true"),
                client.post(f"/secrets/shop/pin/reveal?{here}", json={}),
                client.post(f"/secrets/shop/pin/versions?{here}", json={"value": "next"}),
                client.post("/secrets", json={**body, "name": "new", "value": "hello"}),
            ):
                assert (answer.status_code, answer.json()["code"]) == (503, "sealed")

            kept.rename(key_file)
            assert client.get("/readyz").json()["sealed"] is False
            assert client.get(f"/config/shop?{here}&reveal=true").json()["config"]["pin"] == "hello"


@same_on_every_database
@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"CONFIGSVC_DEBUG": "true", "CONFIGSVC_ALLOWED_HOSTS": "config.example"},
            "CONFIGSVC_DEBUG is on with the public host config.example",
        ),
        ({"CONFIGSVC_SIGNATURE_KEY": "changeme"}, "CONFIGSVC_SIGNATURE_KEY is weak"),
        ({"CONFIGSVC_LOG_LEVEL": "LOUD"}, "CONFIGSVC_LOG_LEVEL"),
        ({"REDIS_URL": "http://h"}, "REDIS_URL is"),
        ({"CONFIGSVC_PRIVATE_TARGETS": "here"}, "CONFIGSVC_PRIVATE_TARGETS is"),
    ],
)
def test_first_start__refused_for_a_variable__has_made_nothing(variables, said):
    with installation(prepared=False) as made:
        made.environment |= variables
        answer = refusal(made)
        assert_refused(answer, said)
        assert list(made.folder.iterdir()) == []


def no_tables_in(made):
    if made.is_postgres:
        return made.tables() == []
    return not (made.folder / "configsvc.sqlite3").stat().st_size


def test_first_start__refused_for_its_options__has_shown_and_prepared_nothing():
    with installation(prepared=False) as made, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for options, said in (
            (["--port", port], f"--host 127.0.0.1 --port {port} cannot be served on: Address alr"),
            (["--port", "99999"], "--port is 1 to 65535"),
            (["--host", "203.0.113.7"], "--host 203.0.113.7 --port 8000 cannot be served on"),
            (["--host", "no.such.host.invalid"], "--host no.such.host.invalid --port 8000 cannot"),
        ):
            assert_refused(made.manage("serve", *options, check=False), f"CommandError: {said}")
        made.environment["CONFIGSVC_DEBUG"] = "true"
        assert_refused(refusal(made, "--host", "0.0.0.0"), "CONFIGSVC_DEBUG is on and")  # noqa: S104
        assert no_tables_in(made)

        made.environment["CONFIGSVC_DEBUG"] = "false"
        del made.environment["PYTHONUNBUFFERED"]
        server = made.start()

        assert server.password  # which a file has while it serves


@same_on_every_database
def test_first_start__required_sink_is_away__shows_no_password_until_it_is_back(tmp_path):
    with installation(prepared=False) as made:
        made.environment |= {
            "CONFIGSVC_AUDIT_FILE": str(tmp_path / "later" / "audit.log"),
            "CONFIGSVC_AUDIT_FILE_REQUIRED": "true",
        }
        answer = refusal(made)
        assert answer.returncode == 1
        assert "Password" not in answer.stdout
        assert "Traceback" not in answer.stderr
        assert "CommandError: The audit sink 'file' is required" in answer.stderr

        (tmp_path / "later").mkdir()

        assert made.start().password


@same_on_every_database
@pytest.mark.parametrize(
    ("url", "said"),
    [("postgres://u:canary@127.0.0.1:1/x", "refused"), ("postgres://u:canary@h:port/x", "port")],
)
def test_start__database_is_away__is_told_at_once_without_its_password(url, said):
    with installation() as made:
        made.environment["DATABASE_URL"] = url
        answer = refusal(made)

    assert_refused(answer, "DATABASE_URL: start that database, or name another")
    assert said in answer.stderr
    assert "canary" not in answer.stderr


@same_on_every_database
def test_start__file_that_is_no_database__is_told_and_left():
    with installation(prepared=False) as made:
        made.environment.pop("DATABASE_URL", None)
        path = made.folder / "configsvc.sqlite3"
        path.write_bytes(b"x" * 4096)
        answer = refusal(made)
        assert path.read_bytes() == b"x" * 4096

    assert_refused(answer, f"{path} cannot be opened")


def test_first_start__killed_in_the_demonstration__is_begun_anew():
    with installation(prepared=False) as made:
        first = subprocess.Popen(
            [sys.executable, "manage.py", "serve", "--port", "1"],
            cwd=TOP,
            env=made.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for line in first.stdout:
            if "Storefront" in line:
                break
        first.kill()
        first.communicate()

        server = made.start()

        assert server.password
        assert "csk_" in server.log.read_text()


def keys_made_in(folder, together, made):
    """As one of the processes that begin ``together`` there; ``made`` takes what it then reads."""
    together.wait()
    env = Env(data_dir=folder)
    create_keys(env)
    names = ("signing.key", "signature.key", "encryption.key")
    made.put(tuple(read_key(folder / "keys" / name) for name in names))


@same_on_every_database
def test_keys__made_by_processes_that_begin_together__are_the_same_for_all(tmp_path):
    forked = multiprocessing.get_context("fork")
    for attempt in range(20):
        together, made = forked.Barrier(4), forked.Queue()
        arguments = (tmp_path / str(attempt), together, made)
        processes = [forked.Process(target=keys_made_in, args=arguments) for _one in range(4)]
        for each in processes:
            each.start()

        assert len({made.get(timeout=30) for _one in processes}) == 1


@pytest.mark.postgresql
def test_two_nodes_started_at_once_on_an_empty_database__one_prepares_it_and_both_serve():
    with installation(prepared=False) as made:
        with ThreadPoolExecutor() as both:
            servers = list(both.map(lambda _node: made.start(), range(2)))

        shown = [each.log.read_text() for each in servers]
        assert sorted("(shown once)" in text for text in shown) == [False, True]
        assert sorted("as before" in text for text in shown) == [False, True]
        assert len({httpx.get(f"{each.url}/readyz").text for each in servers}) == 1


@pytest.mark.postgresql
def test_postgres__synchronous_commit_off__is_refused_by_name_before_there_are_tables():
    with installation(prepared=False) as made:
        made._sql(f"ALTER DATABASE {made.database} SET synchronous_commit TO off")
        answer = refusal(made)

        assert_refused(answer, "synchronous_commit")
        assert no_tables_in(made)


@same_on_every_database
def test_public_host_without_tls__is_warned_of():
    with installation() as made:
        server = made.start("--host", "0.0.0.0")  # noqa: S104
        time.sleep(0.2)
        said = server.log.read_text()
        foreign = httpx.get(f"{server.url}/services", headers={"Host": "elsewhere.example"})

        assert "without TLS" in said
        assert f"Portal    {server.url}/admin/" in said
    assert foreign.status_code == 400
    assert foreign.headers["content-type"] == "application/problem+json"


@pytest.mark.servers(database=pytest.long_form)
def test_import_configs__folder__reports_each_file_and_stores_all_or_nothing(tmp_path):
    (tmp_path / "good.yaml").write_text("a: 1\n")
    (tmp_path / "bad.json").write_text('{"a": 1, "a": 2}')
    with installation() as made:
        refused = made.manage(
            "import_configs", str(tmp_path), "--environment", "staging", check=False
        )
        (tmp_path / "bad.json").write_text('{"a": "${HOME}"}')
        done = made.manage("import_configs", str(tmp_path), "--environment", "staging")
        again = made.manage("import_configs", str(tmp_path), "--environment", "staging")

    assert refused.returncode != 0
    assert "line 1" in refused.stdout
    assert "nothing was stored" in refused.stderr
    assert "version 1" in done.stdout
    assert "written as '$${'" in done.stdout
    assert again.stdout.count("unchanged") == 2


@same_on_every_database
def test_first_start__without_the_demonstration__prints_a_line_that_works():
    with installation(prepared=False) as made:
        printed = made.start().log.read_text()
        line = re.search(r"curl -H 'Authorization: Bearer (\S+)' '(\S+)'\n", printed)

        answer = httpx.get(line.group(2), headers={"Authorization": f"Bearer {line.group(1)}"})

    assert (answer.status_code, answer.json()["results"]) == (200, [])


@same_on_every_database
def test_path_prefix__every_address__is_below_it():
    with installation(demo=True, prepared=False) as made:
        made.environment["CONFIGSVC_PATH_PREFIX"] = "/conf/"
        server = made.start()
        printed = server.log.read_text()
        line = re.search(r"curl -H 'Authorization: Bearer (\S+)' '(\S+)'\n", printed)
        headers, address = {"Authorization": f"Bearer {line.group(1)}"}, line.group(2)
        assert address == f"{server.url}/conf/config/checkout?environment=production"
        with httpx.Client(base_url=server.url, follow_redirects=True) as browser:
            form = browser.get("/conf/")
            assert form.url.path == "/conf/admin/login/"
            sheet = re.search(r'href="(/conf/static/portal/[^"]+\.css)"', form.text).group(1)
            assert browser.get(sheet).headers["content-type"].startswith("text/css")
            data = {
                "username": "admin",
                "password": server.password,
                "csrfmiddlewaretoken": browser.cookies["csrftoken"],
            }
            assert browser.post(form.url, data=data).status_code == 200
            editor = browser.get("/conf/admin/config/checkout/production/").text
            uses = browser.get("/conf/admin/config/checkout/production/use/").text

        assert f"{server.url}/conf/admin/" in printed
        assert httpx.get(address, headers=headers).json()["service"] == "checkout"
        for fact in ("validate", "config", "ws", "login", "draft"):
            assert re.search(rf'data-{fact}-url="/conf/[^"]+"', editor), fact
        assert f"{server.url}/conf/config/checkout" in uses
        page = httpx.get(f"{server.url}/conf/services?page_size=2", headers=headers).json()
        assert httpx.get(server.url + page["next"], headers=headers).status_code == 200
        slash = httpx.get(f"{server.url}/conf/config/checkout/", headers=headers)
        assert slash.headers["location"] == "/conf/config/checkout"
        stream = f"{server.url}/conf/stream?service=checkout&environment=production"
        with httpx.stream("GET", stream, headers=headers, timeout=20) as answer:
            assert "event: ready" in next(answer.iter_text())
        with connect(
            f"ws://127.0.0.1:{server.port}/conf/ws/config", additional_headers=headers
        ) as socket:
            socket.send('{"type":"ping"}')
            assert socket.recv(timeout=20) == '{"type":"pong"}'
        # a proxy may take the prefix away before it passes a request on
        assert httpx.get(f"{server.url}/config/checkout", headers=headers).status_code == 200
