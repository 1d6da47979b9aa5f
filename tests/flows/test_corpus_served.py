"""Every real file through real sockets: published in the admin, heard on a stream, rolled back."""

import httpx
import pytest

from apps.configs.services.importing import service_of
from tests.flows.test_corpus import CORPUS, edited
from tests.flows.test_watch import Stream
from tests.serving import installation

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def served():
    with installation() as made:
        made.servers_ = [made.start()]
        if made.is_postgres:
            made.servers_.append(made.start())
        done = made.manage("import_configs", str(CORPUS[0].parent), "--environment", "production")
        assert done.returncode == 0, done.stderr
        yield made


@pytest.fixture(scope="module")
def admin(served):
    server = served.servers_[0]
    with httpx.Client(base_url=server.url, timeout=30) as browser:
        browser.get("/admin/login/")
        data = {
            "username": "admin",
            "password": served.password,
            "csrfmiddlewaretoken": browser.cookies["csrftoken"],
        }
        assert browser.post("/admin/login/", data=data).status_code == 302
        yield browser


SERVED = CORPUS if pytest.long_form else CORPUS[1::2]
"""In the short form those that :mod:`tests.flows.test_corpus` leaves out."""


@pytest.mark.parametrize("path", SERVED, ids=[path.name for path in SERVED])
def test_corpus_file__published_in_the_admin__is_heard_and_comes_back(served, admin, path):
    from apps.engine import formats

    service = service_of(path)
    stream = Stream(served.servers_[-1], served.raw, f"service={service}&environment=production")
    with served.servers_[0].client(served.raw) as api:
        url = f"/config/{service}?environment=production"
        first, source = api.get(url), api.get(f"{url}&view=source").json()
        text, kind = edited(source["content"], source["format"]), source["format"]
        if text is None:
            tree = formats.parse(source["content"], "xml").tree
            text, kind = formats.render({**tree, "added_key": "1.50"}, "json"), "json"
        form = {"content": text, "format": kind, "base_version": "1", "message": "tried"}
        form["csrfmiddlewaretoken"] = admin.cookies["csrftoken"]
        publish = f"/admin/config/{service}/production/publish/"

        assert admin.post(publish, data=form).status_code == 302
        published = stream.version(2)
        api.post(f"/config/{service}/rollback", json={"environment": "production"})
        back = stream.version(3)

        assert (published["version"], published["keys"]) == (2, ["added_key"])
        assert (back["version"], back["cause"]) == (3, "rollback")
        again = api.get(url)
        assert back["checksum"] == again.json()["checksum"] == first.json()["checksum"]
        assert again.json()["config"] == first.json()["config"]
        assert api.get(f"{url}&view=source").json()["content"] == source["content"]
    stream.client.close()
