"""The page of backups: what one needs to know first, every archive, and what is done with them."""

import datetime
import html
import re
from pathlib import Path

import pytest

from apps.core import clock, runner
from tests.backups.archives import NOON, put_archive

pytestmark = pytest.mark.django_db

PAGE = "/admin/backups/"
DAY = datetime.timedelta(days=1)
MINUTE = datetime.timedelta(minutes=1)


@pytest.fixture
def folder(settings, tmp_path):
    settings.BACKUP_FOLDER = tmp_path / "kept"
    settings.BACKUP_WORK = tmp_path / "work"
    settings.BACKUP_KEEP = "1d"
    return settings.BACKUP_FOLDER


@pytest.fixture
def admin(log_in, shop):
    return log_in("ines", superuser=True)


def text_of(answer):
    assert answer.status_code == 200, answer.content[:300]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


def drilled(*, ago, problem=""):
    from apps.backups.models import Run

    at = clock.now() - ago
    revision = None if problem else 7
    common = {"kind": "drill", "author": "system:backups", "archive": "a.configsvc"}
    Run.objects.create(**common, asked_at=at, ended_at=at, revision=revision, problem=problem)


def test_page__without_a_backup__says_what_that_means_and_what_to_do(admin, folder):
    page = text_of(admin.get(PAGE))

    assert "No backup was restored on trial yet" in page
    assert "everything would be lost" in page
    assert "No backup yet" in page
    assert "Restore the newest on trial" not in page


def test_page__of_a_day_of_segments__is_one_row_that_opens(admin, folder):
    from apps.audit.selectors import head

    full, header = put_archive(folder, epoch=head().epoch)
    for number in range(1, 231):
        name, header = put_archive(
            folder,
            NOON + number * MINUTE,
            after=header,
            epoch=head().epoch,
        )

    page = admin.get(PAGE)
    opened = admin.get(f"{PAGE}?of={full}&page=3")

    assert "230 segments" in text_of(page)
    assert f"manage.py backup restore {name}" in text_of(page)
    assert len(page.content) < 60_000
    assert page.content.decode().count("-segment-") < 5
    assert f"manage.py backup restore {full}" in text_of(opened)
    assert "page 3 of 3" in text_of(opened)
    lost = head().revision
    assert lost > 0
    assert f"at most {lost} event" in text_of(page)


def test_page__segments_whose_full_archive_is_gone__says_that_nothing_restores_them(admin, folder):
    full, header = put_archive(folder)
    put_archive(folder, NOON + MINUTE, after=header)
    (folder / full).unlink()

    page = text_of(admin.get(PAGE))

    assert "Segments alone incomplete" in page
    assert "manage.py backup restore 2026" not in page


def test_page__a_file_that_is_none__is_shown_with_its_problem(admin, folder):
    put_archive(folder)
    (folder / "x.configsvc").write_bytes(b"something else")

    page = text_of(admin.get(PAGE))

    assert "Cannot be read" in page
    assert "This is no archive of configsvc." in page


def test_page__of_a_folder_that_cannot_be_read__says_why(admin, folder, monkeypatch):
    def refuse(_path):
        raise PermissionError(13, "Permission denied")

    put_archive(folder)
    monkeypatch.setattr(Path, "iterdir", refuse)

    page = admin.get(PAGE)

    assert page.status_code == 503
    assert "Permission denied" in page.content.decode()


def test_page__a_name_with_signs_of_the_shell__is_quoted_in_the_command(admin, folder):
    name, _header = put_archive(folder)
    (folder / name).rename(folder / "a;touch x.configsvc")

    page = text_of(admin.get(PAGE))

    assert "manage.py backup restore 'a;touch x.configsvc'" in page


def test_verify__pressed__goes_on_in_the_table_until_it_is_done(admin, folder):
    name, _header = put_archive(folder)
    done = admin.post(PAGE, {"act": "verify", "name": name}, follow=True)
    going = admin.get(f"{PAGE}runs/").content.decode()

    runner.run_due()

    assert "The backup is being verified." in text_of(done)
    assert "data-goes-on" in going
    assert "<progress" in going
    over = admin.get(f"{PAGE}runs/").content.decode()
    assert "data-goes-on" not in over
    assert ">done<" in over
    assert "verified" in text_of(admin.get(PAGE))
    assert "user:ines" in over


def test_prune__previewed_and_confirmed__takes_what_was_shown(admin, folder):
    names = [put_archive(folder, NOON + number * DAY)[0] for number in range(3)]
    preview = text_of(admin.get(f"{PAGE}?prune=1"))

    admin.post(PAGE, {"act": "prune"})
    runner.run_due()

    assert "2 archives" in preview
    assert f"{names[2]} newest daily" in preview
    assert [each.name for each in folder.iterdir()] == names[2:]
    assert "Nothing is old enough" in text_of(admin.get(f"{PAGE}?prune=1"))


@pytest.mark.parametrize(
    ("act", "status"), [({"act": "verify", "name": "../x"}, 200), ({"act": "no"}, 400), ({}, 400)]
)
def test_act__that_is_none__changes_nothing(admin, folder, act, status):
    assert admin.post(PAGE, act, follow=True).status_code == status
    assert "Nothing yet." in text_of(admin.get(PAGE))


def test_headline__of_drills__is_good_old_or_failed_there_and_at_home(admin, folder):
    assert "none was restored on trial yet" in text_of(admin.get("/admin/"))
    drilled(ago=3 * DAY)
    assert "The last trial of a backup is old" in text_of(admin.get(PAGE))
    assert "The last trial of a backup is old" in text_of(admin.get("/admin/"))
    drilled(ago=MINUTE)
    assert "was restored on trial a minute ago" in text_of(admin.get(PAGE))
    assert "one was restored on trial a minute ago" in text_of(admin.get("/admin/"))
    drilled(ago=0 * DAY, problem="The archive is cut.")
    for address in (PAGE, "/admin/"):
        assert "The last trial of a backup failed" in text_of(admin.get(address))
        assert "The archive is cut." in text_of(admin.get(address))


def test_auditor__looks_on__and_developer_sees_nothing_of_it(log_in, shop, folder):
    name, _header = put_archive(folder)
    drilled(ago=3 * DAY)
    auditor = log_in("ada", ("auditor", None, None))
    developer = log_in("dan", ("developer", None, None))

    page = auditor.get(PAGE).content.decode()

    assert name in page
    assert 'name="act"' not in page
    assert auditor.post(PAGE, {"act": "create"}).status_code == 403
    assert "a.configsvc" in page
    for address in (PAGE, f"{PAGE}runs/"):
        assert developer.get(address).status_code == 403
    assert "trial" not in text_of(developer.get("/admin/"))
    assert "admin/backups" not in developer.get("/admin/").content.decode()
