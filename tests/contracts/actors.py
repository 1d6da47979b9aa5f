"""Every kind of actor and what each may do: the one table that all interfaces are judged by."""

VIEWER = {"list", "read"}
OPERATOR = VIEWER | {"edit", "publish", "rollback", "approve"}
OFFICER = VIEWER | {"reveal", "audit", "secure"}
EVERYTHING = OPERATOR | OFFICER | {"manage"}

# name: what is given as (role or verb, where), and what that opens: free keys, ruled keys.
# where: "here" shop in production, "service" shop, "environment" production, "all", "rule".
ACTORS = {
    "nobody": ([], set(), set()),
    "lister": ([("list", "here")], {"list"}, set()),
    "viewer": ([("viewer", "here")], VIEWER, set()),
    "viewer of the service": ([("viewer", "service")], VIEWER, set()),
    "consumer": ([("consumer", "environment")], VIEWER | {"reveal"}, set()),
    "developer": ([("developer", "here")], VIEWER | {"edit"}, set()),
    "operator": ([("operator", "here")], OPERATOR, set()),
    "auditor": ([("auditor", "all")], VIEWER | {"audit"}, set()),
    "security officer": ([("security-officer", "all")], OFFICER, set()),
    "administrator": ([("administrator", "all")], EVERYTHING, set()),
    "reader of the rule": ([("viewer", "here"), ("read", "rule")], VIEWER, {"read"}),
    "operator of the rule": ([("operator", "here"), ("operator", "rule")], OPERATOR, OPERATOR),
    "publisher of the rule alone": ([("list", "here"), ("publish", "rule")], {"list"}, {"publish"}),
    "elsewhere": ([("administrator", "other")], set(), set()),
    "ended": ([], set(), set()),
}
ELSEWHERE = {"elsewhere": {200, 404}}
"""What is answered of the other service, where an address names none."""
EVERYWHERE = {"auditor", "security officer", "administrator"}
HERE = "environment=production"
HIDDEN = "a-ruled-word"
"""It stands in every ruled key: whoever may not read those never meets it."""
VALUE = "v4lue-of-the-pin"
"""The secret's: it is where it was revealed, and nowhere else."""


def expected(name, verb, key):  # noqa: PLR0911 - a table
    """The statuses that the table gives this actor; 2xx stands for having the right."""
    _grants, free, ruled = ACTORS[name]
    if key == "only service":  # without its name: one may be read there, and not several
        several = name == "consumer" or name in EVERYWHERE
        return {200} if "read" in free and not several else ELSEWHERE.get(name, {400})
    if "list" not in free:
        return {404}
    verbs = verb.split(" or ")
    on_free, on_ruled = (any(each in held for each in verbs) for held in (free, ruled))
    if not (on_free or (on_ruled and verb in ("read", "publish", "rollback"))):
        return {403}
    if key == "ruled":
        if verb == "read":
            return {200} if on_ruled else {404}  # left out of what the caller may see
        return {200} if on_ruled else {403}
    if key == "both":
        return {200} if on_free and on_ruled else {403}
    if key == "secret":
        return {200} if "reveal" in free else {403}
    if key == "rotate":
        return {202, 409}  # one of the others has begun it
    if key == "redact":
        return {422}  # the value is live: the right was there
    if verb == "publish" and key == "free" and not on_free:
        return {403}
    if verb == "read" and key == "free" and not on_free:
        return {404}
    return {200, 201}


def leaks(name, content, *, revealed=False, service=HIDDEN):
    """What an answer tells this actor that he may not know; ``service`` is told to who may list it."""
    _grants, free, ruled = ACTORS[name]
    may_know = {
        service: "list" in free,
        HIDDEN: "read" in ruled,
        VALUE: revealed and "reveal" in free,
    }
    return [word for word, known in may_know.items() if not known and word.encode() in content]
