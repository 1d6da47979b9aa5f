"""No secret is in the database, caches, logs, pages, frames or errors; and leaks are found."""

import contextlib
import re
import threading
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests import canaries
from tests.serving import installation

pytestmark = pytest.mark.servers

WHERE = "environment=production"


def log_segment(made):
    """The name of the file that PostgreSQL's log is at."""
    if not made.is_postgres:
        return ""
    import psycopg

    with psycopg.connect(made.environment["DATABASE_URL"]) as connection:
        said = connection.execute("SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
        return said.fetchone()[0]


def database(made, since):
    """The database's own files, and everything that a dump of it says.

    Of PostgreSQL's log, which all databases of the server share, the files from ``since`` on.
    """
    if not made.is_postgres:
        for path in made.folder.glob("configsvc.sqlite3*"):
            yield f"file {path.name}", path.read_bytes()
        return
    import psycopg

    with psycopg.connect(made.environment["DATABASE_URL"]) as connection:
        connection.execute("CHECKPOINT")
        names = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
        for (name,) in names:
            with connection.cursor().copy(f'COPY "{name}" TO STDOUT') as copy:
                yield f"table {name}", b"".join(bytes(each) for each in copy)
        folder, own = connection.execute(
            "SELECT current_setting('data_directory'), oid::text"
            " FROM pg_database WHERE datname = current_database()"
        ).fetchone()
    until = log_segment(made)  # later ones are old ones, renamed to be used again
    log = [each for each in Path(folder, "pg_wal").iterdir() if since <= each.name <= until]
    for path in (*Path(folder, "base", own).iterdir(), *log):
        if path.is_file():
            with contextlib.suppress(FileNotFoundError):  # a segment that was recycled meanwhile
                yield f"file {path.name}", path.read_bytes()


def redis(made):
    url = made.environment.get("REDIS_URL")
    if not url:
        return
    import redis

    client = redis.Redis.from_url(url)
    for key in client.scan_iter():
        kind = client.type(key)
        value = client.dump(key) if kind != b"string" else client.get(key)
        yield f"redis {key!r}", key + (value or b"")


def logs(made):
    for path in made.folder.glob("*.log"):
        yield f"log {path.name}", path.read_bytes()


class Recorder:
    """An HTTP client that keeps every answer, headers and body."""

    def __init__(self, client):
        self.client, self.answers = client, []

    def __call__(self, method, path, keep=True, **options):
        answer = self.client.request(method, path, **options)
        if keep:
            head = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
            self.answers.append((f"{method} {path}", head.encode() + b"\n\n" + answer.content))
        return answer


def names_of(values):
    return [f"canary-{number}" for number in range(len(values))]


def use(api, values, heard):
    """Create, name, publish, rotate, reveal and delete the canaries, and get a lot of it wrong."""
    fresh = canaries.make(len(values))
    for name, value in zip(names_of(values), values, strict=True):
        made = {"service": "shop", "environment": "production", "name": name, "value": value}
        assert api("POST", "/secrets", json=made).status_code == 201
        assert api("POST", "/secrets", json=made).status_code == 422
        assert api("POST", "/secrets", json=made | {"name": f"-{value}"}).status_code == 422
        assert api("POST", "/secrets", json=made | {"value": {"x": [value]}}).status_code == 422
        assert api("POST", "/secrets", json=made | {"what": value}).status_code == 400
        assert api("POST", "/secrets", content=f"{{{value!r}").status_code == 400
    document = {name: {"$secret": name} for name in names_of(values)}
    document["text"] = "".join(f"x${{secret:{name}}}" for name in names_of(values))
    body = {"environment": "production", "config": document}
    assert api("POST", "/config/shop", json=body).status_code == 201
    for name, value in zip(names_of(values), fresh, strict=True):
        address = f"/secrets/shop/{name}"
        assert api("POST", f"{address}/versions?{WHERE}", json={"value": value}).status_code == 201
        revealed = api("POST", f"{address}/reveal?{WHERE}", json={}, keep=False)
        assert revealed.json()["value"] == value
        assert revealed.headers["cache-control"] == "no-store"
        api("GET", f"{address}?{WHERE}")
        api("GET", f"{address}/versions?{WHERE}")
    for suffix in ("", ".yaml", ".json", ".toml", ".xml", ".env", ".properties"):
        api("GET", f"/config/shop{suffix}?{WHERE}")
    shown = api("GET", f"/config/shop?{WHERE}&reveal=true", keep=False)
    assert shown.json()["config"][names_of(values)[0]] == fresh[0]
    heard.append(("headers of a revealed answer", str(shown.headers).encode()))
    for path in (f"/config/shop/history?{WHERE}", f"/config/shop/versions/1?{WHERE}", "/audit"):
        api("GET", path)
    api("POST", "/validate", json=body | {"service": "shop"})
    api("DELETE", f"/secrets/shop/canary-0?{WHERE}")
    return fresh


def listen(server, token, heard, ready):
    """Everything that a stream says."""
    headers = {"Authorization": f"Bearer {token}"}
    address = f"{server.url}/stream?service=shop&{WHERE}&include=config"
    with (
        httpx.Client(timeout=5) as client,
        client.stream("GET", address, headers=headers) as stream,
    ):
        ready.set()
        try:
            for chunk in stream.iter_bytes():
                heard.append(("frame", chunk))
        except httpx.HTTPError:
            return


def pages(made):
    """The portal's pages as the administrator sees them."""
    url = made.servers[0].url
    with httpx.Client(base_url=url, follow_redirects=True, timeout=30) as browser:
        form = browser.get("/admin/login/")
        field = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form.text).group(1)
        login = {"username": "admin", "password": made.password, "csrfmiddlewaretoken": field}
        browser.post("/admin/login/", data=login, headers={"Referer": str(form.url)})
        found = []
        place = "/admin/config/shop/production/"
        for path in ("/admin/", place, f"{place}history/", f"{place}diff/", "/admin/ledger/"):
            answer = browser.get(path)
            assert answer.status_code == 200, path
            found.append((f"page {path}", answer.content))
        return found


def test_secrets__through_all_the_product__are_found_nowhere():
    values = canaries.make(200 if pytest.long_form else 12)
    with installation() as made:
        made.environment["CONFIGSVC_LOG_LEVEL"] = "DEBUG"
        since = log_segment(made)
        server = made.start()
        token = made.raw
        heard, ready = [], threading.Event()
        with server.client(token) as client:
            api = Recorder(client)
            assert api("POST", "/services", json={"slug": "shop"}).status_code == 201
            listener = threading.Thread(target=listen, args=(server, token, heard, ready))
            listener.start()
            ready.wait(10)
            fresh = use(api, values, heard)
        places = [*api.answers, *pages(made)]
        exported = made.manage("audit", "verify", check=False)
        places.append(("command", (exported.stdout + exported.stderr).encode()))
        server.stop()
        listener.join(20)
        places += [*heard, *database(made, since), *logs(made), *redis(made)]

        assert canaries.search(places, [*values, *fresh]) == []
        assert any(place.startswith("frame") for place, _content in places)
        assert sum(len(content) for _place, content in places) > 500_000


@pytest.mark.parametrize("kind", range(4))
def test_search__leak_in_any_form__is_found(kind):
    value = canaries.make(4)[kind]
    for name, form in canaries.forms(value).items():
        found = canaries.search([("somewhere", b"before " + form + b" after")], ["other", value])

        assert ("somewhere", 1, name) in found


def test_search__leak_planted_in_each_place__is_found():
    value, other = canaries.make(2)
    with installation() as made:
        since = log_segment(made)
        server = made.start()
        token = made.raw
        with server.client(token) as client:
            client.post("/services", json={"slug": "shop"})
            body = {"environment": "production", "config": {"leak": value}, "message": other}
            assert client.post("/config/shop", json=body).status_code == 201
            answer = client.get(f"/config/shop?{WHERE}")
            assert canaries.search([("answer", answer.content)], [value])
        assert {number for _place, number, _form in canaries.search(pages(made), [value, other])}
        server.stop()
        with server.log.open("a") as log:
            log.write(f"oops {value}\n")

        assert {
            number
            for _place, number, _form in canaries.search(database(made, since), [value, other])
        }
        assert canaries.search(logs(made), [value])
        if made.is_postgres:
            import redis as library

            host = urlsplit(made.environment["REDIS_URL"])
            client = library.Redis(host=host.hostname, port=host.port)
            client.set("configsvc:leak", value)
            found = canaries.search(redis(made), [value])
            client.delete("configsvc:leak")
            assert found
