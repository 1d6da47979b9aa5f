import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.engine import archives
from apps.engine.errors import DomainError, IntegrityError, MalformedError

KEY = bytes(range(32))
HEADER = {"id": "a", "kind": "full"}


def written(lines, header=HEADER, key=KEY):
    file = io.BytesIO()
    writer = archives.Writer(file, header, key)
    for line in lines:
        writer.write(line)
    writer.finish()
    assert writer.written == len(file.getvalue())
    return file.getvalue()


def read(content, key=KEY):
    file = io.BytesIO(content)
    header, line = archives.read_header(file)
    return header, list(archives.read_lines(file, line, key))


@pytest.fixture(scope="module")
def many():
    """An archive of several pieces: what deflates badly."""
    chance = random.Random(1)
    lines = [chance.randbytes(1_000).hex() for _ in range(2_500)]
    return lines, written(lines)


@given(st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]))))
def test_read__what_was_written__is_the_same(lines):
    assert read(written(lines)) == (HEADER, lines)


def test_read__several_pieces__is_the_same(many):
    lines, content = many

    assert read(content)[1] == lines


def refused(content, key=KEY):
    with pytest.raises(DomainError) as found:
        read(content, key)
    assert isinstance(found.value, IntegrityError | MalformedError)
    return found.value


@pytest.mark.parametrize("share", [0, 0.3, 0.5, 0.99, 0.999999])
def test_read__cut__is_refused(many, share):
    content = many[1]

    assert refused(content[: int(len(content) * share)])


@given(st.data())
def test_read__any_byte_altered__is_refused(data):
    content = written(["one", "two", "three"])
    place = data.draw(st.integers(0, len(content) - 1))
    bit = data.draw(st.integers(0, 7))
    altered = content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :]

    refused(altered)


def pieces_of(content):
    """The header, and the sealed pieces with their lengths."""
    file = io.BytesIO(content)
    archives.read_header(file)
    start, found = file.tell(), []
    while prefix := file.read(4):
        found.append(prefix + file.read(int.from_bytes(prefix, "big")))
    return content[:start], found


def test_read__pieces_swapped_or_left_out_or_of_another__is_refused(many):
    head, pieces = pieces_of(many[1])
    other = pieces_of(written(many[0], {"id": "b", "kind": "full"}))[1]
    again = pieces_of(written(many[0][::-1], HEADER, bytes(32)))[1]
    assert len(pieces) > 2

    refused(head + b"".join([pieces[1], pieces[0], *pieces[2:]]))
    refused(head + b"".join([pieces[0], *pieces[2:]]))
    refused(head + b"".join(pieces[:-1]))
    refused(head + b"".join([*pieces, pieces[-1]]))
    refused(head + b"".join([other[0], *pieces[1:]]))
    refused(head + b"".join([*pieces[:-1], again[-1]]))
    refused(many[1] + b"x")


def test_read__another_key__is_refused():
    assert refused(written(["one"]), bytes(32))


def test_header__of_another_file__is_foreign_and_a_newer_one_newer():
    content = written(["one"])
    newer = content.replace(b"configsvc-archive 1", b"configsvc-archive 2")

    assert refused(b"PK\x03\x04" + content).code == "foreign"
    assert refused(b"").code == "foreign"
    assert refused(newer).code == "newer"
    assert refused(content.replace(b'{"id"', b'{"id', 1)).code == "damaged"
    assert refused(content[:25] + b"{" * 70_000).code == "damaged"


@pytest.mark.parametrize("size", [1_000_000, 70_000_000])
def test_read__a_line_that_deflates_well__is_bounded(size):
    """Only a holder of the key could write it: memory stays bounded all the same."""
    file = io.BytesIO()
    writer = archives.Writer(file, HEADER, KEY)
    for _ in range(size // 1_000_000):
        writer._waiting += writer._deflate.compress(b"x" * 1_000_000)
    writer.write("")
    writer.finish()

    if size > archives.MAX_LINE:
        assert "too long" in refused(file.getvalue()).detail
    else:
        assert read(file.getvalue())[1] == ["x" * size]
