"""Signed answers: the client takes nothing that a proxy altered, forged or replayed."""

import base64
import hashlib
import json
import sys

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.receivers import Handler, listening
from tests.serving import TOP, installation

sys.path.insert(0, str(TOP / "deploy" / "agent"))

from configsvc_client import Config, ConfigError
from configsvc_client.errors import AwayError
from configsvc_client.timing import Timing

pytestmark = pytest.mark.servers

HERE = "environment=production"
QUICK = Timing(fetch_timeout=5.0)


@pytest.fixture(scope="module")
def served():
    with installation() as made:
        server = made.start()
        with server.client(made.raw) as client:
            client.post("/services", json={"slug": "shop"})
            made.publish = lambda document: client.post(
                "/config/shop",
                json={"environment": "production", "config": document, "on_stale": "overwrite"},
            )
            assert made.publish({"a": 1}).status_code == 201
            client.post("/services", json={"slug": "cart"})
            for other, environment in (("cart", "production"), ("shop", "staging")):
                body = {"environment": environment, "config": {"a": "another's"}}
                assert client.post(f"/config/{other}", json=body).status_code == 201
            secret = {"service": "shop", "environment": "production", "name": "pin", "value": "1"}
            assert client.post("/secrets", json=secret).status_code == 201
            yield made


@pytest.fixture(scope="module")
def keys(served):
    return httpx.get(f"{served.servers[0].url}/.well-known/jwks.json").json()


class Proxy:
    """Stands in between, and gives what ``alter`` makes of status, headers and body."""

    def __init__(self, upstream):
        proxy = self
        self.alter = lambda headers, body: (headers, body)
        self.query = ""
        self.lead = lambda path: path

        class Between(Handler):
            def asked(self):
                sent = {
                    "Authorization": self.headers["Authorization"],
                    "Accept": "application/json",
                }
                answer = httpx.get(upstream + proxy.lead(self.path) + proxy.query, headers=sent)
                names = ("etag", "x-config-epoch", "x-config-revision", "x-config-signature")
                headers = {n: answer.headers[n] for n in names if n in answer.headers}
                headers, body = proxy.alter(headers, answer.content)
                self.answer(answer.status_code, body, headers)

        self.handler = Between


@pytest.fixture
def proxy(served):
    made = Proxy(served.servers[0].url)
    with listening(made.handler) as port:
        made.url = f"http://127.0.0.1:{port}"
        yield made


@pytest.fixture
def signer():
    """Stands for the server, and signs what ``next`` says: the epoch, and the version in it."""
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    class Signer(Handler):
        keys = {"keys": [{"crv": "Ed25519", "kid": "k", "x": in_base64(public)}]}

        def asked(self):
            epoch, version = Signer.next
            envelope = {"service": "shop", "environment": "production", "config": {}}
            body = json.dumps(envelope | {"version": version, "revision": version}).encode()
            digest = hashlib.sha256(body).hexdigest()
            members = (epoch, "shop", "production", version, version, "envelope", digest)
            text = "\n".join(map(str, members))
            signature = in_base64(private.sign(text.encode()))
            headers = {
                "X-Config-Epoch": epoch,
                "X-Config-Signature": f"kid=k; revision={version}; sig={signature}",
            }
            self.answer(200, body, headers)

    with listening(Signer) as port:
        Signer.url = f"http://127.0.0.1:{port}"
        yield Signer


def in_base64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def connect(url, made, keys, **options):
    return Config(
        "shop", environment="production", url=url, token=made.raw, signed_by=keys, **options
    )


@pytest.mark.parametrize(
    ("path", "form"),
    [
        (f"/config/shop?{HERE}", "envelope"),
        (f"/config/shop.yaml?{HERE}", "yaml"),
        (f"/config/shop.json?{HERE}", "json"),
        (f"/config/shop?{HERE}&view=source", "source"),
        (f"/config/shop/value?{HERE}&key=a", "value?key=a"),
        (f"/config/shop?{HERE}&key=b.*&key=a", "envelope?key=a&key=b.%2A"),
    ],
)
def test_signature__of_each_form__holds_over_the_documented_text(served, keys, path, form):
    with served.servers[0].client(served.raw) as client:
        answer = client.get(path)
        live = client.get(f"/config/shop?{HERE}").json()
    parts = dict(
        part.strip().split("=", 1) for part in answer.headers["x-config-signature"].split(";")
    )
    (key,) = [each for each in keys["keys"] if each["kid"] == parts["kid"]]
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "=="))
    text = "\n".join(
        [
            answer.headers["x-config-epoch"],
            "shop",
            "production",
            str(live["version"]),
            str(live["revision"]),
            form,
            hashlib.sha256(answer.content).hexdigest(),
        ]
    )

    public.verify(base64.urlsafe_b64decode(parts["sig"] + "=="), text.encode())
    assert parts["revision"] == str(live["revision"])


def test_signature__of_a_revealed_answer__is_none(served):
    with served.servers[0].client(served.raw) as client:
        answer = client.get(f"/config/shop?{HERE}&reveal=true")

    assert answer.status_code == 200
    assert "x-config-signature" not in answer.headers


def test_client__signed_answer__is_taken(served, proxy, keys, tmp_path):
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(keys))

    for trusted in (keys, file, str(file)):
        assert connect(proxy.url, served, trusted).get("a") == 1


@pytest.mark.parametrize(
    "alter",
    [
        lambda headers, body: (headers, body.replace(b'"a":1', b'"a":2')),
        lambda headers, body: (headers, body.replace(b'"shop"', b'"cart"')),
        lambda headers, body: (headers | {"x-config-epoch": "other"}, body),
        lambda headers, body: ({**headers, "x-config-signature": ""}, body),
        lambda headers, body: (
            {**headers, "x-config-signature": "kid=x; revision=1; sig=AA"},
            body,
        ),
        lambda headers, body: (
            headers | {"x-config-signature": headers["x-config-signature"][:-4] + "AAAA"},
            body,
        ),
        lambda headers, body: (
            headers
            | {
                "x-config-signature": headers["x-config-signature"].replace(
                    "revision=", "revision=9"
                )
            },
            body,
        ),
    ],
    ids=["body", "service", "epoch", "none", "unknown key", "signature", "revision"],
)
def test_client__altered_answer__is_refused(served, proxy, keys, alter):
    proxy.alter = alter

    with pytest.raises(ConfigError):
        connect(proxy.url, served, keys)


def test_client__part_of_the_configuration_for_the_whole__is_refused(served, proxy, keys):
    proxy.query = "&key=b"

    with pytest.raises(ConfigError):
        connect(proxy.url, served, keys)


def test_client__older_answer_replayed__is_refused_and_the_newer_kept(served, proxy, keys):
    kept = []
    proxy.alter = lambda headers, body: kept.append((headers, body)) or (headers, body)
    first = connect(proxy.url, served, keys)
    old = kept[0]
    assert served.publish({"a": 2}).status_code == 201
    proxy.alter = lambda headers, body: (headers, body)
    remote = first._remote()
    assert remote.fetch().envelope["config"] == {"a": 2}

    proxy.alter = lambda _headers, _body: old
    with pytest.raises(Exception, match="replayed"):
        remote.fetch()
    served.publish({"a": 1})


@pytest.mark.parametrize(
    ("asked", "given"),
    [("/config/shop", "/config/cart"), ("=production", "=staging")],
    ids=["service", "environment"],
)
def test_client__signed_answer_about_another__is_refused(served, proxy, keys, asked, given):
    proxy.lead = lambda path: path.replace(asked, given)

    with pytest.raises(ConfigError, match="another service or environment"):
        connect(proxy.url, served, keys)


def test_client__name_in_another_case__is_the_same_service(served, keys):
    url = served.servers[0].url

    config = Config("SHOP", environment="Production", url=url, token=served.raw, signed_by=keys)

    assert config.get("a") == 1


def test_client__no_environment_asked_for__stays_with_that_of_the_first_answer(served, proxy, keys):
    proxy.query = "?environment=production"
    config = Config("shop", url=proxy.url, token=served.raw, signed_by=keys)
    remote = config._remote()
    assert remote.fetch().envelope["environment"] == "production"

    proxy.query = "?environment=staging"
    with pytest.raises(AwayError, match="another service or environment"):
        remote.fetch()


def test_client__older_answer_of_an_epoch_before_the_last__is_refused(served, signer):
    signer.next = ("A", 5)
    config = connect(signer.url, served, signer.keys)
    remote = config._remote()
    signer.next = ("B", 1)
    assert remote.fetch().envelope["version"] == 1

    signer.next = ("A", 4)
    with pytest.raises(AwayError, match="replayed"):
        remote.fetch()
    signer.next = ("A", 5)
    assert remote.fetch().envelope["version"] == 5


@pytest.mark.parametrize("trusted", [{}, {"keys": []}, {"keys": [{"crv": "Ed25519"}]}, {"keys": 5}])
def test_client__no_set_of_keys__is_a_clear_error(served, trusted):
    with pytest.raises(ValueError, match="key"):
        connect("http://127.0.0.1:9", served, trusted or {"none": 1})
