"""Values that look like credentials in plain text: keys, tokens, passwords in addresses.

The patterns are those of detect-secrets, by Yelp, and beside them formats that it does not know, as
those who issue them have published them (``FORMATS``, ``PREFIXED``). Nothing of a value leaves this module, and
none of that library's verifiers, which ask other servers, is used. Its patterns are not linear, so
each is shown short pieces: a document is read whole, in time that grows with its length.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from detect_secrets.plugins.aws import AWSKeyDetector
from detect_secrets.plugins.azure_storage_key import AzureStorageKeyDetector
from detect_secrets.plugins.basic_auth import BasicAuthDetector
from detect_secrets.plugins.discord import DiscordBotTokenDetector
from detect_secrets.plugins.github_token import GitHubTokenDetector
from detect_secrets.plugins.gitlab_token import GitLabTokenDetector
from detect_secrets.plugins.jwt import JwtTokenDetector
from detect_secrets.plugins.mailchimp import MailchimpDetector
from detect_secrets.plugins.npm import NpmDetector
from detect_secrets.plugins.openai import OpenAIDetector
from detect_secrets.plugins.private_key import PrivateKeyDetector
from detect_secrets.plugins.pypi_token import PypiTokenDetector
from detect_secrets.plugins.sendgrid import SendGridDetector
from detect_secrets.plugins.slack import SlackDetector
from detect_secrets.plugins.square_oauth import SquareOAuthDetector
from detect_secrets.plugins.stripe import StripeDetector
from detect_secrets.plugins.telegram_token import TelegramBotTokenDetector
from detect_secrets.plugins.twilio import TwilioKeyDetector

from apps.engine.paths import Path, format_path, leaves
from apps.engine.values import Tree

PIECE: Final = 1_024
OVERLAP: Final = 256
SHORTEST: Final = 12
TOLD_BY_NAME: Final = 40
"""The length of AWS's secret access keys, which look like any text of letters and digits."""

_DETECTORS: Final[Sequence[Any]] = (
    AWSKeyDetector,
    AzureStorageKeyDetector,
    BasicAuthDetector,
    DiscordBotTokenDetector,
    GitHubTokenDetector,
    GitLabTokenDetector,
    JwtTokenDetector,
    MailchimpDetector,
    NpmDetector,
    OpenAIDetector,
    PrivateKeyDetector,
    PypiTokenDetector,
    SendGridDetector,
    SlackDetector,
    SquareOAuthDetector,
    StripeDetector,
    TelegramBotTokenDetector,
    TwilioKeyDetector,
)
FORMATS: Final[Sequence[tuple[str, str]]] = (
    ("configsvc Token", r"csk_[A-Za-z0-9_-]{43}"),
    ("HCP Terraform Token", r"\b[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{60}"),
    # RFC 3986, section 3.2.1, with the sub-delims that passwords have, and without a user
    (
        "Basic Auth Credentials",
        r"""://[^\s:/?#@\[\]"'<>{}]{0,128}:(?!\*+@)[^\s/?#@"'<>{}]{1,128}@[^\s/?#@]""",
    ),
)
PREFIXED: Final[Sequence[tuple[str, str, str]]] = (
    ("Google API Key", "AIza", "[A-Za-z0-9_-]{35}"),
    ("Google OAuth Client Secret", "GOCSPX-", "[A-Za-z0-9_-]{28}"),
    ("HashiCorp Vault Token", "hv", r"[sbr]\.[A-Za-z0-9_-]{24}"),
    ("DigitalOcean Token", "do", "[opr]_v1_[0-9a-f]{64}"),
    ("Anthropic API Key", "sk-ant-", "[a-z0-9]{2,16}-[A-Za-z0-9_-]{32}"),
    ("GitHub Token", "github_pat_", "[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"),
    ("Hugging Face Token", "hf_", "[A-Za-z0-9]{34}"),
    ("Grafana Service Account Token", "glsa_", "[A-Za-z0-9]{32}_[0-9A-Fa-f]{8}"),
    ("Databricks Token", "dapi", "[0-9a-f]{32}"),
    ("NPM Token", "npm_", "[A-Za-z0-9]{36}"),
    ("age Secret Key", "AGE-SECRET-KEY-1", "[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}"),
)
"""Those that begin a word, with the text that they begin with, which is what is looked for first: a
pattern that begins with a boundary is tried at each character.
"""
_PATTERNS: Final[Sequence[tuple[str, re.Pattern[str]]]] = (
    *((each.secret_type, pattern) for each in _DETECTORS for pattern in each.denylist),
    *((kind, re.compile(pattern)) for kind, pattern in FORMATS),
    *((kind, re.compile(rf"{start}(?<!\w{start}){rest}")) for kind, start, rest in PREFIXED),
)


class Finding(NamedTuple):
    """Where something stands that looks like a credential, and what kind it looks like."""

    path: Path
    kind: str


def find(tree: Tree) -> list[Finding]:
    """The texts of a document that look like credentials, in its order, each once."""
    texts = [
        (path, _in_a_file(path, leaf))
        for path, leaf in leaves(tree)
        if isinstance(leaf, str) and len(leaf) >= SHORTEST
    ]
    joined = "\n".join(text for _path, text in texts)
    suspected = [each for each in _PATTERNS if _matches(each[1], joined)]
    if not suspected:
        return []
    return list(_located(texts, suspected))


def _in_a_file(path: Path, text: str) -> str:
    """What the patterns are shown: where they go by a name, that stands before, as in a file."""
    return f"{format_path(path[-2:])}='{text}'" if len(text) == TOLD_BY_NAME else text


def _located(
    texts: Sequence[tuple[Path, str]], suspected: Sequence[tuple[str, re.Pattern[str]]]
) -> Iterator[Finding]:
    for path, text in texts:
        kind = next((kind for kind, pattern in suspected if _matches(pattern, text)), None)
        if kind is not None:
            yield Finding(path, kind)


def _matches(pattern: re.Pattern[str], text: str) -> bool:
    step = PIECE - OVERLAP
    return any(
        pattern.search(text[start : start + PIECE]) for start in range(0, max(len(text), 1), step)
    )
