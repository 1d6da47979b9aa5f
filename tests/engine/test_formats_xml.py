import time
from xml.etree import ElementTree

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apps.engine import formats, values
from apps.engine.errors import DomainError, LimitError, MalformedError, UnrepresentableError
from tests.limits import CPU_SECONDS, examples

MIB = 1_048_576
KEYS = st.sampled_from(
    ["a", "item", "_", "@type", "@name", "#text", "@xmlns:p", "p:q", "@p:q", "@x:y", "x:y", "@", ""]
    + [
        "@@",
        "@xmlns",
        "é",
        "@é",
        "a b",
        "xml",
        "@xmlns:xml",
        "xmlns:p",
        "@_",
        "@xml:lang",
        "\ufffd",
    ]
)
LEAVES = st.sampled_from(
    [None, True, 5, 1.5, values.number("-0"), values.number("1e3"), "", " ", "\n", "x", " y ", "5"]
    + ["\u2003", "\x85", "]]>", "\r\n", "integer", "\ufeff", "<&\"'>"]
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(["a", "item", "_", "config", "type", "name", "x:y", "p:q", "xml:lang"])
TEXTS = st.sampled_from(
    ["", " ", "\n", "x", " y ", "5", "\u2003", "&amp;", "<![CDATA[ z ]]>", "&#13;"]
)
ATTRIBUTES = st.dictionaries(
    st.sampled_from(["type", "name", "id", "xmlns:p", "x:y", "xml:lang"]),
    st.sampled_from(["integer", "array", "object", "null", "number", "5", "", " q", "&#10;"]),
    max_size=2,
)


def elements(inner):
    def element(name, attributes, children):
        opening = "".join(f' {key}="{value}"' for key, value in attributes.items())
        return f"<{name}{opening}>{''.join(children)}</{name}>"

    return st.builds(element, NAMES, ATTRIBUTES, st.lists(inner | TEXTS, max_size=4))


@given(TREES)
@settings(max_examples=examples(800), deadline=None)
@example({"item": ["x"]})
@example({"_": {"@name": "", "@a": "x"}})
@example({"a": {"@type": "integer", "#text": "5"}})
@example({"p:q": {"@xmlns:p": "urn:p", "p:r": {"@p:s": "1"}}})
def test_render__any_tree__reads_back_and_is_well_formed_with_namespaces(tree):
    try:
        text = formats.render(tree, "xml")
    except UnrepresentableError:
        assert isinstance(tree, str)
        return

    assert values.same(formats.parse(text, "xml").tree, tree)
    ElementTree.fromstring(text)  # noqa: S314 - our own text


@given(elements(st.recursive(TEXTS, elements, max_leaves=10)))
@settings(max_examples=examples(800), deadline=None)
def test_parse__foreign_xml__keeps_its_meaning_through_writing_and_reading(text):
    try:
        tree = formats.parse(text, "xml").tree
    except MalformedError as error:
        assert error.problems[0].line
        return

    assert values.same(formats.parse(formats.render(tree, "xml"), "xml").tree, tree)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("<config/>", "{}"),
        ("<config>\n</config>", "{}"),
        ("<config><a/><b> </b></config>", '{"a":"","b":" "}'),
        ("<config><a><item>1</item></a></config>", '{"a":["1"]}'),
        ("<config><a type='array'/><b type='object'/></config>", '{"a":[],"b":{}}'),
        ("<config><a type='null'/><b type='boolean'>true</b></config>", '{"a":null,"b":true}'),
        ("<config><a type='number'> 1.10 </a></config>", '{"a":1.10}'),
        ("<config><a/><a>x</a></config>", '{"a":["","x"]}'),
        ("<c><p name='n' type='integer'/></c>", '{"c":{"p":{"@name":"n","@type":"integer"}}}'),
        ("<c><p type='string'>x</p></c>", '{"c":{"p":{"#text":"x","@type":"string"}}}'),
        ("<c><p type='array' id='3'>t</p></c>", '{"c":{"p":{"#text":"t","@id":"3","@type":"array"}}}'),
        ("<c><p type='integer'/></c>", '{"c":{"p":{"@type":"integer"}}}'),
        ("<c><!-- x --><?y z?><p id='1'>\n</p></c>", '{"c":{"p":{"@id":"1"}}}'),
        ("<c> a <b>x</b> c </c>", '{"c":{"#text":"a  c","b":"x"}}'),
        ("<config><_ name='a b'>x</_></config>", '{"a b":"x"}'),
        ("<?xml version='1.0' encoding='UTF-8'?><config><a>é</a></config>", '{"a":"é"}'),
    ],
)  # fmt: skip
def test_parse__documented_mapping__gives_the_documented_tree(text, tree):
    assert values.canonical(formats.parse(text, "xml").tree) == tree


def refused(text, parse=formats.parse):
    with pytest.raises(MalformedError) as caught:
        parse(text, "xml")
    problem = caught.value.problems[0]
    return type(caught.value), problem.line, problem.column


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", (1, 1)),
        ("<a>é<b>\n</a>", (2, 3)),
        ("<config>\n<a type='integer'>x</a></config>", (2, 1)),
        ("<config>é<a type='number'>1e400</a></config>", (1, 10)),
        ("<config><a type='null'>x</a></config>", (1, 9)),
        ("<a/><b/>", (1, 5)),
        ("<a>&lt;&x;</a>", (1, 8)),
        ("<a>\x01</a>", (1, 4)),
        ("<a b='1' b='2'/>", (1, 10)),
    ],
)
def test_parse__bad_document__names_its_place(text, where):
    assert refused(text) == (MalformedError, *where)


@pytest.mark.parametrize(
    "said",
    ["", " encoding='utf-8'", ' encoding="UTF-8"', " encoding='utf8' standalone='yes'"],
)
@pytest.mark.parametrize("value", ["e", "é"])
def test_parse_sent__declaration_of_utf_8_or_of_none__is_taken(said, value):
    text = f"<?xml version='1.0'{said}?><config><a>{value}</a></config>"

    assert formats.parse_sent(text.encode(), "xml").tree == {"a": value}


@pytest.mark.parametrize("encoding", ["us-ascii", "ASCII", "ISO-8859-1", "windows-1252", "GBK"])
def test_parse_sent__declaration_of_what_holds_ascii__is_taken_over_ascii_alone(encoding):
    text = f"<?xml version='1.0'\n encoding='{encoding}'?><config><a>%s</a></config>"

    assert formats.parse_sent(text % "e", "xml").tree == {"a": "e"}
    assert refused(text % "é", formats.parse_sent) == (MalformedError, 2, 2)


@pytest.mark.parametrize(
    "encoding", ["utf-16", "UTF-16LE", "utf-32", "utf-7", "utf-8-sig", "cp037", "x-unheard-of"]
)
@pytest.mark.parametrize("value", ["e", "é", "+AOk-"])
def test_parse_sent__declaration_of_another_encoding__is_refused_at_its_place(encoding, value):
    text = f"\ufeff<?xml version='1.0' encoding='{encoding}'?><config><a>{value}</a></config>"

    assert refused(text.encode(), formats.parse_sent) == (MalformedError, 1, 21)


@pytest.mark.parametrize(
    "doctype",
    [
        "<!DOCTYPE a>",
        '<!DOCTYPE a SYSTEM "file:///etc/passwd">',
        '<!DOCTYPE a PUBLIC "x" "http://127.0.0.1/x.dtd">',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE a [<!ENTITY % x "y"> %x;]>',
        '<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;"><!ENTITY d "&c;&c;">]>',
    ],
)
def test_parse__document_type__is_refused_at_its_line(doctype):
    assert refused(f"<?xml version='1.0'?>\n{doctype}\n<a>&d;</a>")[:2] == (MalformedError, 2)


def test_render__characters_that_xml_has_not__name_their_keys():
    with pytest.raises(UnrepresentableError) as caught:
        formats.render({"a": ["x", "\x1b"], "b": {"\ufffe": 1}}, "xml")

    assert [problem.pointer for problem in caught.value.problems] == ["/a/1", "/b/\ufffe"]


def test_positions__members_and_items__are_their_elements():
    text = (
        "<config>\n <a>\n  <item>x</item>\n  <item><b>y</b></item>\n </a>\n"
        " <c/>\n <c><_ name='d e'/></c>\n</config>"
    )
    positions = formats.parse(text, "xml").positions

    expected = {
        "": (1, 1),
        "/a": (2, 2),
        "/a/0": (3, 3),
        "/a/1/b": (4, 9),
        "/c": (6, 2),
        "/c/1": (7, 2),
        "/c/1/d e": (7, 5),
    }
    assert {pointer: positions.find(pointer) for pointer in expected} == expected


@pytest.mark.parametrize(
    "text",
    [
        "<a>" * 100_000,
        "<a " + " ".join(f"b{n}=''" for n in range(100_000)) + "/>",
        "<a>" + "<b/>" * (MIB // 4) + "</a>",
    ],
    ids=range(3),
)
def test_parse__over_a_limit__is_refused_at_its_place_without_a_hang(text):
    started = time.process_time()

    kind, line, column = refused(text)

    assert time.process_time() - started < CPU_SECONDS
    assert (kind, bool(line and column)) == (LimitError, True)


@pytest.mark.parametrize(
    "text",
    [
        "<a>" + "&lt;" * (MIB // 4) + "</a>",
        "<a>" + "<!---->" * (MIB // 7) + "</a>",
        "<?a?>" * (MIB // 5) + "<a/>",
        "<a b='" + "&#10;" * (MIB // 5) + "'/>",
        "<" + "a" * MIB + "/>",
        "<a><b type='integer'>" + "9" * MIB + "</b></a>",
    ],
    ids=range(6),
)
def test_parse__large_text__does_not_hang(text):
    started = time.process_time()
    try:
        formats.parse(text, "xml").positions.find("/a/b")
    except DomainError as error:
        assert len(error.detail) < 500

    assert time.process_time() - started < CPU_SECONDS
