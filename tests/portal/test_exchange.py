"""Import and export in the portal: trying a file, importing it, taking an export away."""

import io
import zipfile

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tests.api.test_exchange import archive
from tests.api.test_references import config, publish

pytestmark = pytest.mark.django_db

PAGE = "/admin/exchange/"


@pytest.fixture
def ada(shop, operator, log_in):
    publish(operator, "shop", {"a": 1})
    return log_in("ada", ("administrator", None, None))


def send(client, name, content, **members):
    file = SimpleUploadedFile(name, content)
    sent = {"kind": "spring", "environment": "production", "mapped": "", "act": "try"}
    return client.post(PAGE, {**sent, **members, "file": file})


def texts(answer):
    return " ".join(answer.content.decode().split())


def test_page__trying_a_file__says_what_would_happen_and_stores_nothing(ada, operator):
    content = archive({"shop.yml": "a: 2\n", "new-prod.yml": "b: 1\n"})

    tried = texts(send(ada, "repo.zip", content, mapped="prod=production"))
    assert config(operator, "shop") == {"a": 1}
    done = texts(send(ada, "repo.zip", content, mapped="prod=production", act="import"))

    assert "3 of 4 would be new or changed. Nothing is stored yet." in tried
    assert "<code>new@production</code>" in tried
    assert "Done: 3 of 4 are new or changed." in done
    assert config(operator, "shop") == {"a": 2}
    assert config(operator, "new") == {"b": 1}


def test_page__with_what_is_refused__says_where(ada, operator):
    refused = send(ada, "shop.yml", b"a: 1\na: 2\n", act="import")
    unknown = send(ada, "dump.json", b"[]", kind="moon")
    mapped = send(ada, "shop.yml", b"a: 1\n", mapped="prod")
    missing = ada.post(PAGE, {"kind": "spring"})

    assert refused.status_code == 422
    assert "nothing was stored" in texts(refused)
    assert "line 2:" in texts(refused)
    assert "What is imported is one of tree" in texts(unknown)
    assert "as in prod=production" in texts(mapped)
    assert "Choose a file" in texts(missing)
    assert config(operator, "shop") == {"a": 1}


def test_export__of_a_person__is_an_archive_that_imports_to_nothing_new(ada):
    answer = ada.get(f"{PAGE}export/?service=shop&environment=")

    with zipfile.ZipFile(io.BytesIO(answer.content)) as opened:
        assert "services/shop/production.json" in opened.namelist()
    told = texts(send(ada, "configsvc.zip", answer.content, kind="tree", act="import"))
    assert "Done: 0 of" in told


def test_page__of_somebody_who_may_read_alone__offers_no_import(ada, log_in):
    reader = log_in("rita", ("viewer", None, None))

    assert "Importing needs the right" in texts(reader.get(PAGE))
    assert send(reader, "shop.yml", b"a: 5\n", act="import").status_code == 403


def test_page__with_rules_that_live_ones_fail__wants_them_acknowledged(ada, operator):
    rule = {"name": "small", "service": "shop", "expression": "config.a < 9"}
    assert operator.post("/rules", rule).status_code == 201
    answer = ada.get(f"{PAGE}export/?service=shop&environment=")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as opened:
        files = {each: opened.read(each) for each in opened.namelist()}
    files["rules.yaml"] = files["rules.yaml"].replace(b"config.a < 9", b"config.a < 1")
    sent = {"kind": "tree", "act": "import"}

    refused = send(ada, "configsvc.zip", archive(files), **sent)

    assert refused.status_code == 422
    assert "<code>shop@production</code> <code>/a</code>" in texts(refused)
    assert 'name="acknowledge"' in texts(refused)
    done = send(ada, "configsvc.zip", archive(files), **sent, acknowledge="1")
    assert "Done: 1 of" in texts(done)
