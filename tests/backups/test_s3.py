"""Archives in S3-compatible storage, by moto, which answers in memory as S3 does."""

import io
from pathlib import Path

import pytest
from moto import mock_aws

from tests.api.test_references import publish
from tests.flows.test_propagation import service

HOST = "https://localhost:8443"
ADDRESS = f"{HOST}/vault/shop/daily?region=eu-central-1"


@pytest.fixture
def bucket(settings, monkeypatch, tmp_path):
    """A bucket with something else in it."""
    import boto3

    from apps.core.addresses import ipaddress

    settings.PRIVATE_TARGETS = [ipaddress.ip_network(each) for each in ("127.0.0.0/8", "::1/128")]
    settings.BACKUP_WORK = settings.BACKUP_FOLDER = tmp_path / "work"
    settings.BACKUP_ACCESS_KEY, settings.BACKUP_SECRET_KEY = "AKID", "not-a-real-key"
    monkeypatch.setenv("MOTO_S3_CUSTOM_ENDPOINTS", HOST)
    with mock_aws():
        client = boto3.client(
            "s3",
            endpoint_url=HOST,
            region_name="eu-central-1",
            aws_access_key_id="AKID",
            aws_secret_access_key="not-a-real-key",
        )
        client.create_bucket(
            Bucket="vault", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        client.put_object(Bucket="vault", Key="shop/daily/notes.txt", Body=b"of somebody")
        client.put_object(Bucket="vault", Key="shop/daily/deep/x.configsvc", Body=b"deeper")
        yield client


@pytest.fixture
def place(bucket):
    from apps.backups.catalogue import store_at

    store = store_at(ADDRESS)
    yield store
    store.close()


def test_store__an_archive__is_put_listed_read_and_deleted(place, bucket, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"configsvc-archive 1\n{}\n" + b"x" * 100_000)

    place.put(path, "a.configsvc")

    assert [(each.name, each.size) for each in place.list()] == [("a.configsvc", 100_023)]
    assert place.start("a.configsvc") == b"configsvc-archive 1\n{}\n"
    bucket.delete_object(Bucket="vault", Key="shop/daily/a.configsvc")
    assert place.start("a.configsvc") == b"configsvc-archive 1\n{}\n"
    place.put(path, "a.configsvc")
    for _ in range(2):
        with place.open("a.configsvc") as file:
            assert file.read() == path.read_bytes()
    place.delete("a.configsvc")
    place.delete("a.configsvc")
    assert place.list() == []


def test_store__a_start_that_cannot_be_kept__is_given_all_the_same(place, settings, tmp_path):
    (tmp_path / "a").write_bytes(b"configsvc-archive 1\n{}\n" + b"x")
    place.put(tmp_path / "a", "a.configsvc")
    kept = settings.BACKUP_WORK / ".starts" / "a.configsvc"
    kept.mkdir(parents=True)  # as where the disk is full: no file comes to be

    assert place.start("a.configsvc") == b"configsvc-archive 1\n{}\n"


def test_store__what_goes_wrong__is_said_without_the_key(place, bucket):
    from apps.backups.catalogue import store_at
    from apps.engine.errors import NotFoundError, UnavailableError

    with pytest.raises(NotFoundError), place.open("none.configsvc"):
        pass
    with pytest.raises(NotFoundError), place.open("../notes.txt"):
        pass
    other = store_at(f"{HOST}/no-such-bucket")
    with pytest.raises(UnavailableError, match="NoSuchBucket"):
        other.list()


def test_store_at__authorities_of_its_own__verify_it(bucket, settings, monkeypatch, tmp_path):
    """The database, whose Connection holds them, is lost."""
    import boto3

    from apps.backups.catalogue import store_at
    from apps.engine.errors import InvalidError

    verified, client = [], boto3.client

    def connect(*named, verify, **options):
        verified.append(Path(verify).read_text())
        return client(*named, verify=verify, **options)

    monkeypatch.setattr(boto3, "client", connect)
    path = tmp_path / "authorities.pem"
    settings.BACKUP_AUTHORITIES = str(path)
    with pytest.raises(InvalidError, match="CONFIGSVC_BACKUP_AUTHORITIES"):
        store_at(ADDRESS)
    path.write_text("of our own")
    store_at(ADDRESS).list()

    assert verified == ["of our own"]


def test_store__storage_that_does_not_answer__is_unavailable(settings, tmp_path):
    from apps.backups.s3 import Credentials, S3Store
    from apps.core.addresses import ipaddress
    from apps.core.outgoing import read_s3
    from apps.engine.errors import InvalidError, UnavailableError

    settings.PRIVATE_TARGETS = [ipaddress.ip_network(each) for each in ("127.0.0.0/8", "::1/128")]
    store = S3Store(read_s3("https://localhost:1/vault"), Credentials("a", "b"), tmp_path)
    with pytest.raises(UnavailableError, match="storage of backups failed"):
        store.list()
    settings.PRIVATE_TARGETS = []
    with pytest.raises(InvalidError, match="not a public one"):
        store.list()


@pytest.mark.parametrize(
    "address",
    [
        "http://localhost/vault",
        "https://localhost",
        "https://localhost/",
        "https://a:b@localhost/vault",
        "https://localhost/vault/../other",
        "https://localhost/vault//x",
        "https://localhost/vault?zone=1",
    ],
)
def test_address__that_is_no_bucket__is_refused(address):
    from apps.core.outgoing import read_s3
    from apps.engine.errors import InvalidError

    with pytest.raises(InvalidError):
        read_s3(address)


@pytest.fixture
def attic(bucket, settings, make_api, system):
    """The bucket as a Connection that the settings name, in another case."""
    from apps.access.policy import Place
    from apps.registry.selectors import get_environment, get_service
    from apps.vault.connections import ConnectionData, save_connection
    from apps.vault.services import create_secret

    operator = make_api("administrator")
    service(operator, "shop")
    publish(operator, "shop", {"n": 1})
    key = create_secret(
        actor=system,
        place=Place(get_service("shop"), get_environment("production")),
        slug="storage-key",
        value="not-a-real-key",
    )
    data = ConnectionData("attic", "s3", ADDRESS, key, login="AKID")
    settings.BACKUP_CONNECTION = "Attic"
    return save_connection(actor=system, data=data)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "change",
    [
        {"login": ""},
        {"tls": "require"},
        {"roles": ["app"]},
        {"services": ["shop"]},
        {"address": "https://localhost:8443"},
    ],
)
def test_connection__to_storage_that_is_not_complete__is_refused(attic, system, change):
    from dataclasses import replace

    from apps.engine.errors import InvalidError
    from apps.vault.connections import ConnectionData, find_credential, save_connection

    data = ConnectionData("cellar", "s3", ADDRESS, find_credential(attic), login="AKID")
    with pytest.raises(InvalidError):
        save_connection(actor=system, data=replace(data, **change))


@pytest.mark.django_db
def test_store__of_a_connection__is_found_by_its_name(attic, settings):
    from apps.backups.catalogue import read_catalogue, store
    from apps.engine.errors import NotFoundError

    assert read_catalogue(store()) == []
    settings.BACKUP_CONNECTION = "cellar"
    with pytest.raises(NotFoundError, match="cellar"):
        store()


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_backup__to_a_connection__is_made_listed_and_verified_there(attic, bucket, system):
    from django.core.management import call_command

    from apps.backups.catalogue import read_catalogue, store
    from apps.backups.services import create_backup, verify_backup

    made = create_backup(actor=system)

    assert [each.name for each in read_catalogue(store())] == [made.name]
    keys = [each["Key"] for each in bucket.list_objects_v2(Bucket="vault")["Contents"]]
    assert f"shop/daily/{made.name}" in keys
    assert verify_backup(actor=system, name=made.name).last["revision"] == made.header.revision
    said = io.StringIO()
    call_command("backup", "list", "--store", ADDRESS, stdout=said)
    assert made.name in said.getvalue()
