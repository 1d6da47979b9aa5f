"""Asking over GraphQL in tests."""

import json
import re


def ask(api, query, /, **variables):
    """The answer's body; it must be 200 with JSON."""
    answer = api.post("/graphql", {"query": query, "variables": variables})
    assert answer.status_code == 200, answer.content
    return json.loads(answer.content)


def data(api, query, /, **variables):
    """The data, where nothing was refused."""
    found = ask(api, query, **variables)
    assert "errors" not in found, found
    return found["data"]


def nodes(api, query, /, **variables):
    """The nodes of the one list that is asked for."""
    (found,) = data(api, query, **variables).values()
    return [each["node"] for each in found["edges"]]


def problem(api, query, /, **variables):
    """What the only error says: its message and its extensions."""
    (found,) = ask(api, query, **variables)["errors"]
    return {"detail": found["message"], **found["extensions"]}


def as_rest(tree):
    """Members named as REST names them."""
    if isinstance(tree, list):
        return [as_rest(each) for each in tree]
    if not isinstance(tree, dict):
        return tree
    return {re.sub("([A-Z])", r"_\1", name).lower(): value for name, value in tree.items()}
