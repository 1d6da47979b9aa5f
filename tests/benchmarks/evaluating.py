"""Flags over OFREP: ``python -m tests.benchmarks.evaluating``.

One server process on one core, the client on another. The peer, in the same run and on the same core,
is the least that could answer: an application on the same web server that reads the body and sends
as many fixed bytes. Ratios come first: flags or requests per second, ours to the peer's.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.real_services import free_port
from tests.serving import Installation, shared_folder

FLAGS = 50
SECONDS = float(os.environ.get("BENCHMARK_SECONDS", "5"))
CONNECTIONS = 8
PEER = """
import sys, uvicorn
BODY = b"x" * int(sys.argv[2])
HEADERS = [(b"content-type", b"application/json"), (b"content-length", sys.argv[2].encode())]
async def app(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})
uvicorn.run(app, port=int(sys.argv[1]), lifespan="off", log_level="error", access_log=False)
"""


def flag(number):
    """Every second one is split, every third has a rule: what a shop's flags are like."""
    variants = {"control": {"color": "blue"}, "treatment": {"color": "green"}}
    rules = [{"when": {"country": ["DE", "AT"]}, "variant": "treatment"}] if number % 3 == 0 else []
    shares = {"control": 50, "treatment": 50}
    rules += [{"shares": shares}] if number % 2 else []
    return {"enabled": True, "variants": variants, "default": "control", "rules": rules}


async def ask(port, path, token, seconds, latencies):
    """Requests one after the other on one connection, each for another unit; how many."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    count, ends = 0, time.perf_counter() + seconds
    while (began := time.perf_counter()) < ends:
        context = {"targetingKey": f"unit-{id(reader)}-{count}", "country": "DE"}
        body = json.dumps({"context": context}).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        header = await reader.readuntil(b"\r\n\r\n")
        assert header.startswith(b"HTTP/1.1 200"), header
        length = int(header.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        await reader.readexactly(length)
        latencies.append(time.perf_counter() - began)
        count += 1
    writer.close()
    return count, length


async def measure(port, path, token, connections, seconds=SECONDS):
    """Requests per second, the median latency in ms, and the bytes of an answer."""
    latencies = []
    began = time.perf_counter()
    found = await asyncio.gather(
        *(ask(port, path, token, seconds, latencies) for _ in range(connections))
    )
    took = time.perf_counter() - began
    rate = sum(count for count, _length in found) / took
    return rate, statistics.median(latencies) * 1000, found[0][1]


def prepare(installation):
    """A service with its flags published, and a token that reads it."""
    import httpx

    server = installation.start()
    headers = {"Authorization": f"Bearer {installation.raw}"}
    with httpx.Client(base_url=server.url, headers=headers) as api:
        section = {"key": "flags", "type": "feature_flags"}
        document = {"flags": {f"flag-{n}": flag(n) for n in range(FLAGS)}}
        body = {"environment": "production", "config": document}
        for path, sent in (
            ("/services", {"slug": "shop"}),
            ("/services/shop/sections", section),
            ("/config/shop", body),
        ):
            answer = api.post(path, json=sent)
            assert answer.status_code == 201, answer.text
    token = ("create_token", "app", "--environment", "production")
    return server, installation.manage(*token, "--grant", "consumer:shop").stdout.strip()


def beside_peer(port, path, token, connections):
    """Ours and the peer's rate and latency, in turn, three times; the medians."""
    rounds = []
    size = asyncio.run(measure(port, path, token, 1, 0.5))[2]
    peer_port = free_port()
    with subprocess.Popen([sys.executable, "-c", PEER, str(peer_port), str(size)]) as peer:
        os.sched_setaffinity(peer.pid, {0})
        time.sleep(2)
        for _ in range(3):
            ours = asyncio.run(measure(port, path, token, connections))
            other = asyncio.run(measure(peer_port, path, token, connections))
            rounds.append((ours[0] / other[0], ours[0], ours[1], other[0], other[1]))
        peer.terminate()
    return [statistics.median(each) for each in zip(*rounds, strict=True)]


def main():
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    with shared_folder(), tempfile.TemporaryDirectory() as folder:
        installation = Installation(Path(folder) / "data")
        try:
            server, token = prepare(installation)
            os.sched_setaffinity(server.process.pid, {cores[0]})
            path = "/services/shop/ofrep/v1/evaluate/flags"
            ratio, rate, middle, peer, _peer = beside_peer(server.port, path, token, CONNECTIONS)
            print(
                f"bulk of {FLAGS}: {ratio:.2f} of the peer's requests ({rate:.0f} to {peer:.0f} a"
            )
            print(f"  second): {rate * FLAGS:.0f} flags a second, p50 {middle:.1f} ms (goal 20000)")
            path += "/flag-1"
            ratio, rate, middle, peer, other = beside_peer(server.port, path, token, 1)
            print(f"single, one client: {ratio:.2f} of the peer's requests, p50 {middle:.2f} ms")
            print(f"  to {other:.2f} ms (goal 2 ms)")
        finally:
            installation.stop()


if __name__ == "__main__":
    main()
