"""What looks like a credential, and what does not."""

import time

import pytest

from apps.engine.credentials import find
from tests.limits import CPU_SECONDS

LARGE = 250_000
LETTERS = "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA1bC3dE5fG7h"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("AKIA" + "ABCDEFGHIJKLMNOP", "AWS Access Key"),
        ("postgres://app:" + "hunter22" + "@db.example/shop", "Basic Auth Credentials"),
        ("ghp_" + LETTERS[:36], "GitHub Token"),
        ("glpat-" + LETTERS[:20], "GitLab Token"),
        ("-----BEGIN RSA " + "PRIVATE KEY-----\nMIIB", "Private Key"),
        ("-----BEGIN " + "PRIVATE KEY-----\nMIIB", "Private Key"),
        ("xoxb-" + "1234567890-1234567890-abcdefghij", "Slack Token"),
        ("sk_live_" + LETTERS[:24], "Stripe Access Key"),
        ("eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiJhIn0.abcdefghijk", "JSON Web Token"),
        ("csk_" + LETTERS[:43], "configsvc Token"),
        ("redis://:" + "s3cr3tpass" + "@cache:6379/0", "Basic Auth Credentials"),
        ("https://:" + "tok" + "@host", "Basic Auth Credentials"),
        ("amqp://app:" + "p!ss$w+rd" + "@mq/shop", "Basic Auth Credentials"),
        ("AIza" + LETTERS[:35], "Google API Key"),
        ("GOCSPX-" + LETTERS[:28], "Google OAuth Client Secret"),
        ("hvs." + "CAESIJ" + LETTERS * 2, "HashiCorp Vault Token"),
        (LETTERS[:14] + ".atlasv1." + LETTERS * 2, "HCP Terraform Token"),
        ("dop_v1_" + "0123456789abcdef" * 4, "DigitalOcean Token"),
        ("sk-ant-" + "api03-" + LETTERS * 2, "Anthropic API Key"),
        ("github_pat_" + LETTERS[:22] + "_" + (LETTERS * 2)[:59], "GitHub Token"),
        ("hf_" + LETTERS[:34], "Hugging Face Token"),
        ("glsa_" + LETTERS[:32] + "_0123abcd", "Grafana Service Account Token"),
        ("dapi" + "0123456789abcdef" * 2, "Databricks Token"),
        ("npm_" + LETTERS[:36], "NPM Token"),
        ("AGE-SECRET-KEY-1" + "Q" * 58, "age Secret Key"),
    ],
)
def test_find__credential_in_plain_text__is_named_with_its_place(text, kind):
    found = find({"a": "nothing here", "list": [{"x.y": f"before {text} after"}]})

    assert found == [(("list", 0, "x.y"), kind)]


@pytest.mark.parametrize(
    "text",
    [
        "postgres://app:${secret:db}@db.example/shop",
        "https://example.com/a:b@c",
        "redis://:${secret:cache}@cache:6379/0",
        "redis://:${param:password}@cache:6379/0",
        "postgres://app:****@db.example/shop",
        "http://[2001:db8::1]:8080/a@b",
        "see https://host:8080/ or mail a@b.example",
        "hvs.short and AIza",
        "a perfectly ordinary sentence about passwords",
        "-----BEGIN CERTIFICATE-----\nMIIB",
        "550e8400-e29b-41d4-a716-446655440000",
        "sha256:" + "ab" * 32,
    ],
)
def test_find__ordinary_text__is_none(text):
    assert find({"a": text}) == []


@pytest.mark.parametrize(
    ("tree", "found"),
    [
        ({"AWS_SECRET_ACCESS_KEY": LETTERS[:40]}, True),
        ({"s3": [{"aws": {"secretAccessKey": LETTERS[:40]}}]}, True),
        ({"aws": {"region": LETTERS[:40]}}, False),
        ({"secretAccessKey": LETTERS[:39]}, False),
        ({"build": {"commit": "0123456789" * 4}}, False),
    ],
)
def test_find__secret_key_of_aws__is_known_by_its_name(tree, found):
    assert [each.kind for each in find(tree)] == ["AWS Access Key"] * found


@pytest.mark.parametrize(
    "part",
    [
        "eyJ",
        "://a:",
        "://",
        "://:",
        "ghp_",
        "AKIA",
        "xoxb-1",
        "//x/:_auth",
        "1:",
        "sk-",
        "sk-ant-a-",
    ],
)
def test_find__hostile_text__does_not_hang(part):
    started = time.process_time()

    find({"a": part * (LARGE // len(part))})

    assert time.process_time() - started < CPU_SECONDS * LARGE / 1_000_000


def test_find__behind_much_else__is_found():
    before = {f"k{number:04}": "x" * 900 for number in range(1_100)}

    found = find({**before, "z": {"key": "AKIA" + "ABCDEFGHIJKLMNOP"}})

    assert found == [(("z", "key"), "AWS Access Key")]


def test_find__many_credentials_in_many_texts__does_not_hang():
    tree = {f"k{number}": "sk-" * 15 + "AKIA" + "ABCDEFGHIJKLMNOP" for number in range(15_000)}
    started = time.process_time()

    assert len(find(tree)) == len(tree)
    assert time.process_time() - started < CPU_SECONDS


def test_find__far_into_a_long_text__is_found_across_pieces():
    for offset in range(1_780, 2_060, 7):
        text = "x " * (offset // 2) + "AKIA" + "ABCDEFGHIJKLMNOP"
        assert [each.kind for each in find({"a": text})] == ["AWS Access Key"], offset
