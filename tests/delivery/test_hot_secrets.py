"""Answers with the values of secrets: kept sealed, and opened for each who asks."""

import gc
import json
import shutil

import pytest
from asgiref.sync import sync_to_async

from apps.access import services
from apps.audit.models import AuditEvent
from apps.delivery import memory
from apps.vault import disclosing
from apps.vault.disclosing import SealedAnswer
from apps.vault.models import Disclosure, SecretVersion
from tests.delivery.test_hot import (
    LONG,
    SYSTEM,
    _slow_machine,  # noqa: F401 - a fixture
    asked,
    at_once,
    bearer,
    grant_of,
    publish,
    run,
    same,
    world,  # noqa: F401 - a fixture
    write_pin,
)

pytestmark = pytest.mark.django_db(transaction=True)

HERE = "/config/shop?reveal=true"
VALUE = 'se"cret\nvälue 😀 \\ 4711'
FILES = ["", ".json", ".yaml", ".toml", ".xml", ".env", ".properties"]


@pytest.fixture
def reader(world):  # noqa: F811
    """An administrator's token, and a document with secrets in it."""
    write_pin(VALUE)
    publish(
        config={
            "long": LONG,
            "db": {"password": {"$secret": "pin"}},
            "url": "pg://u:${secret:pin}@h/${secret:pin}",
            "env": {"PIN": "${secret:pin}"},
        }
    )
    yield bearer(world["everything"])
    disclosing.forget_waiting()


async def disclosed(asgi, reader, address=HERE):
    """Past the first disclosure, which is an act, to where it is kept."""
    for _time in range(2):
        answer, times = await asked(asgi, address, reader)
        assert times == 1
    return answer


def test_revealed__asked_again__is_opened_at_once_and_compressed_never(reader):
    async def scenario(asgi, _feed):
        first = await disclosed(asgi, reader)
        coded = [reader, ("accept-encoding", "gzip, br")]
        await asgi.get(HERE, coded)

        again = at_once(asgi.get(HERE, coded))

        config = json.loads(again.body)["config"]
        assert config["db"]["password"] == VALUE
        assert config["url"] == f"pg://u:{VALUE}@h/{VALUE}"
        assert again.header(b"content-encoding") is None
        assert again.header(b"cache-control") == b"no-store"
        same(at_once(asgi.get(HERE, [reader])), first)

    run(scenario)


@pytest.mark.parametrize("suffix", FILES)
def test_revealed__in_each_format__is_the_same_as_djangos(reader, suffix):
    address = f"/config/shop{suffix}?reveal=true&environment=production"

    async def scenario(asgi, _feed):
        await disclosed(asgi, reader, address)

        same(at_once(asgi.get(address, [reader])), await asgi.get_from_django(address, [reader]))

    run(scenario)


def test_memory__of_what_was_revealed__has_no_value_in_it(reader):
    async def scenario(asgi, feed):
        await disclosed(asgi, reader)
        at_once(asgi.get(HERE, [reader]))
        for suffix in FILES:
            for _time in range(2):
                await asgi.get(f"/config/shop{suffix}?reveal=true", [reader])

        held = reachable_from(feed.memory)

        assert any(isinstance(each, SealedAnswer) for each in held)
        words = [
            VALUE,
            json.dumps(VALUE, ensure_ascii=False)[1:-1],
            "välue",
            json.dumps(VALUE)[1:-1],
        ]
        for each in held:
            text = each.decode("utf-8", "replace") if isinstance(each, bytes) else each
            assert not (isinstance(text, str) and any(word in text for word in words))

    run(scenario)


def reachable_from(kept):
    """All that memory holds, but for classes, modules and functions."""
    assert isinstance(kept, memory.Memory)
    found, waiting = {}, [kept._kept, kept._at]
    while waiting:
        each = waiting.pop()
        if id(each) not in found and not isinstance(each, type) and not callable(each):
            found[id(each)] = each
            waiting += [one for one in gc.get_referents(each) if type(one).__name__ != "module"]
            waiting += each if isinstance(each, (tuple, list)) else []
    return list(found.values())


def test_disclosures__from_memory__are_counted(reader):
    async def scenario(asgi, _feed):
        await disclosed(asgi, reader)
        for _time in range(3):
            at_once(asgi.get(HERE, [reader]))
        await sync_to_async(disclosing.flush)()

    run(scenario)
    row = Disclosure.objects.get(account="service-account:everything")
    assert row.count == 5
    assert row.last_at > row.first_at
    assert AuditEvent.objects.filter(action="secret.disclosed").count() == 1


def test_counts__that_cannot_be_written__wait(reader, monkeypatch):
    async def scenario(asgi, _feed):
        await disclosed(asgi, reader)
        at_once(asgi.get(HERE, [reader]))

    run(scenario)
    with monkeypatch.context() as broken:
        broken.setattr("apps.vault.disclosing.writing", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            disclosing.flush()
    disclosing.flush()
    disclosing.flush()

    assert Disclosure.objects.get(account="service-account:everything").count == 3


def test_secret__written_anew__is_in_the_next_answer(reader):
    async def scenario(asgi, _feed):
        before = await disclosed(asgi, reader)
        at_once(asgi.get(HERE, [reader]))

        await sync_to_async(write_pin)("another")

        after, times = await asked(asgi, HERE, reader)
        assert times == 1
        assert json.loads(after.body)["config"]["db"]["password"] == "another"
        assert after.header(b"etag") != before.header(b"etag")

    run(scenario)


def test_right__withdrawn__ends_what_is_kept(reader, world):  # noqa: F811
    async def scenario(asgi, _feed):
        await disclosed(asgi, reader)

        grant = await sync_to_async(grant_of)("everything")
        await sync_to_async(services.withdraw_grant)(actor=SYSTEM, grant=grant)

        assert (await asgi.get(HERE, [reader])).status == 404

    run(scenario)


def test_key__that_is_gone__lets_nothing_be_opened_from_memory(reader, settings, tmp_path):
    own = tmp_path / "encryption.key"  # other tests have theirs at this moment
    shutil.copy(settings.KEY_PROVIDER["file"], own)
    settings.KEY_PROVIDER = {**settings.KEY_PROVIDER, "file": str(own)}

    async def scenario(asgi, _feed):
        await disclosed(asgi, reader)
        at_once(asgi.get(HERE, [reader]))
        away = own.rename(tmp_path / "away")

        answer, times = await asked(asgi, HERE, reader)
        assert (times, answer.status) == (1, 503)

        away.rename(own)
        assert (await asked(asgi, HERE, reader))[0].status == 200

    run(scenario)


def test_key__of_another_server__is_asked_for_by_django(reader, monkeypatch):
    """Opening it would hold up everybody else."""
    monkeypatch.setattr("apps.vault.providers.LocalKeys.is_local", lambda *_: False)

    async def scenario(asgi, _feed):
        await disclosed(asgi, reader)

        assert (await asked(asgi, HERE, reader))[1] == 1

    run(scenario)


def test_row__damaged_in_memory__is_not_given(reader, monkeypatch):
    async def scenario(asgi, feed):
        await disclosed(asgi, reader)
        [sealed] = [
            each.value
            for each in feed.memory._kept.values()
            if isinstance(each.value, SealedAnswer)
        ]
        object.__setattr__(sealed, "sealed", sealed.sealed[:-1] + bytes([sealed.sealed[-1] ^ 1]))

        answer, times = await asked(asgi, HERE, reader)

        assert (times, answer.status) == (1, 200)  # Django reads the row, which is whole

    run(scenario)
    assert SecretVersion.objects.count() > 0
