"""The auditors' pages: filters, timelines, files to take away, proof, the past, readers."""

import io
import json
import subprocess
import sys
import zipfile

import pytest

pytestmark = pytest.mark.django_db

PAGES = [
    "ledger/",
    "ledger/refused/",
    "ledger/proof/",
    "rights/past/",
    "ledger/download/ledger.jsonl",
]
FILES = ["ledger.jsonl", "ledger.csv", "bundle.zip", "checkpoints.jsonl", "keys.json"]


@pytest.fixture
def auditor(two_services, log_in):
    return log_in("olu", ("auditor", None, None))


def page(client, address):
    answer = client.get(f"/admin/{address}")
    assert answer.status_code == 200, answer.content[:500]
    return answer.content.decode()


@pytest.mark.parametrize("address", PAGES)
def test_pages__without_audit_everywhere__are_refused(two_services, log_in, address):
    viewer = log_in("vera", ("viewer", None, None), ("auditor", "shop", None))
    expected = 403

    assert viewer.get(f"/admin/{address}").status_code == expected


def test_verify__without_audit__is_refused_and_starts_nothing(two_services, log_in):
    from apps.audit.verification import find_running

    viewer = log_in("vera", ("viewer", None, None))

    assert viewer.post("/admin/ledger/verify/").status_code == 403
    assert find_running() is None


def test_ledger__filtered__shows_what_matches_and_passes_it_on_to_the_files(auditor):
    found = page(auditor, "ledger/?action=service.*&actor=system:test")

    assert "service:shop" in found
    assert "configuration.publish" not in found
    assert "ledger.csv?actor=system%3Atest&amp;action=service.%2A" in found
    assert "No event matches" in page(auditor, "ledger/?until=2001-01-01")
    assert "configuration.publish" in page(auditor, "ledger/?key=a&since=2001-01-01")


def test_ledger__a_time_that_is_none__is_said(auditor):
    answer = auditor.get("/admin/ledger/?since=yesterday")

    assert answer.status_code == 400
    assert "2026-11-24" in answer.content.decode()


def test_ledger__of_one_object__is_its_timeline(auditor):
    found = page(auditor, "ledger/?target=configuration:shop@production")

    assert "Timeline of configuration:shop@production" in found
    assert 'class="p-timeline"' in found


@pytest.mark.parametrize("name", FILES)
def test_download__each_file__is_an_attachment(auditor, name):
    answer = auditor.get(f"/admin/ledger/download/{name}")

    assert answer.status_code == 200
    assert "attachment" in answer["Content-Disposition"]
    b"".join(answer.streaming_content)


def test_download__unknown_name__is_404(auditor):
    assert auditor.get("/admin/ledger/download/settings.py").status_code == 404


def test_bundle__unpacked__verifies_by_what_is_in_it(auditor, system, tmp_path):
    from apps.audit.checkpoints import write_checkpoint

    write_checkpoint(actor=system)
    octets = b"".join(auditor.get("/admin/ledger/download/bundle.zip").streaming_content)
    zipfile.ZipFile(io.BytesIO(octets)).extractall(tmp_path)
    options = ["--checkpoint", "checkpoints.jsonl", "--keys", "keys.json", "--json"]

    done = subprocess.run(
        [sys.executable, "verifier.py", "ledger.jsonl", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    found = json.loads(done.stdout)
    assert (found["ok"], found["checkpoints"]) == (True, 1), done.stderr


def test_proof__verify_now__shows_that_it_runs(auditor, system):
    from apps.audit.checkpoints import write_checkpoint

    row = write_checkpoint(actor=system)
    assert "was not verified yet" in page(auditor, "ledger/proof/")

    assert auditor.post("/admin/ledger/verify/").status_code == 302

    found = page(auditor, "ledger/proof/")
    assert "Verifying: Waiting" in found
    assert 'http-equiv="refresh"' in found
    assert json.loads(row.line)["hash"] in found


def test_proof__verified__is_a_job_that_says_who_asked_and_no_longer_that_it_runs(auditor):
    from apps.core.models import Job
    from apps.core.runner import run_due

    auditor.post("/admin/ledger/verify/")

    run_due()

    job = Job.objects.exclude(outcome="").get(kind="audit.verify_now")
    assert job.subject.startswith("Asked by user:")


def test_proof__sink_that_fails__shows_its_lag_and_error(auditor, settings, system):
    from apps.configs.services.places import create_service
    from apps.core.runner import run_due

    settings.AUDIT_FILE = "/dev/full"
    create_service(actor=system, slug="late")
    run_due()

    found = page(auditor, "ledger/proof/")

    assert "No space left on device" in found
    assert '<span class="badge warn">1</span>' in found


def test_past__for_a_place_today__names_who_and_through_what(auditor):
    found = page(auditor, "rights/past/?service=shop&environment=production")

    assert "user:olu" in found
    assert "auditor" in found
    assert "has not come yet" in page(auditor, "rights/past/?day=2999-01-01")
    assert "2026-11-24" in page(auditor, "rights/past/?day=x")


def test_readers__of_a_configuration__are_for_its_auditors(two_services, log_in, make_api):
    reader = make_api("viewer", service="shop")
    assert reader.get("/config/shop?environment=production&key=a").status_code == 200
    viewer = log_in("vera", ("viewer", "shop", None))
    auditor = log_in("olu", ("auditor", "shop", None))

    assert viewer.get("/admin/config/shop/production/readers/").status_code == 403
    found = page(auditor, "config/shop/production/readers/?key=a")
    assert f"service-account:{reader.account.slug}" in found
    assert page(auditor, "config/shop/production/readers/?key=a[").count("p-banner") == 1


def test_refused_reads__counted__are_shown_by_actor_and_address(auditor, make_api):
    from apps.audit import refusals

    assert "Nobody was refused" in page(auditor, "ledger/refused/")
    stranger = make_api("viewer", service="shop")
    for _ in range(3):
        assert stranger.get("/config/vault-door?environment=bunker").status_code == 404
    for address in ("198.51.100.7", "203.0.113.9"):
        refusals.count_read(actor=f"address:{address}", target="service:<b>door</b>")
    refusals.flush(everything=True)

    named = page(auditor, f"ledger/refused/?actor={stranger.account.slug}")
    addressed = page(auditor, "ledger/refused/?actor=198.51.100.&target=door")

    assert f"service-account:{stranger.account.slug}" in named
    assert ">3 times<" in named
    assert "198.51.100.7" not in named
    assert "198.51.100.7" in addressed
    assert "203.0.113.9" not in addressed
    assert "&lt;b&gt;door" in addressed
    assert "No refused read matches" in page(auditor, "ledger/refused/?target=nothing")


def test_bundle__checkpoint_signed_meanwhile__is_not_beyond_its_ledger(
    auditor, system, monkeypatch, tmp_path
):
    from apps.audit import downloads
    from apps.audit.checkpoints import write_checkpoint
    from apps.configs.services.places import create_service

    export = downloads.export

    def exporting(**asked):
        taken = export(**asked)
        create_service(actor=system, slug="meanwhile")
        write_checkpoint(actor=system, file=tmp_path / "marks.jsonl")
        return taken

    monkeypatch.setattr(downloads, "export", exporting)
    octets = b"".join(auditor.get("/admin/ledger/download/bundle.zip").streaming_content)
    with zipfile.ZipFile(io.BytesIO(octets)) as archive:
        name = next(each for each in archive.namelist() if each.startswith("ledger"))
        last = json.loads(archive.read(name).decode().splitlines()[-1])
        marks = archive.read("checkpoints.jsonl").decode().splitlines()

    assert "meanwhile" not in last["target"]
    assert all(json.loads(each)["revision"] <= last["revision"] for each in marks)


@pytest.mark.django_db(transaction=True)  # the end of a response closes what is in no transaction
def test_download__beside_many_others__is_asked_to_wait_and_then_served(auditor):
    from apps.audit.downloads import MOST_AT_ONCE

    address = "/admin/ledger/download/bundle.zip"
    slow = [auditor.get(address) for _each in range(MOST_AT_ONCE)]

    refused = auditor.get("/admin/ledger/download/ledger.jsonl")
    assert refused.status_code == 429
    slow[0].close()  # its reader went away before the first byte
    assert b"".join(auditor.get(address).streaming_content)[:2] == b"PK"
    assert b"".join(slow[1].streaming_content)[:2] == b"PK"
    for each in slow[2:]:
        each.close()


def test_proof__webhook_for_checkpoints__is_among_the_sinks(auditor, settings):
    settings.CHECKPOINT_WEBHOOK = "witness"

    assert "checkpoints to witness" in auditor.get("/admin/ledger/proof/").content.decode()


def test_ledger__keys_that_rules_hide__are_on_no_page(two_services, system, auditor):
    from apps.access.key_rules import create_key_rule
    from apps.access.policy import Place

    target = "ledger/?target=configuration:shop@production"
    assert "checksum" in page(auditor, target)
    create_key_rule(actor=system, pattern="a", place=Place(two_services[0]))

    text = page(auditor, target)
    assert "shortened: key rules hide" in text
    assert "checksum" not in text
    assert "No event matches" in page(auditor, f"{target}&key=a")
    assert "shortened: key rules hide" in page(auditor, "ledger/")
