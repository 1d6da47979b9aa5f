"""The YAML test suite, held against our reader and writer.

Each case is a stream and, where that can be JSON, the JSON of its documents; some are no YAML.
"""

import pytest

from apps.engine import formats, values
from apps.engine.errors import DomainError
from tests.suites import read_suite

REFUSED = {
    # What the refusal says, why, and the cases.
    "A configuration is one YAML document": (
        "A configuration is one document.",
        "35KP 6XDY 6ZKB 9DXL 9KAX JHB9 KSS4 L383 PUW8 RZT7 U9NS",
    ),
    "A key is plain text, not a": (
        "A configuration is a tree as JSON has it: keys are text that one can point at.",
        "26DV 4FJ6 6BFJ 6PBE 9MMW E76Z KK5P LX3P M2N8/00 M2N8/01 M5DY Q9WF RZP5 SBG9 V9D5 X38W XW4D",
    ),
    "Keys are text: write": ("The same: these keys are empty, which is null.", "DFF7 FH7J PW8X"),
    "A key may not hold control characters.": ("The same in every format.", "5WE3 6SLA"),
    "only YAML's core types are.": (
        "The core schema's tags only: others are types that no reader of JSON knows.",
        "2XXW 565N 5TYM 6CK3 6WLZ 7FWL 9WXW C4HZ CC74 CUP7 J7PZ M5C3 P76L UGM3 Z67P Z9M4",
    ),
    "A key that begins with '?' stands in quotes.": (
        "libyaml reads YAML 1.1, where the question mark is not a part of the key.",
        "652Z HM87/01",
    ),
    "An anchor's name is made of": (
        "libyaml reads YAML 1.1, where the anchor ends before the colon.",
        "2SXE Y2GN",
    ),
    "did not find expected alphabetic or numeric character": (
        "libyaml: names of anchors are ASCII in YAML 1.1.",
        "8XYN W5VH",
    ),
    "did not find expected ',' or '}'": (
        "libyaml: a key in braces and its colon stand on one line in YAML 1.1.",
        "4MUZ/00 4MUZ/01 4MUZ/02 5MUD 9SA2 K3WX NJ66 UT92 VJP3/01",
    ),
    "did not find expected node content": (
        "libyaml: no plain text begins with a colon in YAML 1.1, and no stream with '...'.",
        "58MP 5T43 CFD4 DBG4 HM87/00 HWV9 QT73",
    ),
    "did not find expected key": (
        "libyaml: an empty key needs its question mark in YAML 1.1.",
        "2JQS 6M2F NHX8 NKF9 S3PD SM9W/01 UKK6/00",
    ),
    "found unexpected ':'": ("libyaml: the same in brackets.", "4ABK FRK4"),
    "did not find expected <document start>": (
        "libyaml: text of several lines is indented, and a second document begins with '---'.",
        "7Z25 DK3J FP8R M7A3",
    ),
    "found character that cannot start any token": (
        "libyaml: a tab separates nothing where YAML 1.1 looks for indentation.",
        "6BCT 6CA3 A2M4 DK95/00 DK95/03 Q5MG Y79Y/010",
    ),
    "found a tab character": (
        "libyaml: the same in text of several lines and before a key.",
        "96NN/00 96NN/01 DK95/04 R4YG Y79Y/001",
    ),
    "directive name": (
        "libyaml: it knows no directives but YAML and TAG, and takes text after '|' for one.",
        "2LFX 6LVF MUS6/05 MUS6/06 W4TN",
    ),
    "found incompatible YAML document": ("libyaml: there is no YAML 1.3.", "BEC7"),
}
OTHERWISE = {
    # What is taken although it is no YAML 1.2, or gives something else than the suite says.
    "libyaml lets a flow collection or a quoted text go on at the margin or behind a tab.": (
        "9C9N DK95/01 QB6E Y79Y/003"
    ),
    "libyaml takes '#' for a comment behind ',', ']', '>', a quote or '%YAML' without a blank.": (
        "9JBA CVW2 MUS6/00 SU5Z X4QW"
    ),
    "libyaml takes a '-' alone in brackets for text.": "G5U8 YJV2",
    "libyaml lets empty lines at the head of a text be deeper than its first line.": "S98Z",
    "The suite counts the end of the input as the end of a line of blanks, libyaml does not.": (
        "JEF9/02 L24T/01"
    ),
    "An empty document is an empty configuration, not null.": "DK95/07 MUS6/02 MUS6/03 MUS6/04",
}


@pytest.fixture(scope="module")
def suite():
    """The files of each case."""
    cases = {}
    for path, content in read_suite("yaml").items():
        case, _, name = path.rpartition("/")
        cases.setdefault(case, {})[name] = content
    return {case: files for case, files in cases.items() if "in.yaml" in files}


def test_parse__the_yaml_test_suite__refuses_of_yaml_what_is_listed(suite):
    refused = {}
    for case, files in suite.items():
        if "error" not in files:
            try:
                formats.parse(files["in.yaml"], "yaml")
            except DomainError as error:
                refused[case] = error.detail

    listed = {case: said for said, (_, cases) in REFUSED.items() for case in cases.split()}
    assert refused.keys() == listed.keys()
    assert [case for case, said in listed.items() if said not in refused[case]] == []
    assert len(suite) == 402


def test_parse__the_yaml_test_suite__reads_otherwise_what_is_listed(suite):
    found = {case for case, files in suite.items() if not is_read_as_said(files)}

    assert found == {case for cases in OTHERWISE.values() for case in cases.split()}


def test_render__each_document_of_the_yaml_test_suite__reads_back_the_same(suite):
    count = 0
    for case, files in suite.items():
        try:
            tree = formats.parse(files["in.yaml"], "yaml").tree
        except DomainError:
            continue
        again = formats.parse(formats.render(tree, "yaml"), "yaml").tree
        assert values.same(again, tree), case
        count += 1

    assert count > 200


def is_read_as_said(files):
    """Whether what is taken is YAML and gives the JSON beside it, in both ways it is written."""
    try:
        trees = [formats.parse(files["in.yaml"], "yaml").tree]
    except DomainError:
        return True  # the other test's matter
    if "error" in files:
        return False
    if "in.json" not in files:
        return True  # the suite says what it is in events alone
    if "out.yaml" in files:
        trees.append(formats.parse(files["out.yaml"], "yaml").tree)
    expected = formats.parse(files["in.json"] or b"{}", "json").tree
    return all(values.same(tree, expected) for tree in trees)
