"""The tests of JSON Patch (RFC 6902) that implementations share."""

from apps.engine import patching, values
from apps.engine.errors import DomainError
from tests.suites import read_suite

FAILURES = {
    ("tests.json", "duplicate ops"): "Members that stand twice are the JSON reader's to refuse: "
    "it does, so that no such patch comes here.",
}


def test_json_patch__the_shared_tests__fails_those_listed():
    files, found, count = read_suite("json-patch"), set(), 0

    for name in ("spec_tests.json", "tests.json"):
        for test in values.parse_canonical(files[name].decode()):
            if "patch" in test:
                count += 1
                if not passes(test):
                    found.add((name, test.get("comment")))

    assert found == set(FAILURES)
    assert count == 112


def passes(test):
    """Whether the patch gives what the test expects; one without an expectation must apply."""
    try:
        result = patching.json_patch(test["doc"], test["patch"])
    except DomainError:
        return "error" in test
    return "error" not in test and values.same(result, test.get("expected", result))
