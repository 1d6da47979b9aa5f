"""The tests that a rule carries: documents, and what the rule must say of them."""

from typing import Any, Final

from apps.engine import values
from apps.engine.errors import Problem, invalid
from apps.engine.rules import Condition, Facts
from apps.engine.values import Tree

MAX_TESTS: Final = 50
OBJECTS: Final = ("config", "previous", "environment", "service")
ENVIRONMENT: Final[dict[str, Tree]] = {
    "slug": "production",
    "name": "Production",
    "rank": 0,
    "protected": False,
}
SERVICE: Final[dict[str, Tree]] = {"slug": "service", "name": "Service", "labels": {}}
_SAID: Final = {True: "holds", False: "does not hold", None: "does not apply"}


def check_tests(tests: object) -> list[dict[str, Any]]:
    """``tests`` as the contract writes them: a list of objects with ``config, previous,
    environment, service`` (objects, what is left out is empty or a sample) and ``holds`` (true unless
    given; null: the rule does not apply).

    Raises :class:`InvalidError` naming the test.
    """
    if not isinstance(tests, list) or len(tests) > MAX_TESTS:
        raise invalid("/tests", "type", f"'tests' is a list of at most {MAX_TESTS} objects.")
    for index, test in enumerate(tests):
        _check(test, f"/tests/{index}")
    values.check(tests)
    return tests


def _check(test: object, pointer: str) -> None:
    if not isinstance(test, dict) or set(test) - {*OBJECTS, "holds"}:
        known = ", ".join((*OBJECTS, "holds"))
        raise invalid(pointer, "type", f"A test is an object of {known}.")
    for name in OBJECTS:
        if not isinstance(test.get(name, {}), dict):
            raise invalid(f"{pointer}/{name}", "type", "This is an object.")
    if not isinstance(test.get("holds"), bool | None):
        message = "'holds' is true, false, or null where the rule does not apply."
        raise invalid(f"{pointer}/holds", "type", message)


def failed_tests(condition: Condition, tests: list[dict[str, Any]]) -> list[Problem]:
    """The tests that the condition fails, each by its place in the list."""
    failed = []
    for index, test in enumerate(tests):
        facts = Facts(
            test.get("config", {}),
            test.get("previous", {}),
            ENVIRONMENT | test.get("environment", {}),
            SERVICE | test.get("service", {}),
        )
        verdict, wanted = condition.judge(facts), test.get("holds", True)
        if verdict.holds is not wanted:
            why = f": {verdict.fault}" if verdict.fault else ""
            message = f"The rule {_SAID[verdict.holds]}, and the test says it {_SAID[wanted]}{why}."
            failed.append(Problem(f"/tests/{index}", "rule_test", message))
    return failed
