"""Operations drawn from the schema: valid ones, and ones with a flaw."""

import json

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    get_named_type,
    is_composite_type,
    is_required_argument,
    is_required_input_field,
)
from hypothesis import strategies as st

MAX_DEPTH = 5
SERVICES = ["shop", "shop", "shop", "vault", "SHOP", "none"]
ENVIRONMENTS = ["production", "production", "production", "staging", "eu", "none"]
KEYS = [
    "n",
    "security.word",
    "security.**",
    "**",
    "db.password",
    "hosts[0]",
    "list[9]",
    "flags.beta",
]
NAMES = ["pin", "base", "deep", "app", "r", "viewer", "shop", "vault", "ours", "feed", "mine"]
HOSTILE = [
    "",
    " ",
    "\u0000",
    "\ud800",
    "a" * 300,
    "../..",
    "%00",
    "'\"",
    "${secret:pin}",
    "😀",
    "[",
    "*",
]
OFTEN = ("environment", "onStale", "config", "service")
NUMBERS = [0, 1, 2, 3, -1, 2**31 - 1]
TEXTS = {
    "service": SERVICES,
    "services": SERVICES,
    "environment": ENVIRONMENTS,
    "parent": ENVIRONMENTS,
    "key": KEYS,
    "keys": KEYS,
    "pattern": KEYS,
    "after": ["1", "1", "3", "x"],
    "before": ["1", "3", "-1"],
    "account": ["app", "app", "none"],
    "template": ["base", "base", "none"],
    "from": ["1", "live", "staging", "production@1", "staging@9", "2026-11-24T09:30:00Z"],
    "to": ["2", "live", "user:ada", "service-account:app", "production@2"],
    "format": ["json", "yaml", "toml", "xml", "env", "properties", "none"],
    "at": ["2026-11-24T09:30:00Z", "2999-01-01T00:00:00Z", "soon"],
    "since": ["2026-11-24T09:30:00Z", "yesterday"],
    "expiresAt": ["2999-01-01T00:00:00Z", "2020-01-01T00:00:00Z"],
    "expression": ["true", "config.n > 1", "config.security.word == 'x'", "(("],
    "verbs": ["read", "list", "reveal", "none"],
    "role": ["viewer", "operator", "ours"],
    "verb": ["read", "list", "reveal"],
    "path": ["/n", "/security/word", "/hosts/0", "", "n"],
    "op": ["add", "remove", "replace", "move", "copy", "test", "none"],
    "content": ["a: 1", "{", '{"n": 5}', "security: {word: x}"],
}
SLUGS = {
    "emplate": ["base", "base", "deep"],
    "ccount": ["app", "app", "bot"],
    "nvironment": ENVIRONMENTS,
    "ervice": [*SERVICES, "new"],
}
"""By what is in the name of the field."""
DOCUMENTS = [
    {},
    None,
    5,
    "text",
    [],
    {"n": 1},
    {"n": 2, "security": {"word": "x"}},
    {"security": None},
    {"a": "${self:security.word}"},
    {"a": "${vault:n}", "b": "${secret:pin}"},
    {"hosts": [{"name": "b"}]},
    {"targetingKey": "u1"},
    {"type": "object"},
    {"flags": {"beta": True}},
    {"rotator": "password", "every_days": 3},
    [{"config": {"n": 1}, "holds": True}],
]


def literal(value):
    """A JSON value as GraphQL writes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {literal(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(literal(each) for each in value) + "]"
    return json.dumps(value)


class Enum(str):
    """A name that stands without quotation marks."""


def written(value):
    """A drawn argument as GraphQL writes it."""
    if isinstance(value, Enum):
        return str(value)
    if isinstance(value, list):
        return "[" + ", ".join(written(each) for each in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {written(each)}" for name, each in value.items()) + "}"
    return literal(value)


class Operations:
    """Draws operations of one root type of a schema."""

    def __init__(self, schema, random, *, flaws=True):
        self.schema, self.random, self.flaws = schema, random, flaws

    def chance(self, one_in):
        return self.random.randrange(one_in) == 0

    def flaw(self, one_in):
        return self.flaws and self.chance(one_in)

    def pick(self, options):
        return self.random.choice(list(options))

    def some(self, options, most):
        found = list(options)
        return self.random.sample(found, min(len(found), self.random.randint(1, most)))

    def operation(self, kind):
        root = self.schema.mutation_type if kind == "mutation" else self.schema.query_type
        names = self.some(sorted(root.fields), 2)
        fields = [
            f"f{number}: {self.field(root, name, 1)}" if number else self.field(root, name, 1)
            for number, name in enumerate(names)
        ]
        text = f"{kind} {{ {' '.join(fields)} }}"
        if self.flaw(12):
            cut = self.random.randint(0, len(text))
            text = (
                text[:cut]
                + self.pick(["}", "{", "@skip", " nothing ", "$x", "\u0000", ""])
                + text[cut:]
            )
        return text

    def field(self, parent, name, depth):
        found = parent.fields[name]
        given = self.arguments(found.args, name)
        inner = get_named_type(found.type)
        if not is_composite_type(inner):
            return f"{name}{given}"
        return f"{name}{given} {self.selection(inner, depth + 1)}"

    def selection(self, kind, depth):
        names = [
            name
            for name, each in kind.fields.items()
            if depth < MAX_DEPTH + 2 or not is_composite_type(get_named_type(each.type))
        ]
        if not names:
            return "{ __typename }"
        if "edges" in names:
            chosen = ["edges", "pageInfo"] if self.chance(4) else ["edges"]
        elif "node" in names:
            chosen = ["node"]
        else:
            chosen = self.some(names, 4)
        # a cursor's levels are none of their own
        step = 0 if chosen[0] in ("edges", "node") else 1
        return "{ " + " ".join(self.field(kind, name, depth - 1 + step) for name in chosen) + " }"

    def arguments(self, known, field):
        given = {}
        if "first" in known and not self.chance(3):
            given["first"] = self.pick([1, 2, 3, *([0, 500] if self.flaw(10) else [])])
        for name, argument in known.items():
            needed = is_required_argument(argument) and not self.flaw(40)
            if name in ("first", "last", "before") and not self.flaw(20):
                continue
            if needed or self.chance(3) or (name == "environment" and not self.chance(4)):
                given[name] = self.value(argument.type, name, field)
        if not given:
            return ""
        return "(" + ", ".join(f"{name}: {written(each)}" for name, each in given.items()) + ")"

    def value(self, kind, name, field):
        if isinstance(kind, GraphQLNonNull):
            return self.value(kind.of_type, name, field)
        if self.flaw(40):
            return self.pick([None, True, 1.5, [], {"a": 1}, "text"])
        if isinstance(kind, GraphQLList):
            count = self.random.randint(0, 2)
            return [self.value(kind.of_type, name, field) for _each in range(count)]
        if isinstance(kind, GraphQLEnumType):
            wanted = "OVERWRITE" if "OVERWRITE" in kind.values and not self.chance(3) else None
            return Enum(wanted or self.pick(kind.values))
        if isinstance(kind, GraphQLInputObjectType):
            return {
                each: self.value(found.type, each, field)
                for each, found in kind.fields.items()
                if is_required_input_field(found) or each in OFTEN or self.chance(4)
            }
        assert isinstance(kind, GraphQLScalarType)
        return self.scalar(kind.name, name, field)

    def scalar(self, kind, name, field):
        if kind == "JSON":
            return self.pick(DOCUMENTS)
        if kind == "Boolean":
            return self.chance(2)
        if kind in ("Int", "Long"):
            return self.pick(NUMBERS)
        if self.flaw(15):
            return self.pick(HOSTILE)
        if name == "slug":
            for part, slugs in SLUGS.items():
                if part in field:
                    return self.pick(slugs)
        return self.pick(TEXTS.get(name, NAMES))


def operations(schema, kind, *, flaws=True):
    """The texts of operations. Hypothesis draws the seeds: what it would draw itself of so many
    choices is mostly the first of each.
    """
    return st.randoms(use_true_random=True).map(
        lambda random: Operations(schema, random, flaws=flaws).operation(kind)
    )


RIGHT = {
    "service": "shop",
    "environment": "production",
    "slug": "shop",
    "name": "pin",
    "key": "n",
    "number": 2,
    "from": "1",
    "to": "live",
    "format": "yaml",
    "at": "2999-01-01T00:00:00Z",
    "template": "base",
    "services": ["shop"],
    "id": 1,
    "input": {"service": "shop", "environment": "production", "config": {"n": 1}},
}


def whole(schema, kind, depth, seen=()):
    """A selection of everything below a type, each type once on a way."""
    parts = []
    for name, found in kind.fields.items():
        inner = get_named_type(found.type)
        given = {each: RIGHT[each] for each, a in found.args.items() if is_required_argument(a)}
        if "first" in found.args:
            given["first"] = 2
        listed = ", ".join(f"{each}: {literal(value)}" for each, value in given.items())
        head = f"{name}({listed})" if given else name
        if not is_composite_type(inner):
            parts.append(head)
        elif inner.name not in seen and depth > 0:
            level = depth if name in ("edges", "node") else depth - 1
            below = whole(schema, inner, level, (*seen, inner.name))
            if below:
                parts.append(f"{head} {{ {below} }}")
    return " ".join(parts)
