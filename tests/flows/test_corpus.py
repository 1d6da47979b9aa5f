"""Real files, all the way: import, publish in the admin, fetch, watch, roll back, compare bytes."""

import os
from pathlib import Path

import pytest

from apps.engine import formats, values
from apps.engine.errors import UnrepresentableError

pytestmark = pytest.mark.django_db

CORPUS = sorted((Path(__file__).resolve().parents[1] / "corpus").iterdir())
# All of them go through test_corpus_served on both databases; here in every format besides.
STEP = 1 if pytest.long_form else 4 if os.environ.get("DATABASE_URL") else 2
WALKED = CORPUS[::STEP]
ROUND_TRIP = ("json", "yaml", "toml", "xml")


@pytest.fixture
def imported(system):
    from apps.configs.services.importing import import_files
    from apps.registry.selectors import get_environment

    found = import_files(actor=system, files=CORPUS, environment=get_environment("production"))
    assert [each for each in found if each.error] == []
    return {each.service: each for each in found}


@pytest.fixture
def admin_client(client):
    from apps.core.models import User

    client.force_login(User.objects.create_superuser("boss", password="unused"))
    return client


def edited(content, format_name):
    """The text with one more key, as a person would add it; ``None`` where that is a rewrite."""
    if format_name == "json":
        tree = formats.parse(content, "json").tree
        return formats.render({**tree, "added_key": values.number("1.50")}, "json")
    if format_name == "toml":
        return f"added_key = 1.50\n{content}"
    line = {"yaml": "added_key: 1.50", "xml": None}.get(format_name, "added_key=1.50")
    return f"{content.rstrip()}\n{line}\n" if line else None


def test_corpus__is_large_enough_and_has_every_format():
    suffixes = {path.suffix for path in CORPUS}

    assert len(WALKED) * STEP >= len(CORPUS) >= 60
    assert suffixes == {".yml", ".yaml", ".json", ".toml", ".xml", ".env", ".properties"}


def test_import__dry_run__stores_nothing(system):
    from apps.configs.services.importing import import_files
    from apps.registry.models import Service
    from apps.registry.selectors import get_environment

    found = import_files(
        actor=system, files=CORPUS, environment=get_environment("production"), dry_run=True
    )

    assert all(each.outcome and each.created for each in found)
    assert not Service.objects.exists()


def test_import__again__changes_nothing(system, imported):
    from apps.audit.selectors import head
    from apps.configs.services.importing import import_files
    from apps.registry.selectors import get_environment

    before = head().revision
    again = import_files(actor=system, files=CORPUS, environment=get_environment("production"))

    assert all(each.outcome.unchanged for each in again)
    assert head().revision == before


@pytest.mark.parametrize("path", WALKED, ids=[path.name for path in WALKED])
def test_corpus_file__import_publish_fetch_watch_roll_back__comes_back_byte_for_byte(
    path, system, operator, admin_client
):
    from apps.audit.selectors import events_since, head
    from apps.configs.services.importing import import_files, service_of
    from apps.registry.selectors import get_environment

    found = import_files(actor=system, files=[path], environment=get_environment("production"))
    assert found[0].error is None
    service = service_of(path)
    url = f"/config/{service}"
    first = {name: operator.get(f"{url}.{name}") for name in formats.FORMATS}
    source = operator.get(f"{url}?view=source").json()
    document = formats.parse(first["json"].content, "json").tree
    written = path.read_text(encoding="utf-8")
    assert source["content"].replace("$${", "${") == written
    for name in formats.FORMATS:
        try:
            expected = formats.render(document, name)
        except UnrepresentableError:
            assert first[name].status_code == 406
            continue
        assert first[name].status_code == 200
        assert first[name].content.decode() == expected
        if name in ROUND_TRIP:
            assert values.same(formats.parse(first[name].content, name).tree, document)

    position = head().revision
    given = edited(source["content"], source["format"])
    form = {"content": given, "format": source["format"], "base_version": "1", "message": "tried"}
    if given is None:  # XML: an attribute of the root would be foreign; edit it as JSON instead
        tree = formats.parse(source["content"], "xml").tree
        form |= {"content": formats.render({**tree, "added_key": "1.50"}, "json"), "format": "json"}
    page = f"/admin/config/{service}/production/"
    assert admin_client.get(page).status_code == 200
    published = admin_client.post(f"{page}publish/", form)
    assert published.status_code == 302
    changed = operator.get(url).json()
    assert changed["version"] == 2
    assert str(changed["config"]["added_key"]) in ("1.5", "1.50")
    events = [each for each in events_since(position) if each.action == "configuration.publish"]
    assert [each.target for each in events] == [f"configuration:{service}@production"]
    assert '"keys":["added_key"]' in events[0].data

    back = operator.post(f"{url}/rollback", {"environment": "production", "to_version": 1})
    assert back.status_code == 201
    for name in formats.FORMATS:
        again = operator.get(f"{url}.{name}")
        assert (again.status_code, again.content) == (first[name].status_code, first[name].content)
    assert operator.get(f"{url}?view=source").json()["content"] == source["content"]
    for name in ("history/", "diff/?from=1&to=2", "rollback/2/", "use/"):
        assert admin_client.get(f"{page}{name}").status_code == 200
