"""Reading what is hot, beside others: ``python -m tests.benchmarks.reading``.

One configuration of 1.9 KB is fetched over and over: from this project (one server process), from nginx
as a file of the same bytes, from etcd by its v2 GET and its v3 JSON gateway, and from Redis by webdis, a small
HTTP server before it, each where it is installed (Debian: ``nginx-light``, ``etcd-server``, ``webdis``, ``wrk``). All servers run on one core, the load
generator on another: ``wrk`` with 64 connections, or without it a client in Python, which is slower
than the servers, so that ratios come near to 1. Each is asked in turn, in several rounds, and ratios are
within a round: of requests a second, and of requests for each second that the server ran on its core, which
is the same on a machine with nothing else to do, and holds on one that is shared. They come first;
``--json FILE`` says where all of it is written.
"""

import argparse
import asyncio
import base64
import contextlib
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass, field, fields
from pathlib import Path

import httpx
from redis import Redis, RedisError
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from tests.real_services import find_redis, free_port
from tests.serving import Installation, shared_folder

CONNECTIONS = 64
KEYS = 40
NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; open_file_cache {held}; default_type application/json;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  keepalive_requests 100000000;
  server {{ listen 127.0.0.1:{port} backlog=512; root {folder}/files; }}
}}
"""


@dataclass
class Question:
    """What is asked of whom, and by what name it stands in the table."""

    name: str
    url: str
    headers: dict = field(default_factory=dict)
    body: str = ""
    status: int = 200
    pids: tuple = ()


@dataclass
class Found:
    """Requests a second, the same for a second of the server's time on a core, and a latency."""

    per_second: float
    per_core_second: float
    p99_ms: float


def by_wrk(question, seconds, folder):
    """The number of requests, a second and in all, and the 99th percentile in ms, by ``wrk``."""
    script = Path(folder) / "ask.lua"
    method = "POST" if question.body else "GET"
    body = json.dumps(question.body) if question.body else "nil"
    script.write_text(f"wrk.method = '{method}'\nwrk.body = {body}\n")
    command = [
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{max(round(seconds), 1)}s",
        "--latency",
        "--timeout",
        "30s",
        "-s",
        str(script),
    ]
    for name, value in question.headers.items():
        command += ["-H", f"{name}: {value}"]
    said = subprocess.run(
        [*command, question.url], capture_output=True, text=True, check=True
    ).stdout
    assert not re.search("Non-2xx|Socket errors", said), (question, said)
    rate = float(re.search(r"Requests/sec:\s+([0-9.]+)", said).group(1))
    count = int(re.search(r"([0-9]+) requests in", said).group(1))
    number, unit = re.search(r"99%\s+([0-9.]+)(us|ms|s)", said).groups()
    return rate, count, float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def by_python(question, seconds, _folder):
    """The same by a client in Python, 8 connections."""
    url = httpx.URL(question.url)
    method = "POST" if question.body else "GET"
    lines = [f"{method} {url.raw_path.decode()} HTTP/1.1", f"Host: {url.host}:{url.port}"]
    lines += [f"{name}: {value}" for name, value in question.headers.items()]
    lines += [f"Content-Length: {len(question.body)}"] if question.body else []
    request = ("\r\n".join(lines) + "\r\n\r\n" + question.body).encode()
    took = []

    async def ask(ends):
        reader, writer = await asyncio.open_connection(url.host, url.port)
        while (began := time.perf_counter()) < ends:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert head.startswith(f"http/1.1 {question.status}".encode()), head
            found = re.search(rb"content-length: (\d+)", head)
            if found and question.status == 200:
                await reader.readexactly(int(found.group(1)))
            took.append(time.perf_counter() - began)
        writer.close()

    async def ask_all():
        ends = time.perf_counter() + seconds
        await asyncio.gather(*(ask(ends) for _ in range(8)))

    began = time.perf_counter()
    asyncio.run(ask_all())
    rate = len(took) / (time.perf_counter() - began)
    return rate, len(took), statistics.quantiles(took, n=100)[98] * 1000


def cpu_seconds(pid):
    """How long a process has run on a core."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def ran(question):
    """How long all that answer it have run on a core."""
    return sum(map(cpu_seconds, question.pids))


def asked(ask, question, seconds, folder):
    """What one round has found."""
    before = ran(question)
    rate, count, p99 = ask(question, seconds, folder)
    return Found(rate, count / max(ran(question) - before, 0.01), p99)


@contextlib.contextmanager
def running(command, url, **options):
    """A server process, once ``url`` answers."""
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options
    ) as one:
        try:
            ends = time.monotonic() + 60
            while True:
                with contextlib.suppress(httpx.TransportError):
                    httpx.get(url)
                    break
                assert one.poll() is None, command
                assert time.monotonic() < ends, command
                time.sleep(0.1)
            yield one.pid
        finally:
            one.terminate()


@contextlib.contextmanager
def ours(folder):
    """This project's questions, with the bytes that it answers."""
    installation = Installation(Path(folder) / "data")
    try:
        server = installation.start()
        document = {f"setting_{n}": f"the value of setting number {n}" for n in range(KEYS)}
        with httpx.Client(
            base_url=server.url, headers={"Authorization": f"Bearer {installation.raw}"}
        ) as api:
            here = {"environment": "production"}
            sealed = {"$secret": "one"}, "${secret:two}"
            hidden = {**document, **dict(zip(list(document)[:2], sealed, strict=True))}
            for path, sent in (
                ("/services", {"slug": "shop"}),
                ("/services", {"slug": "vault"}),
                ("/config/shop", {**here, "config": document}),
                *(
                    ("/secrets", {**here, "service": "vault", "name": name, "value": name * 9})
                    for name in ("one", "two")
                ),
                ("/config/vault", {**here, "config": hidden}),
            ):
                answer = api.post(path, json=sent)
                assert answer.status_code == 201, answer.text
        reader = installation.token("consumer:shop", "app")
        headers = {"Authorization": f"Bearer {reader}"}
        address = f"{server.url}/config/shop"
        plain = httpx.get(address, headers={**headers, "Accept-Encoding": "identity"})
        assert plain.status_code == 200, plain.text
        known = {**headers, "If-None-Match": plain.headers["etag"]}
        pid = server.process.pid
        packed = {**headers, "Accept-Encoding": "gzip"}
        opening = {"Authorization": f"Bearer {installation.raw}"}
        revealed = f"{server.url}/config/vault?reveal=true"
        httpx.get(revealed, headers=opening).raise_for_status()  # the first disclosure is an act
        yield (
            plain.content,
            [
                Question("GET", address, headers, pids=(pid,)),
                Question("304", address, known, status=304, pids=(pid,)),
                Question("GET, gzip", address, packed, pids=(pid,)),
                Question("GET, two secrets revealed", revealed, opening, pids=(pid,)),
                Question("GET by Django's view", f"{address}?through=django", headers, pids=(pid,)),
            ],
        )
    finally:
        installation.close()


@contextlib.contextmanager
def files(folder, bodies, held="max=10"):
    """nginx with a file for each of ``bodies``, by its name; its address and process. ``held``: the setting
    ``open_file_cache``.
    """
    home, port = Path(folder) / "nginx", free_port()
    (home / "files").mkdir(parents=True)
    for name, body in bodies.items():
        (home / "files" / name).write_bytes(body)
    for each in (Path(folder), home, home / "files"):
        each.chmod(0o755)
    settings = home / "nginx.conf"
    settings.write_text(NGINX.format(folder=home, port=port, held=held))
    address = f"http://127.0.0.1:{port}"
    with running(["nginx", "-p", str(home), "-c", str(settings)], address) as pid:
        yield address, pid


@contextlib.contextmanager
def nginx(folder, body):
    """The same bytes as a file."""
    with files(folder, {"shop.json": body}) as (server, pid):
        address = f"{server}/shop.json"
        known = {"If-None-Match": httpx.get(address).headers["etag"]}
        yield [
            Question("nginx static", address, pids=(pid,)),
            Question("nginx static, 304", address, known, status=304, pids=(pid,)),
        ]


@contextlib.contextmanager
def etcd(folder, body):
    """The same bytes as the value of a key."""
    url, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    command = ["etcd", "--data-dir", str(Path(folder) / "etcd"), "--enable-v2=true"]
    command += ["--listen-client-urls", url, "--advertise-client-urls", url]
    command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
    command += ["--initial-cluster", f"default={peer}", "--log-level", "error"]
    with running(command, f"{url}/version", env={**os.environ, "GOMAXPROCS": "1"}) as pid:
        key = base64.b64encode(b"shop").decode()
        put = {"key": key, "value": base64.b64encode(body).decode()}
        httpx.put(f"{url}/v2/keys/shop", data={"value": body.decode()}).raise_for_status()
        httpx.post(f"{url}/v3/kv/put", json=put).raise_for_status()
        yield [
            Question("etcd v2 GET", f"{url}/v2/keys/shop", pids=(pid,)),
            Question(
                "etcd v3 gateway", f"{url}/v3/kv/range", body=json.dumps({"key": key}), pids=(pid,)
            ),
        ]


@contextlib.contextmanager
def webdis(folder, body):
    """The same bytes as the value of a key in Redis, by HTTP."""
    port, store_port = free_port(), free_port()
    store = [find_redis(), "--port", str(store_port), "--save", "", "--dir", str(folder)]
    with subprocess.Popen([*store, "--bind", "127.0.0.1"], stdout=subprocess.DEVNULL) as redis:
        try:
            retry = Retry(ConstantBackoff(0.1), 100)
            with Redis(port=store_port, retry=retry, retry_on_error=[RedisError]) as client:
                client.set("shop", body)
            settings = Path(folder) / "webdis.json"
            where = {"http_host": "127.0.0.1", "http_port": port, "redis_port": store_port}
            logs = {"logfile": f"{folder}/webdis.log", "daemonize": False, "threads": 1}
            settings.write_text(json.dumps(where | logs | {"redis_host": "127.0.0.1"}))
            address = f"http://127.0.0.1:{port}/GET/shop.txt"
            with running(["webdis", str(settings)], address) as pid:
                assert httpx.get(address).content == body
                yield [Question("Redis by webdis", address, pids=(pid, redis.pid))]
        finally:
            redis.terminate()


PEERS = {"nginx": nginx, "etcd": etcd, "webdis": webdis}
RATIOS = [
    ("GET", "nginx static", 0.5),
    ("GET", "etcd v2 GET", 1.2),
    ("GET", "etcd v3 gateway", 4),
    ("GET", "Redis by webdis", None),
    ("304", "GET", 1),
    ("304", "nginx static, 304", None),
    ("GET, gzip", "GET", None),
    ("GET, two secrets revealed", "GET", 0.4),
    ("GET", "GET by Django's view", None),
]
"""Of what to what, and what it must reach."""


def versions(names):
    """What the machine is, and the versions of what runs."""
    asked = {
        "nginx": ["nginx", "-v"],
        "etcd": ["etcd", "--version"],
        "webdis": ["dpkg-query", "-W", "webdis"],
        "wrk": ["wrk", "-v"],
    }
    found = {"python": platform.python_version(), "machine": platform.platform()}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            found["processor"] = line.partition(":")[2].strip()
    found["runnable"] = Path("/proc/loadavg").read_text().split()[3].partition("/")[0]
    for name in filter(shutil.which, names):
        said = subprocess.run(asked[name], capture_output=True, text=True, check=False)
        found[name] = (said.stdout + said.stderr).splitlines()[0]
    return found


def measure(seconds, rounds, alone):
    """All questions in turn, ``rounds`` times: by name the rates and 99th percentiles."""
    cores = sorted(os.sched_getaffinity(0))
    peers = {} if alone else {name: one for name, one in PEERS.items() if shutil.which(name)}
    ask, tool = (by_wrk, "wrk") if shutil.which("wrk") and not alone else (by_python, "")
    with contextlib.ExitStack() as stack:
        stack.enter_context(shared_folder())
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="reading-"))
        os.sched_setaffinity(0, {cores[0]})  # what is started from here on stays there
        body, questions = stack.enter_context(ours(folder))
        for peer in peers.values():
            questions += stack.enter_context(peer(folder, body))
        os.sched_setaffinity(0, {cores[-1]})
        rates = {each.name: [] for each in questions}
        for each in questions:
            ask(each, min(seconds, 1), folder)  # warm
        for _round in range(rounds):
            for each in questions:
                rates[each.name].append(asked(ask, each, seconds, folder))
        os.sched_setaffinity(0, set(cores))
        told = versions([*peers, *([tool] if tool else [])])
    return rates, {"bytes": len(body), "generator": tool or "python", **told}


def summary(rates):
    """The ratios within rounds, and the rates: medians."""
    ratios = []
    for one, other, goal in RATIOS:
        if one in rates and other in rates:
            ratio = {"of": one, "to": other, "goal": goal}
            for name in ("per_core_second", "per_second"):
                rounds = [
                    getattr(mine, name) / max(getattr(theirs, name), 1)
                    for mine, theirs in zip(rates[one], rates[other], strict=True)
                ]
                ratio[name] = round(statistics.median(rounds), 3)
                ratio[f"{name}_range"] = [round(min(rounds), 3), round(max(rounds), 3)]
            ratios.append(ratio)
    table = {
        name: {
            each.name: round(statistics.median(getattr(one, each.name) for one in found), 2)
            for each in fields(Found)
        }
        for name, found in rates.items()
    }
    return {"ratios": ratios, "rates": table}


def show(found):
    """The table, ratios first."""
    print("| of | to | for a second on the core | a second | must reach |\n|---|---|---|---|---|")
    for each in found["ratios"]:
        told = [
            f"{each[name]:.2f} ({each[f'{name}_range'][0]:.2f} to {each[f'{name}_range'][1]:.2f})"
            for name in ("per_core_second", "per_second")
        ]
        print(f"| {each['of']} | {each['to']} | {' | '.join(told)} | {each['goal'] or ''} |")
    print("\n| | for a second on the core | a second | p99, ms |\n|---|---|---|---|")
    for name, each in found["rates"].items():
        rates = f"{each['per_core_second']:.0f} | {each['per_second']:.0f}"
        print(f"| {name} | {rates} | {each['p99_ms']} |")
    print("\n" + ", ".join(f"{name}: {text}" for name, text in found["with"].items()))


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--alone", action="store_true", help="without peers and wrk")
    parser.add_argument("--json", default=str(Path(tempfile.gettempdir()) / "reading.json"))
    options = parser.parse_args(arguments)
    rates, told = measure(options.seconds, options.rounds, options.alone)
    found = {**summary(rates), "with": told}
    Path(options.json).write_text(json.dumps(found, indent=1) + "\n")
    show(found)


if __name__ == "__main__":
    main()
