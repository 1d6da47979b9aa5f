"""Composing, diff, merge and a template with many users: ``python -m tests.benchmarks.composing``.

Ratios come first, each to a peer in the same run: composing and validating to parsing the document's
own YAML text with libyaml; diff and merge to ``git diff`` and ``git merge-file`` on the texts; a
template with many users to as many plain rows inserted and committed on the same PostgreSQL server.
How they grow with the size is told in the processor's time.
"""

import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.engine.keyed import keyed

USERS = int(os.environ.get("BENCHMARK_USERS", "1000"))
SIZES = (2**14, 2**16, 2**18, 2**20)


def timed(times, act, *given):
    found = []
    for _ in range(times):
        started = time.perf_counter()
        act(*given)
        found.append((time.perf_counter() - started) * 1000)
    return statistics.median(found)


def worked(act, *given):
    """The milliseconds of the processor that it takes, the least of five, whatever else the machine does."""
    found = []
    for _ in range(5):
        started = time.process_time()
        act(*given)
        found.append((time.process_time() - started) * 1000)
    return min(found)


def said(name, ours, peer, goal):
    print(f"{name}: {ours / peer:.2f} times the peer ({ours:.2f} ms to {peer:.2f} ms, goal {goal})")


def composing(system):
    """100 keys, five templates, three environments above each other, twenty references."""
    import yaml

    from apps.access.policy import Place
    from apps.configs import sources
    from apps.configs.services import publishing, sections, templates
    from apps.configs.services.bases import Options
    from apps.configs.services.kernel import load_state
    from apps.configs.services.places import create_service, update_environment
    from apps.configs.services.planning import plan_composed
    from apps.configs.world import World
    from apps.registry.selectors import get_environment

    for child, parent in (("staging", "development"), ("production", "staging")):
        update_environment(actor=system, environment=get_environment(child), parent=parent)
    shop, cart = (create_service(actor=system, slug=each) for each in ("shop", "cart"))
    schema = {"properties": {"n": {"type": "integer", "default": 3}}}
    for number in range(5):
        content = {f"t{number}": {f"k{i}": f"${{param:n}} and {i}" for i in range(8)}}
        content["many"] = {"$for": "x", "in": "[1, 2, 3]", "do": {"name": "${param:x}"}}
        body = templates.Body(content, schema)
        templates.create_template(actor=system, slug=f"t{number}", body=body)
    options = Options(on_stale="overwrite")
    production = get_environment("production")

    def publish(service, environment, tree, extends=None):
        place = Place(service, environment)
        source = sources.from_tree(tree, extends or [])
        publishing.publish(actor=system, place=place, source=source, options=options)

    publish(cart, production, {f"k{i}": {"v": i} for i in range(20)})
    for slug in ("development", "staging"):
        publish(shop, get_environment(slug), {slug: {f"k{i}": i for i in range(10)}})
    own = {f"own{i}": {"value": i, "text": f"value {i}"} for i in range(20)}
    own |= {f"ref{i}": f"${{cart:k{i}.v}}" for i in range(20)}
    extends = [{"template": f"t{n}", "with": {"n": n}} for n in range(5)]
    section = {
        "type": "object",
        "properties": {"value": {"type": "integer"}},
        "required": ["value"],
    }
    for i in range(5):
        sections.create_section(
            actor=system, service=shop, key=f"own{i}", type="application_settings", schema=section
        )
    publish(shop, production, own, extends)
    state, source = load_state(Place(shop, production)), sources.from_tree(own, extends)
    world = World()
    text = yaml.safe_dump(state.effective)

    def compose():
        plan_composed(system, state, source, "publish", "", world)

    compose()  # what an act reads is read once
    ours = timed(200, compose)
    peer = timed(200, lambda: yaml.load(text, Loader=yaml.CSafeLoader))
    said("compose and validate", ours, peer, "3 ms")


def tree(size, seed):
    """About ``size`` bytes of JSON."""
    chance = random.Random(seed)
    return {
        f"s{i}": {f"k{j}": f"value {chance.randrange(10**9):09} " + "x" * 16 for j in range(64)}
        for i in range(max(1, size // 2900))
    }


def changed(document, seed):
    """The document with every fiftieth value changed."""
    chance = random.Random(seed)
    return {
        section: {
            key: f"changed {seed}" if chance.random() < 0.02 else value
            for key, value in members.items()
        }
        for section, members in document.items()
    }


def run(*command):
    subprocess.run(command, capture_output=True, check=False)


def differing():
    from apps.engine import diff, merging

    found = {"diff": [], "merge": []}
    for size in SIZES:
        base = tree(size, 1)
        ours, theirs = changed(base, 2), base | changed(dict(list(base.items())[::2]), 3)
        kib = len(json.dumps(base)) // 1024
        with tempfile.TemporaryDirectory() as folder:
            paths = [str(Path(folder, name)) for name in ("ours", "base", "theirs")]
            for path, document in zip(paths, (ours, base, theirs), strict=True):
                Path(path).write_text(json.dumps(document, indent=1))
            diffing = timed(5, run, "git", "diff", "--no-index", paths[1], paths[0])
            merge_file = timed(5, run, "git", "merge-file", "-p", *paths)
        found["diff"].append(worked(diff.changes, base, ours))
        took = timed(5, diff.changes, base, ours)
        said(f"diff of {kib} KiB", took, diffing, "300 ms for 1 MiB")
        found["merge"].append(worked(merging.merge_three, base, ours, theirs))
        took = timed(5, merging.merge_three, base, ours, theirs)
        said(f"merge of {kib} KiB", took, merge_file, "500 ms for 1 MiB")
        items = [{"name": f"n{i}", "port": i, "host": "x" * 40} for i in range(size // 80)]
        moved = random.Random(4).sample(items, len(items))
        moved = [
            {**each, "name": each["name"] + "-b"} if i % 9 == 0 else each
            for i, each in enumerate(moved)
        ]
        sides = ({"l": items}, {"l": moved}, keyed({"l": "name"}))
        found.setdefault("diff by name", []).append(worked(diff.changes, *sides))
        found.setdefault("patch by name", []).append(worked(diff.patch, *sides))
        more = ([{"name": f"{side}{i}", "port": i} for i in range(len(items))] for side in "ab")
        sides = ({"l": items}, *({"l": [*items, *each]} for each in more))
        found.setdefault("merge by name", []).append(
            worked(merging.merge_three, *sides, keyed({"l": "name"}))
        )
        print(
            f"diff of {len(items)} items by name in another order: {found['diff by name'][-1]:.0f} ms"
        )
    n_log_n = SIZES[-1] * math.log(SIZES[-1]) / (SIZES[0] * math.log(SIZES[0]))
    for name, times in found.items():
        grown = times[-1] / times[0]
        print(f"{name}, {SIZES[0]} to {SIZES[-1]} bytes: {grown:.0f} times; n log n: {n_log_n:.0f}")


def validating():
    """A schema over a hundred keys: compiled once and kept, compiled each time, and in pure Python."""
    import jsonschema
    import jsonschema_rs

    from apps.engine import schemas

    port = {"type": "integer", "minimum": 1, "maximum": 65535}
    text = {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[a-z0-9.-]+$"}
    part = {
        "type": "object",
        "properties": {"port": port, "host": text, "mode": {"enum": ["fast", "slow"]}},
        "required": ["host", "port"],
        "additionalProperties": False,
    }
    schema = {
        "$defs": {"part": part},
        "properties": {f"p{i}": {"$ref": "#/$defs/part"} for i in range(33)},
        "additionalProperties": False,
    }
    document = {f"p{i}": {"host": f"h{i}.x", "port": i + 1, "mode": "fast"} for i in range(33)}
    rules = jsonschema_rs.RegexOptions()

    def each_time():
        validator = jsonschema_rs.Draft202012Validator(schema, pattern_options=rules)
        assert validator.is_valid(document)

    def anew():
        schemas._ready.cache_clear()
        schemas.validate(schema, document)

    slow = jsonschema.Draft202012Validator(schema)
    assert schemas.validate(schema, document) == []
    kept = timed(500, schemas.validate, schema, document)
    said("a check, to one that compiles and weighs the schema anew", kept, timed(200, anew), "less")
    said("a check, to compiling alone and checking", kept, timed(500, each_time), "less")
    said("a check, to pure Python", kept, timed(20, slow.is_valid, document), "less")


def spreading(system):
    from django.db import connection, transaction

    from apps.access.policy import Place
    from apps.configs import sources
    from apps.configs.services import publishing, templates
    from apps.configs.services.bases import Options
    from apps.configs.services.places import create_service
    from apps.registry.selectors import get_environment

    made = templates.create_template(
        actor=system, slug="many", body=templates.Body({"a": {f"k{i}": i for i in range(50)}})
    ).template
    production = get_environment("development")
    items = []
    for number in range(USERS):
        place = Place(create_service(actor=system, slug=f"u{number}"), production)
        source = sources.from_tree({"own": number}, [{"template": "many"}])
        items.append(publishing.Publication(place, source, Options()))
    publishing.publish_many(actor=system, items=items)
    body = templates.Body({"a": {f"k{i}": i + 1 for i in range(50)}})
    started = time.perf_counter()
    templates.publish_template(actor=system, template=made, body=body)
    took = (time.perf_counter() - started) * 1000
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE peer (id serial PRIMARY KEY, body text)")
        started = time.perf_counter()
        with transaction.atomic():
            for number in range(USERS):
                cursor.execute("INSERT INTO peer (body) VALUES (%s)", [f"{number}" * 600])
        peer = (time.perf_counter() - started) * 1000
        cursor.execute("DROP TABLE peer")
    said(f"a template with {USERS} users", took, peer, "5000 ms for 1000")


def main():
    import django
    from django.core.management import call_command

    with tempfile.TemporaryDirectory() as folder:
        os.environ["CONFIGSVC_DATA_DIR"] = folder
        os.environ["DJANGO_SETTINGS_MODULE"] = "configsvc.settings"
        django.setup()
        call_command("migrate", verbosity=0)
        from apps.core.actor import system

        actor = system("benchmark")
        differing()
        validating()
        composing(actor)
        spreading(actor)


if __name__ == "__main__":
    if "DATABASE_URL" not in os.environ:
        here = [sys.executable, "-m"]
        command = [*here, "tests.real_services", *here, "tests.benchmarks.composing"]
        sys.exit(subprocess.run(command, check=False).returncode)
    main()
