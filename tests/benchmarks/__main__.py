"""Delivery beside its peers, in one run: ``python -m tests.benchmarks``.

The benchmarks of this folder that are about delivery, in turn, each as a process of its own: one table says of
each measure what was found, what it must reach, and whether it does; ratios are to what ran beside it (nginx, etcd,
and Redis by webdis; Debian's ``nginx-light``, ``etcd-server``, ``webdis``, and ``wrk`` to ask with), where that is
installed. It takes
about half an hour. ``--quick`` is the smallest of everything: it shows that all of it runs, and judges nothing.
``--json FILE`` says where all of it is written; progress goes to standard error.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.reading import versions

FULL = {
    "reading": ["--seconds", "4"],
    "pacing": ["--seconds", "2"],
    "watching": [],
    "nodes": [],
    "sizes": [],
    "starts": [],
}
QUICK = {
    "reading": ["--seconds", "0.2", "--rounds", "1"],
    "pacing": ["--seconds", "0.2", "--rounds", "1"],
    "watching": ["--watchers", "5", "--changes", "2", "--idle", "5", "--seconds", "0.2"],
    "nodes": ["--publishes", "3"],
    "sizes": ["--services", "3", "--versions", "10", "--seconds", "0.2", "--rounds", "1"],
    "starts": ["--services", "3", "--rounds", "1"],
}
TOOLS = ("nginx", "etcd", "webdis", "wrk")


@dataclass(frozen=True)
class Measure:
    """What stands in a row: the figures of ``benchmark`` whose names begin and end so, and what they must
    reach, at least or at most; ``None`` where they are told alone.
    """

    name: str
    benchmark: str
    begins: str
    ends: str = ""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def goal(self):
        """In words."""
        if self.at_least is not None:
            return f"at least {self.at_least:g}"
        return "" if self.at_most is None else f"at most {self.at_most:g}"

    def verdict(self, value):
        """Whether a figure does."""
        if self.at_least is not None:
            return "met" if value >= self.at_least else "MISSED"
        return "" if self.at_most is None else "met" if value <= self.at_most else "MISSED"


MEASURES = [
    Measure("hot GET, one core / nginx static", "reading", "GET / nginx static", at_least=0.5),
    Measure("hot GET, one core / etcd's v2 GET", "reading", "GET / etcd v2 GET", at_least=1.2),
    Measure("hot GET, one core / etcd's v3 gateway", "reading", "GET / etcd v3", at_least=4),
    Measure("hot GET, one core / Redis by webdis", "reading", "GET / Redis by webdis"),
    Measure("304 / GET", "reading", "304 / GET", at_least=1),
    Measure("GET, two secrets revealed / GET", "reading", "GET, two", at_least=0.4),
    Measure("p99 at half of the top rate, ms", "pacing", "p99 ms", at_most=5),
    Measure("one change told, p99: SSE / etcd's watch", "watching", "SSE / etcd", at_most=0.5),
    Measure("one change told, p99: WebSocket / SSE", "watching", "WebSocket / SSE", at_most=1.2),
    Measure("idle SSE streams, KB each", "watching", "SSE", "idle: KB each", at_most=40),
    Measure(
        "idle SSE streams, more of a core than with none",
        "watching",
        "SSE",
        "core than with none",
        at_most=0.02,
    ),
    Measure("idle WebSockets, KB each", "watching", "WebSocket", "idle: KB each", at_most=100),
    Measure(
        "idle WebSockets, more of a core than with none",
        "watching",
        "WebSocket",
        "core than with none",
    ),
    Measure("documents in memory, MB / 300 MB", "sizes", "MB above the empty process /", at_most=1),
    Measure("hot GET of many documents / of one", "sizes", "hot GET, all / one", at_least=0.9),
    Measure("the same of files, nginx static", "sizes", "nginx static, all / one"),
    Measure(
        "publish p50, many versions / few", "sizes", "publish p50, many ver", "few", at_most=1.2
    ),
    Measure("GET p50, many versions / few", "sizes", "fetch p50, many ver", "few", at_most=1.2),
    Measure("hot GET, few versions / many", "sizes", "hot GET, few versions /", at_most=1.2),
    Measure("seen at another node, p99 ms", "nodes", "with Redis: seen ms, p99", at_most=100),
    Measure("the same, Redis dead", "nodes", "without Redis: seen ms, p99", at_most=1500),
    Measure(
        "large file at another node / at the first", "nodes", "with Redis: large file", "first, p50"
    ),
    Measure("first GETs after a start, warmed / not", "starts", "first GETs after"),
]


def run(name, options, folder):
    """What a benchmark has found, as it wrote it; what it says goes to standard error."""
    written = Path(folder) / f"{name}.json"
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", *options, "--json", str(written)]
    subprocess.run(command, stdout=sys.stderr, check=True)
    return json.loads(written.read_text())


def figures(found):
    """The numbers of a benchmark by their names; of several rounds the median."""
    ratios = found.get("ratios", [])
    named = {f"{each['of']} / {each['to']}": each["per_core_second"] for each in ratios}
    named |= found.get("figures", {}) or (found if not ratios else {})
    one = {name: value[0] if isinstance(value, list) else value for name, value in named.items()}
    return {name: value for name, value in one.items() if isinstance(value, int | float)}


def rows(found, *, judged=True):
    """What stands in the table, a row for each figure of each measure."""
    for measure in MEASURES:
        named = {
            name: value
            for name, value in figures(found[measure.benchmark]).items()
            if name.startswith(measure.begins) and name.endswith(measure.ends)
        }
        for name, value in named.items() or [("", None)]:
            verdict = measure.verdict(value) if judged and value is not None else ""
            yield {
                "measure": measure.name,
                "figure": name,
                "found": value,
                "must reach": measure.goal,
                "verdict": "its peer is not installed" if value is None else verdict,
            }


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the smallest of everything")
    parser.add_argument("--json", default=str(Path(tempfile.gettempdir()) / "benchmarks.json"))
    given = parser.parse_args(arguments)
    parts, found = QUICK if given.quick else FULL, {}
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        for number, (name, options) in enumerate(parts.items(), 1):
            print(f"-- {number} of {len(parts)}: {name} …", file=sys.stderr, flush=True)
            found[name] = run(name, options, folder)
    told = {"cores": len(os.sched_getaffinity(0)), "quick": given.quick}
    whole = {
        "rows": list(rows(found, judged=not given.quick)),
        "with": told | versions(TOOLS),
        "benchmarks": found,
    }
    Path(given.json).write_text(json.dumps(whole, indent=1) + "\n")
    print("| measure | found | must reach | |\n|---|---|---|---|")
    for row in whole["rows"]:
        value = "" if row["found"] is None else f"{row['found']:.4g}"
        count = row["figure"].rpartition(", ")[2] if "watchers" in row["figure"] else ""
        name = f"{row['measure']}, {count}" if count else row["measure"]
        told_of = [name, value, row["must reach"], row["verdict"]]
        print(f"| {' | '.join(told_of)} |")
    print("\n" + ", ".join(f"{name}: {text}" for name, text in whole["with"].items()))


if __name__ == "__main__":
    main()
