"""Everything that a server says, writes and keeps, as pairs of a place and its bytes.

The first word of a place says which kind it is of.
"""

import contextlib
import io
import json
import re
import sqlite3
import tempfile
import threading
import zipfile
from pathlib import Path

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

WHERE = "environment=production"
PLACE = "/admin/config/shop/production/"
FLAGS = "/services/shop/ofrep/v1/evaluate/flags"
FETCHES = (
    *(
        f"/config/shop{end}?{WHERE}"
        for end in ("", ".yaml", ".toml", ".xml", ".env", ".properties")
    ),
    *(f"/config/shop/{what}?{WHERE}" for what in ("history", "versions/1", "explain", "graph")),
    f"/config/shop?{WHERE}&view=source",
    f"/config/shop/diff?{WHERE}&from=1",
    f"/config?service=shop&{WHERE}",
    "/config/shop/across",
    "/matrix",
    "/secrets?page_size=200",
    "/audit?page_size=200",
    "/audit/export?format=csv",
)
GRAPH = """{ configuration(service: "shop", environment: "production") {
  live { config source { content } lock file(format: "yaml") message }
  history { edges { node { message whole { config } } } } diff(from: "1") { patch unified } explain { key }
  secrets(first: 10) { edges { node { name rotationStatus { error } users { hidden } } } } }
  audit(first: 50) { edges { node { action target data } } } }"""
PAGES = (
    "/admin/",
    PLACE,
    *(f"{PLACE}{each}/" for each in ("history", "diff", "secrets", "use")),
    "/admin/ledger/",
    "/admin/jobs/",
)


class Recorder:
    """An HTTP client that keeps every answer, headers and body, as ``kind``."""

    def __init__(self, client, kind, heard):
        self.client, self.kind, self.heard = client, kind, heard

    def __call__(self, method, path, keep=True, **options):
        answer = self.client.request(method, path, **options)
        head = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        content = b"" if not keep else answer.content
        self.heard.append((f"{self.kind} {method} {path}", head.encode() + b"\n\n" + content))
        return answer


def fetch(api, heard):
    """What REST, an export, GraphQL and OFREP answer of the configuration."""
    for path in FETCHES:
        api("GET", path)
    exported = api("GET", "/export")
    assert exported.status_code == 200, exported.text
    heard += [(f"export {name}", content) for name, content in unpacked(exported.content)]
    for kind, path, body in (
        ("graphql", "/graphql", {"query": GRAPH}),
        ("ofrep", f"{FLAGS}?{WHERE}", {"context": {"targetingKey": "one"}}),
    ):
        answer = Recorder(api.client, kind, heard)("POST", path, json=body)
        assert answer.status_code == 200, answer.text
        assert "errors" not in answer.json(), answer.text


def unpacked(archive):
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        for name in opened.namelist():
            yield name, opened.read(name)


class Listeners:
    """Everything that open streams say, from the beginning of ``with`` until the server stops."""

    def __init__(self, server, token, heard):
        self.server, self.heard = server, heard
        self.headers = {"Authorization": f"Bearer {token}"}
        with server.client(token) as client:
            answer = client.post(f"{FLAGS}?{WHERE}", json={})
        self.events = answer.json()["eventStreams"][0]["url"]

    def __enter__(self):
        stream = f"{self.server.url}/stream?service=shop&{WHERE}&include=config"
        self.threads = [
            self._start(self._hear, "stream", stream),
            self._start(self._hear, "events", self.events),
            self._start(self._hear_socket),
        ]
        return self

    def __exit__(self, *_error):
        self.server.stop()
        for thread in self.threads:
            thread.join(20)

    @staticmethod
    def _start(run, *arguments):
        ready = threading.Event()
        thread = threading.Thread(target=run, args=(ready, *arguments), daemon=True)
        thread.start()
        assert ready.wait(20)
        return thread

    def _hear(self, ready, kind, address):
        with (
            contextlib.suppress(httpx.HTTPError),
            httpx.Client(timeout=60) as client,
            client.stream("GET", address, headers=self.headers) as stream,
        ):
            for chunk in stream.iter_bytes():
                ready.set()
                self.heard.append((f"{kind} frame", chunk))

    def _hear_socket(self, ready):
        address = f"{self.server.url.replace('http', 'ws', 1)}/ws/config"
        asked = {"type": "subscribe", "service": "shop", "environment": "production"}
        with connect(address, additional_headers=self.headers, max_size=None) as socket:
            socket.send(json.dumps({**asked, "include": "config"}))
            with contextlib.suppress(ConnectionClosed):
                for text in socket:
                    ready.set()
                    self.heard.append(("websocket frame", text.encode()))


class Browser:
    """An administrator on the portal's pages; ``page`` keeps what they say."""

    def __init__(self, made, heard):
        self.client = httpx.Client(base_url=made.servers[0].url, follow_redirects=True, timeout=60)
        self.page = Recorder(self.client, "page", heard)
        form = self.page("GET", "/admin/login/")
        self.token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form.text).group(1)
        assert (
            self.post("/admin/login/", username="admin", password=made.password).status_code == 200
        )

    def post(self, path, keep=True, **form):
        url = str(self.client.base_url.join(path))
        token = self.client.cookies.get("csrftoken", self.token)
        return self.page(
            "POST",
            path,
            keep,
            data={**form, "csrfmiddlewaretoken": token},
            headers={"Referer": url},
        )

    def look(self):
        for path in PAGES:
            assert self.page("GET", path).status_code == 200, path


def commands(made):
    """What commands print, and the files that an export writes."""
    verified = made.run("audit", "verify", check=False)
    yield "command audit", (verified.stdout + verified.stderr).encode()
    with tempfile.TemporaryDirectory(prefix="configsvc-exported-") as folder:
        exported = made.run("export_configs", folder)
        yield "command export", (exported.stdout + exported.stderr).encode()
        for path in (each for each in Path(folder).rglob("*") if each.is_file()):
            yield f"command {path.name}", path.read_bytes()


def files(made):
    """The whole data folder: the database and its journals, logs, the file of the ledger's sink."""
    for path in made.folder.rglob("*"):
        if path.is_file():
            kind = path.suffix.removeprefix(".") if path.suffix in (".log", ".sink") else "file"
            yield f"{kind} {path.name}", path.read_bytes()


def archives(made):
    """Each backup as it is kept, ``sealed``, and the stream of all rows that its key opens."""
    from apps.backups.reading import context_of, read_archive_header
    from apps.engine.archives import read_lines
    from apps.vault.providers import LocalKeys

    made.run("backup", "create")
    keys = LocalKeys(path=made.folder / "keys" / "encryption.key")
    for path in (made.folder / "backups").glob("*.configsvc"):
        yield f"sealed {path.name}", path.read_bytes()
        with path.open("rb") as file:
            header, line = read_archive_header(file)
            wrapped = bytes.fromhex(header.wrapped)
            key = keys.unwrap(header.key_id, wrapped, context_of(header.id))
            yield f"archive {path.name}", "\n".join(read_lines(file, line, key)).encode()


def log_segment(made):
    """The name of the file that PostgreSQL's log is at."""
    if not made.is_postgres:
        return ""
    import psycopg

    with psycopg.connect(made.environment["DATABASE_URL"]) as connection:
        said = connection.execute("SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
        return said.fetchone()[0]


def database(made, since):
    """Everything that a dump of it says, and on PostgreSQL its files and write-ahead log: of that,
    which all databases of the server share, the files from ``since`` on.
    """
    if not made.is_postgres:
        with contextlib.closing(sqlite3.connect(made.folder / "configsvc.sqlite3")) as connection:
            yield "dump", "\n".join(connection.iterdump()).encode()
        return
    import psycopg

    with psycopg.connect(made.environment["DATABASE_URL"]) as connection:
        connection.execute("CHECKPOINT")
        names = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
        for (name,) in names:
            with connection.cursor().copy(f'COPY "{name}" TO STDOUT') as copy:
                yield f"dump {name}", b"".join(bytes(each) for each in copy)
        folder, own = connection.execute(
            "SELECT current_setting('data_directory'), oid::text"
            " FROM pg_database WHERE datname = current_database()"
        ).fetchone()
    until = log_segment(made)  # later ones are old ones, renamed to be used again
    wal = [each for each in Path(folder, "pg_wal").iterdir() if since <= each.name <= until]
    for kind, inside in (("base", Path(folder, "base", own).iterdir()), ("wal", wal)):
        for path in (each for each in inside if each.is_file()):
            with contextlib.suppress(FileNotFoundError):  # a segment that was recycled meanwhile
                yield f"{kind} {path.name}", path.read_bytes()


def plant_in_redis(made, value):
    """Where there is one."""
    url = made.environment.get("REDIS_URL")
    if url:
        import redis

        redis.Redis.from_url(url).set("left-behind", value)


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
