"""Reading at half of the top rate, at a steady pace: ``python -m tests.benchmarks.pacing``.

Requests for the configuration of :mod:`tests.benchmarks.reading` are due at fixed moments, whether or not
earlier ones have been answered, and a latency is from the moment when a request was due. So what waits
behind a slow answer is counted, which a client that asks again only once it was answered leaves out (Gil
Tene, "How NOT to measure latency": coordinated omission). The peer is nginx with a file of the same
bytes, at the same rate in the same round. What the generator itself reaches without a pace, asking nginx,
is its ceiling: near it, latencies are the generator's.

The servers run on one core, the generator, which never sleeps, on another. The top rate is ``wrk``'s, or
without it the generator's own. Ratios come first; ``--json FILE`` says where all of it is written.
"""

import argparse
import collections
import contextlib
import itertools
import json
import os
import select
import shutil
import socket
import statistics
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from tests.benchmarks import reading
from tests.benchmarks.watching import p99
from tests.serving import shared_folder

GOAL_MS = 5
SHARE = 0.5
ANSWERED_WITHIN = 30.0
WHOLE = b"HTTP/1.1 200"
END = b"\r\n\r\n"
LENGTH = b"content-length: "
NO_MORE = (0.0, b"")


def paced(rate, seconds):
    """When each request is due: ``rate`` a second from now on."""
    began = time.perf_counter()
    return (began + number / rate for number in range(int(rate * seconds)))


def unpaced(seconds):
    """Always at once, until so many seconds are over."""
    ends = time.perf_counter() + seconds
    return itertools.takewhile(lambda _due: time.perf_counter() < ends, itertools.repeat(0.0))


def ask(port, requests, due_at, connections=reading.CONNECTIONS):
    """Send the next of ``requests`` at each moment of ``due_at``, or once a connection is free.

    Gives how long each took since it was due, in ms, and how many were answered a second.
    """
    with contextlib.ExitStack() as stack:
        poll = stack.enter_context(select.epoll())
        by_number, free = {}, collections.deque()
        for _each in range(connections):
            made = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.setblocking(False)
            poll.register(made, select.EPOLLIN)
            by_number[made.fileno()] = made
            free.append(made.fileno())
        return _ask(poll, by_number, free, zip(due_at, requests, strict=False))


def _ask(poll, by_number, free, plan):
    took, waiting, missing = [], {}, {}
    buffer = bytearray(1 << 18)
    now = began = answered_at = time.perf_counter()
    due, request = next(plan, NO_MORE)
    while request or waiting:
        while free and request and due <= now:
            number = free.popleft()
            by_number[number].send(request)
            waiting[number] = due
            due, request = next(plan, NO_MORE)
        for number, _event in poll.poll(0):
            count = by_number[number].recv_into(buffer)
            assert count, "The server has closed a connection."
            left = missing.pop(number, None)
            left = (_whole(buffer, count) if left is None else left) - count
            answered_at = time.perf_counter()
            if left:
                missing[number] = left
            else:
                took.append((answered_at - waiting.pop(number)) * 1000)
                free.append(number)
        now = time.perf_counter()
        assert now - answered_at < ANSWERED_WITHIN, f"{len(waiting)} requests are not answered."
    return took, len(took) / max(answered_at - began, 0.001)


def _whole(buffer, count):
    """How long an answer is that begins in the buffer, head and body."""
    end = buffer.find(END, 0, count)
    assert buffer.startswith(WHOLE), bytes(buffer[:count])
    assert end >= 0, bytes(buffer[:count])
    head = buffer[:end].lower()
    at = head.index(LENGTH) + len(LENGTH)
    return end + len(END) + int(head[at:].split(b"\r", 1)[0])


def request_of(question):
    """The port and the bytes of a question."""
    url = urlsplit(question.url)
    lines = [f"GET {url.path} HTTP/1.1", f"Host: {url.netloc}"]
    lines += [f"{name}: {value}" for name, value in question.headers.items()]
    return url.port, ("\r\n".join(lines) + "\r\n\r\n").encode()


def one_round(question, peer, seconds, by_wrk, folder):
    """What one round has found, by name."""
    port, request = request_of(question)
    if by_wrk:
        top = reading.by_wrk(question, seconds, folder)[0]
    else:
        top = ask(port, itertools.repeat(request), unpaced(seconds))[1]
    rate = top * SHARE
    ran = reading.ran(question)
    took, kept = ask(port, itertools.repeat(request), paced(rate, seconds))
    found = {
        "p99 / goal": p99(took) / GOAL_MS,
        "rate kept / asked": kept / rate,
        "p99 ms": p99(took),
        "p50 ms": statistics.median(took),
        "longest ms": max(took),
        "top rate, a second": top,
        "rate, a second": kept,
        "share of a core that the server ran": (reading.ran(question) - ran) / (len(took) / kept),
    }
    if peer:
        port, request = request_of(peer)
        took, kept = ask(port, itertools.repeat(request), paced(rate, seconds))
        ceiling = ask(port, itertools.repeat(request), unpaced(seconds))[1]
        found |= {
            "p99 / nginx's": found["p99 ms"] / p99(took),
            "nginx: rate kept / asked": kept / rate,
            "the generator's ceiling / rate": ceiling / rate,
            "nginx: p99 ms": p99(took),
            "nginx: p50 ms": statistics.median(took),
            "the generator's ceiling, a second": ceiling,
        }
    return found


def measure(seconds, rounds, alone):
    """All rounds: by name the median, and the least and the most."""
    cores = sorted(os.sched_getaffinity(0))
    by_wrk, has_peer = (shutil.which(name) and not alone for name in ("wrk", "nginx"))
    with contextlib.ExitStack() as stack:
        stack.enter_context(shared_folder())
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="pacing-"))
        os.sched_setaffinity(0, {cores[0]})  # what is started from here on stays there
        body, [question, *_others] = stack.enter_context(reading.ours(folder))
        peer = stack.enter_context(reading.nginx(folder, body))[0] if has_peer else None
        os.sched_setaffinity(0, {cores[-1]})
        one_round(question, peer, 0.2, None, folder)  # warm
        found = [one_round(question, peer, seconds, by_wrk, folder) for _round in range(rounds)]
        os.sched_setaffinity(0, set(cores))
        tools = [name for name, used in (("nginx", has_peer), ("wrk", by_wrk)) if used]
        told = {"bytes": len(body), **reading.versions(tools)}
    figures = {}
    for name in found[0]:
        values = [each[name] for each in found]
        figures[name] = [round(of(values), 3) for of in (statistics.median, min, max)]
    return {"figures": figures, "with": told}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--alone", action="store_true", help="without nginx and wrk")
    parser.add_argument("--json", default=str(Path(tempfile.gettempdir()) / "pacing.json"))
    options = parser.parse_args(arguments)
    found = measure(options.seconds, options.rounds, options.alone)
    Path(options.json).write_text(json.dumps(found, indent=1) + "\n")
    for name, values in sorted(found["figures"].items(), key=lambda each: " / " not in each[0]):
        print(f"{name:<40} {values[0]} ({values[1]} to {values[2]})")
    print(", ".join(f"{name}: {text}" for name, text in found["with"].items()))


if __name__ == "__main__":
    main()
