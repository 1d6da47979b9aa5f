"""Archives that are damaged, of somebody else, or made to harm: each is refused, in our words."""

import contextlib
import io
import random
import tempfile
import zlib

import pytest

from tests.backups.archives import put_archive

pytestmark = pytest.mark.django_db

TABLE = '{"after":0,"columns":[["name","text"]],"table":"x"}'


def with_rows(count, chance):
    """The lines of a table of so many rows that hardly compress."""
    from apps.backups.writing import Digest
    from apps.engine.values import compact

    digest = Digest()
    lines = [f'["{chance.randbytes(900).hex()}"]' for _ in range(count)]
    for line in lines:
        digest.add(line)
    end = compact({"end": "x", "rows": digest.rows, "digest": str(digest)})
    return [TABLE, *lines, end]


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A full archive of several sealed pieces and two segments, and another full one: their bytes."""
    folder = tmp_path_factory.mktemp("archives")
    chance = random.Random(20261127)
    name, full = put_archive(folder, lines=with_rows(2_500, chance))
    one, first = put_archive(folder, after=full, lines=with_rows(3, chance))
    two, _second = put_archive(folder, after=first, lines=with_rows(3, chance))
    other, _header = put_archive(folder, lines=with_rows(2_500, chance))
    return [(folder / each).read_bytes() for each in (name, one, two, other)]


def check(*archives):
    """Read them as one chain, as whoever restores does; ``True`` when it is whole."""
    from apps.backups.restoring import check_chain

    @contextlib.contextmanager
    def opened(content):
        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.seek(0)
            yield file

    check_chain([lambda content=each: opened(content) for each in archives])
    return True


def pieces(archive):
    """The header of an archive, and each sealed piece with its length before it."""
    at = archive.index(b"\n", archive.index(b"\n") + 1) + 1
    found = [archive[:at]]
    while at < len(archive):
        length = int.from_bytes(archive[at : at + 4], "big") + 4
        found.append(archive[at : at + length])
        at += length
    return found


def flipped(chance, archive, _other):
    at = chance.randrange(len(archive))
    return archive[:at] + bytes([archive[at] ^ 1 << chance.randrange(8)]) + archive[at + 1 :]


def cut(chance, archive, _other):
    return archive[: chance.randrange(len(archive))]


def swapped(chance, archive, _other):
    header, *sealed = pieces(archive)
    one, two = chance.sample(range(len(sealed)), 2)
    sealed[one], sealed[two] = sealed[two], sealed[one]
    return b"".join([header, *sealed])


def foreign(chance, archive, other):
    mine, theirs = pieces(archive), pieces(other)
    at = chance.randrange(len(mine))
    mine[at] = theirs[at]
    return b"".join(mine)


def dropped(chance, archive, _other):
    sealed = pieces(archive)
    del sealed[chance.randrange(1, len(sealed))]
    return b"".join(sealed)


def repeated(chance, archive, _other):
    sealed = pieces(archive)
    at = chance.randrange(1, len(sealed))
    return b"".join([*sealed[:at], sealed[at], *sealed[at:]])


def longer(chance, archive, _other):
    return archive + chance.randbytes(chance.randrange(1, 100))


def zeroed(chance, archive, _other):
    at = chance.randrange(len(archive) - 64)
    return archive[:at] + bytes(64) + archive[at + 64 :]


DAMAGES = (flipped, cut, swapped, foreign, dropped, repeated, longer, zeroed)


def test_check__archives_damaged_at_random__are_all_refused_in_our_words(chain):
    from apps.engine.errors import IntegrityError, MalformedError, SealedError

    full, one, two, other = chain
    chance = random.Random(7)
    assert check(full, one, two)
    assert len(pieces(full)) > 3
    seen = set()
    for turn in range(500 if pytest.long_form else 80):
        damage = DAMAGES[turn % len(DAMAGES)]
        harmed = damage(chance, full, other)
        assert harmed != full
        with pytest.raises((IntegrityError, MalformedError, SealedError)) as refused:
            check(harmed, one, two)
        seen.add(type(refused.value))
    assert IntegrityError in seen


@pytest.mark.parametrize(
    "order", [(0, 2), (1, 2), (0, 2, 1), (0, 1, 1), (3, 1, 2), (1,), (0, 3), (0, 1, 2, 3)]
)
def test_check__a_chain_that_lacks_a_segment_or_has_another__is_incomplete(chain, order):
    from apps.engine.errors import IntegrityError

    with pytest.raises(IntegrityError) as refused:
        check(*(chain[each] for each in order))

    assert refused.value.code == "incomplete"
    if order[0] in (1, 2):  # segments
        assert f"before the segment {order[0]} is missing" in refused.value.detail


@pytest.mark.parametrize("place", [0, 1, 2])
def test_check__one_of_a_chain_damaged__is_named(chain, place):
    from apps.backups.reading import name_of, read_archive_header
    from apps.engine.errors import IntegrityError

    archives = [*chain[:3]]
    archives[place] = archives[place][:-40] + bytes(40)

    with pytest.raises(IntegrityError) as refused:
        check(*archives)

    header, _line = read_archive_header(io.BytesIO(archives[place]))
    assert refused.value.detail.startswith(f"{name_of(header)}: ")


def test_check__a_segment_of_other_tables__is_refused(tmp_path):
    from apps.engine.errors import IntegrityError

    name, full = put_archive(tmp_path)
    later, _header = put_archive(tmp_path, after=full, migrations=[["configs", "9999_later"]])

    with pytest.raises(IntegrityError) as refused:
        check(*((tmp_path / each).read_bytes() for each in (name, later)))

    assert refused.value.code == "incomplete"


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"\n",
        b"configsvc-archive",
        b"configsvc-archive 1",
        b"configsvc-archive 1\n",
        b"configsvc-archive 0x1\n{}\n",
        b"configsvc-archive 99999999999999999999\n{}\n",
        b"configsvc-archive 1\n{}\n",
        b"configsvc-archive 1\n[]\n",
        b"configsvc-archive 1\n\xff\xfe\n",
        b'configsvc-archive 1\n{"id":' + b"[" * 60_000 + b"\n",
        b'configsvc-archive 1\n{"id":"' + b"a" * 200_000 + b'"}\n',
        b"PK\x03\x04 of somebody",
    ],
)
def test_check__a_file_that_is_no_archive__is_refused_at_its_start(start):
    from apps.engine.errors import MalformedError

    with pytest.raises(MalformedError):
        check(start + b"x" * 1_000)


def sealed_by_us(folder, stream):
    """An archive by a holder of the key whose stream is not what a writer makes."""
    from apps.engine import archives

    class Raw(archives.Writer):
        def write(self, line):
            self._waiting += line

        def finish(self):
            while len(self._waiting) > archives.PIECE:
                self._seal(bytes(self._waiting[: archives.PIECE]), last=False)
                del self._waiting[: archives.PIECE]
            self._seal(bytes(self._waiting), last=True)

    name, _header = put_archive(folder, writer=Raw, lines=[stream], manifest=False)
    return (folder / name).read_bytes()


@pytest.mark.parametrize(
    "stream",
    [
        b"no deflate at all",
        zlib.compress(b""),
        zlib.compress(b'{"manifest":[]}\n'),
        zlib.compress(b'{"manifest":{}}\n{"manifest":{}}\n'),
        zlib.compress(b"[1]\n"),
        zlib.compress(b"\xff\xfe\n"),
        zlib.compress(b"[" * 2_000_000 + b"\n"),
        zlib.compress(b"a" * 200_000_000, 9),
        zlib.compress(b'{"table":"x","columns":[["a","text","more"]],"after":0}\n["a"]\n'),
        zlib.compress(b'{"table":"x","columns":[7],"after":0}\n["a"]\n'),
        zlib.compress(b'{"table":"x; DROP TABLE y","columns":[["a","text"]],"after":0}\n["a"]\n'),
    ],
    ids=range(11),
)
def test_check__a_stream_that_no_writer_makes__is_refused_in_bounded_memory(tmp_path, stream):
    import tracemalloc

    from apps.engine.errors import IntegrityError

    archive = sealed_by_us(tmp_path, stream)
    tracemalloc.start()
    try:
        with pytest.raises(IntegrityError):
            check(archive)
        _now, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 200 * 1_048_576
