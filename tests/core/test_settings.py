"""What no process starts with, told of by the name of the setting."""

import pytest

from configsvc import checks
from configsvc.env import Env, UnsafeSettingError, create_keys
from configsvc.redis_urls import read_redis_url


@pytest.mark.parametrize("text", ["-1", "1.5", "²", "٣", "9" * 13, "9" * 5000])
def test_number__that_is_none_or_too_long__is_refused_by_name(monkeypatch, text):
    monkeypatch.setenv("CONFIGSVC_JOB_LEASE_SECONDS", text)

    with pytest.raises(UnsafeSettingError, match=r"^CONFIGSVC_JOB_LEASE_SECONDS must be a whole"):
        Env.read()


@pytest.mark.parametrize(
    ("check", "given", "said"),
    [
        (checks.check_page_size, {"page_size": 0}, "CONFIGSVC_PAGE_SIZE must be"),
        (checks.check_page_size, {"page_size": 201}, "CONFIGSVC_PAGE_SIZE must be"),
        (checks.check_log_level, {"log_level": "LOUD"}, "CONFIGSVC_LOG_LEVEL must be one of"),
        (checks.check_login, {"oidc_issuer": "https://[x"}, "CONFIGSVC_OIDC_ISSUER is no URL"),
        (checks.check_sinks, {"audit_syslog": "tcp://[x"}, "CONFIGSVC_AUDIT_SYSLOG is no URL"),
        (checks.check_retention, {"backup_keep": "7 days"}, "CONFIGSVC_BACKUP_KEEP"),
        (checks.check_retention, {"backup_keep": ""}, "CONFIGSVC_BACKUP_KEEP"),
        (
            checks.check_sinks,
            {"audit_syslog": "tls://h:1", "audit_syslog_ca": "/not/there.pem"},
            "CONFIGSVC_AUDIT_SYSLOG_CA .* No such file",
        ),
        (
            checks.check_sinks,
            {"audit_syslog": "tls://h:1", "audit_syslog_ca": __file__},
            "CONFIGSVC_AUDIT_SYSLOG_CA .* no PEM file",
        ),
    ],
)
def test_setting__that_cannot_hold__is_refused_by_name(check, given, said):
    with pytest.raises(UnsafeSettingError, match=f"^{said}"):
        check(Env(**given))


@pytest.mark.parametrize(
    "url", ["redis://h:port/0", "redis://h:99999/0", "redis://[::1/0", "rediss://h/shop"]
)
def test_redis_url__of_one_server_that_is_none__is_refused(url):
    with pytest.raises(UnsafeSettingError, match=r"^REDIS_URL is"):
        read_redis_url(url)


@pytest.mark.parametrize(
    "url",
    ["redis://h", "redis://h:1/", "rediss://u:p@[::1]:6379/15", "unix:///run/redis.sock?db=1"],
)
def test_redis_url__of_one_server__is_taken(url):
    assert read_redis_url(url).cache["LOCATION"] == url


@pytest.mark.parametrize("given", [{}, {"debug": True}, {"allowed_hosts": ("config.example",)}])
def test_debug__without_a_public_host_or_not_at_all__is_taken(given):
    checks.check_debug(Env(**given))


def test_debug__with_a_public_host__is_refused():
    hosts = ("localhost", "config.example")

    with pytest.raises(UnsafeSettingError, match=r"the public host config\.example:"):
        checks.check_debug(Env(debug=True, allowed_hosts=hosts))


def test_data_folder__that_is_a_file__is_refused_by_name(tmp_path):
    (tmp_path / "var").touch()

    with pytest.raises(UnsafeSettingError, match=r"^CONFIGSVC_DATA_DIR \(--data\) is .*/var"):
        create_keys(Env(data_dir=tmp_path / "var"))
