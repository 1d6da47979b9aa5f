"""The JSON Schema test suite, for both drafts and all that is optional in it."""

import pytest

from apps.engine import schemas, values
from apps.engine.errors import InvalidError
from tests.suites import read_suite

DRAFTS = {
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
    "draft7": "http://json-schema.org/draft-07/schema#",
}
REMOTE = {
    # A $ref points into its own schema, by "#", so that nothing is ever fetched. These point by a
    # whole address: of another schema, of the draft's own, or of a part that is embedded with $id.
    "anchor.json": {
        "Location-independent identifier with absolute URI",
        "Location-independent identifier with base URI change in subschema",
        "same $anchor with different base uri",
    },
    "definitions.json": {"validate definition against metaschema"},
    "defs.json": {"validate definition against metaschema"},
    "dynamicRef.json": {
        "$dynamicRef skips over intermediate resources - direct reference",
        "$ref and $dynamicAnchor are independent of order - $defs first",
        "$ref and $dynamicAnchor are independent of order - $ref first",
        "$ref to $dynamicRef finds detached $dynamicAnchor",
        "A $dynamicRef resolves to the first $dynamicAnchor still in scope that is encountered "
        "when the schema is evaluated",
        "A $dynamicRef that initially resolves to a schema with a matching $dynamicAnchor resolves "
        "to the first $dynamicAnchor in the dynamic scope",
        "A $dynamicRef that initially resolves to a schema without a matching $dynamicAnchor "
        "behaves like a normal $ref to $anchor",
        "A $dynamicRef with a non-matching $dynamicAnchor in the same schema resource behaves like "
        "a normal $ref to $anchor",
        "A $dynamicRef with intermediate scopes that don't include a matching $dynamicAnchor does "
        "not affect dynamic scope resolution",
        "A $dynamicRef without a matching $dynamicAnchor in the same schema resource behaves like "
        "a normal $ref to $anchor",
        "A $dynamicRef without anchor in fragment behaves identical to $ref",
        "An $anchor with the same name as a $dynamicAnchor is not used for dynamic scope resolution",
        "after leaving a dynamic scope, it is not used by a $dynamicRef",
        "multiple dynamic paths to the $dynamicRef keyword",
        "strict-tree schema, guards against misspelled properties",
        "tests for implementation dynamic anchor and reference link",
    },
    "optional/cross-draft.json": {
        "refs to future drafts are processed as future drafts",
        "refs to historic drafts are processed as historic drafts",
    },
    "optional/dynamicRef.json": {
        "$dynamicRef skips over intermediate resources - pointer reference across resource boundary"
    },
    "optional/id.json": {
        "$id inside an enum is not a real identifier",
        "id inside an enum is not a real identifier",
    },
    "optional/unknownKeyword.json": {
        "$id inside an unknown keyword is not a real identifier",
    },
    "ref.json": {
        "$id must be resolved against nearest parent, not just immediate parent",
        "$ref prevents a sibling $id from changing the base uri",
        "Location-independent identifier with base URI change in subschema",
        "Recursive references between schemas",
        "Reference an anchor with a non-relative URI",
        "URN base URI with URN and JSON pointer ref",
        "URN base URI with URN and anchor ref",
        "URN ref with nested pointer ref",
        "order of evaluation: $id and $ref",
        "ref to else",
        "ref to if",
        "ref to then",
        "ref with absolute-path-reference",
        "refs with relative uris and defs",
        "relative refs with absolute uris and defs",
        "remote ref, containing refs itself",
        "simple URN base URI with $ref via the URN",
    },
    "refRemote.json": {
        "$ref to $ref finds detached $anchor",
        "$ref to $ref finds location-independent $id",
        "Location-independent identifier in remote ref",
        "anchor within remote ref",
        "base URI change",
        "base URI change - change folder",
        "base URI change - change folder in subschema",
        "fragment within remote ref",
        "ref within remote ref",
        "remote HTTP ref with different $id",
        "remote HTTP ref with different URN $id",
        "remote HTTP ref with nested absolute ref",
        "remote ref",
        "remote ref with ref to definitions",
        "remote ref with ref to defs",
        "retrieved nested refs resolve relative to their URI not $id",
        "root ref in remote ref",
    },
    "unevaluatedItems.json": {"unevaluatedItems with $dynamicRef"},
    "unevaluatedProperties.json": {"unevaluatedProperties with $dynamicRef"},
}
DRAFT = {
    # The drafts are the two of DRAFTS, without meta-schemas of one's own.
    "optional/format-assertion.json": {
        "schema that uses custom metaschema with format-assertion: false",
        "schema that uses custom metaschema with format-assertion: true",
    },
    "vocabulary.json": {
        "ignore unrecognized optional vocabulary",
        "schema that uses custom metaschema with with no validation vocabulary",
    },
}
ANNOTATION = " is only an annotation by default"
"""What fails of ``format.json``: a format is checked here, as draft 7 has it, in 2020-12 too."""


@pytest.fixture(scope="module")
def groups():
    """File, schema with its draft named, and the rest of each group of tests."""
    found = []
    for path, content in read_suite("json-schema").items():
        folder, _, name = path.partition("/")
        if folder in DRAFTS:
            for group in values.parse_canonical(content.decode()):
                schema = group["schema"]
                if isinstance(schema, dict):
                    schema = {"$schema": DRAFTS[folder], **schema}
                found.append((name, schema, group))
    assert len(found) == 749
    return found


def test_check_schema__the_test_suite__refuses_what_is_listed(groups):
    refused = {"remote_ref": {}, "draft": {}}

    for name, schema, group in groups:
        code = code_of_refusal(schema)
        if code is not None:
            refused[code].setdefault(name, set()).add(group["description"])

    assert refused == {"remote_ref": REMOTE, "draft": DRAFT}


def test_validate__the_test_suite__differs_in_formats_as_annotations_alone(groups):
    differing, count = [], 0

    for name, schema, group in groups:
        if code_of_refusal(schema) is None:
            for test in group["tests"]:
                count += 1
                if (not schemas.validate(schema, test["data"])) != test["valid"]:
                    differing.append((name, test["description"]))

    assert [each for each in differing if not each[1].endswith(ANNOTATION)] == []
    assert (len(differing), {name for name, _ in differing}) == (19, {"format.json"})
    assert count == 3181


def code_of_refusal(schema):
    try:
        schemas.check_schema(schema)
    except InvalidError as error:
        return error.problems[0].code
    return None
