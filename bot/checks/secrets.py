"""Finds keys and passwords in code by their shape; a message never repeats the value."""

from __future__ import annotations

import base64
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple
from urllib.parse import unquote

from bot.checks.jail import Jail
from bot.checks.scan import found_in
from bot.core.findings.finding import Category, Severity
from bot.core.findings.problem import Problem
from bot.interfaces import Check, CheckResult, Source

_WORD = r"(?<![A-Za-z0-9_\-])"  # a token starts here, so each run of token characters is read once: linear time


_KEY = (
    r"(?<![pP]ublicKey)(?<!public_key_)(?<!PUBLIC_KEY_)(?i:pass(?:word|wd|phrase)|pwd|secret|(?:api|access|private|encryption|signing)[_\-]?key|token|credential)"
    r"(?![A-Za-z_\-]{0,20}(?i:prefix|type|name|header|field|path|url|used|expir|regex|pattern|hint|label|input|arn|format|kind))"
    r"(?!(?i:iz|is))(?![A-Za-z_\-]{0,20}(?:_id|-id|Id|ID)(?![a-z]))[A-Za-z_\-]{0,20}"
)  # a name that says that its value is secret, not that it is about a secret
_NAMED = "password|passwd|passphrase|pwd|secret|key|token|credential"
"""The words of which each name in _KEY has one."""
_SETTINGS = re.compile(r"(?:^|/)\.env[^/]*$|\.(?:ya?ml|env|properties|ini|cfg|conf|tfvars|toml)$", re.IGNORECASE)


class SecretRule(NamedTuple):
    """`pattern` finds the secret, in its group "value" if it has one; `kind` names it to people.

    A text in ASCII is only searched if it has one of `hints` in lower or upper case: each match of `pattern` has one.
    """

    name: str
    kind: str
    hints: tuple[str, ...]
    pattern: re.Pattern[str]


RULES = tuple(
    SecretRule(name, kind, tuple(hints.split("|")), re.compile(pattern))
    for name, kind, hints, pattern in (
        ("aws-access-key", "An AWS access key id", "akia|asia", _WORD + r"(?:AKIA|ASIA)[A-Z2-7]{16}(?![A-Za-z0-9])"),
        (
            "aws-secret-key",
            "An AWS secret access key",
            "aws",
            r"(?i:aws_?secret_?(?:access_?)?key)[\"']?[ \t]{0,9}[:=][ \t]{0,9}[\"']?(?P<value>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
        ),
        ("azure-storage-key", "An Azure storage key", "accountkey=", r"AccountKey=(?P<value>[A-Za-z0-9+/]{86}==)"),
        ("google-api-key", "A Google API key", "aiza", _WORD + r"AIza[A-Za-z0-9_\-]{35}(?![A-Za-z0-9_\-])"),
        ("google-oauth-secret", "A Google OAuth client secret", "gocspx-", _WORD + r"GOCSPX-[A-Za-z0-9_\-]{28}"),
        (
            "github-token",
            "A GitHub token",
            "ghp_|gho_|ghu_|ghs_|ghr_|github_pat_",
            _WORD + r"(?:gh[pousr]_[A-Za-z0-9_.\-]{36,}|github_pat_[A-Za-z0-9_]{40,})",
        ),
        (
            "gitlab-token",
            "A GitLab token",
            "glpat-|gldt-|glrt-|glptt-",
            _WORD + r"gl(?:pat|dt|rt|ptt)-[A-Za-z0-9_\-]{20,}",
        ),
        (
            "openai-key",
            "An OpenAI API key",
            "sk-",
            _WORD + r"sk-(?:(?:proj|svcacct|admin)-[A-Za-z0-9_\-]{40,}|[A-Za-z0-9]{48}(?![A-Za-z0-9]))",
        ),
        ("anthropic-key", "An Anthropic API key", "sk-ant-", _WORD + r"sk-ant-[A-Za-z0-9_\-]{40,}"),
        ("hugging-face-token", "A Hugging Face token", "hf_", _WORD + r"hf_[A-Za-z0-9]{34,}"),
        ("slack-token", "A Slack token", "xox|xapp-", _WORD + r"(?:xox[abeoprs]|xapp)-[0-9][A-Za-z0-9\-]{20,}"),
        (
            "slack-webhook",
            "A Slack webhook address",
            "hooks.slack.com",
            r"https://hooks\.slack\.com/services/(?P<value>T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/[A-Za-z0-9]{20,})",
        ),
        (
            "discord-webhook",
            "A Discord webhook address",
            "/api/webhooks/",
            r"https://discord(?:app)?\.com/api/webhooks/(?P<value>[0-9]{15,}/[A-Za-z0-9_\-]{60,})",
        ),
        (
            "telegram-token",
            "A Telegram bot token",
            ":aa",
            _WORD + r"[0-9]{8,10}:AA[A-Za-z0-9_\-]{33}(?![A-Za-z0-9_\-])",
        ),
        ("stripe-key", "A live Stripe key", "k_live_", _WORD + r"[rs]k_live_[A-Za-z0-9]{20,}"),
        (
            "shopify-token",
            "A Shopify token",
            "shpat_|shpca_|shppa_|shpss_",
            _WORD + r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",
        ),
        ("sendgrid-key", "A SendGrid API key", "sg.", _WORD + r"SG\.[A-Za-z0-9_\-]{22}\.[A-Za-z0-9_\-]{43}"),
        ("twilio-key", "A Twilio API key", "sk", _WORD + r"SK[0-9a-f]{32}(?![A-Za-z0-9])"),
        ("digitalocean-token", "A DigitalOcean token", "_v1_", _WORD + r"do[opr]_v1_[a-f0-9]{64}"),
        ("docker-token", "A Docker Hub token", "dckr_pat_", _WORD + r"dckr_pat_[A-Za-z0-9_\-]{27,}"),
        ("npm-token", "An npm token", "npm_", _WORD + r"npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])"),
        ("pypi-token", "A PyPI token", "pypi-age", _WORD + r"pypi-AgE[A-Za-z0-9_\-]{50,}"),
        (
            "jwt",
            "A JSON web token",
            "eyj",
            _WORD + r"eyJ[A-Za-z0-9_\-]{10,}\.eyJ[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]{20,}",
        ),
        (
            "private-key",
            "A private key",
            "private key",
            (
                r"-----BEGIN (?:[A-Z]{2,9} ){0,2}PRIVATE KEY(?: BLOCK)?-----"
                r"(?:(?!-----END)[\s\S]){0,400}?(?P<value>[A-Za-z0-9+/=]{40,})"
            ),
        ),
        (
            "password-in-url",
            "A password in an address",
            "://",
            r"(?<![A-Za-z0-9+.\-])[a-z][a-z0-9+]{1,20}://[^\s:/@\"'<>]{0,64}:(?P<value>[^\s:/@\"'<>]{6,128})@[A-Za-z0-9.\-]{1,255}",
        ),
        (
            "hardcoded-secret",
            "A password or key",
            _NAMED,
            _KEY
            + r"[\"']?(?:[ \t]{0,9}:[ \t]{0,9}[A-Za-z_][A-Za-z0-9_.\[\]| ]{0,40}|[ \t]{1,9}string)?"  # a type
            + r"[ \t]{0,9}(?::=|=>|[:=])[ \t]{0,9}[\"'`](?P<value>[^\s\"'`]{8,200})[\"'`]",
        ),
        (
            "secret-setting",
            "A password or key",
            _NAMED,
            r"(?m:^)[ \t]{0,40}(?:- |export )?[\"']?[A-Za-z0-9_.\-]{0,40}?"
            + _KEY
            + r"[\"']?[ \t]{0,9}[:=][ \t]{0,9}(?P<value>[^\s\"'`#,;]{8,200})[ \t\r]{0,9}(?:(?m:$)|(?<=[ \t])#)",
        ),
        (
            "password-in-connection",
            "A password in a connection string",
            "password|pwd|sharedaccesskey",
            r"(?<=[;\"'])[ ]?(?i:password|pwd|sharedaccesskey)[ ]?=[ ]?(?P<value>[^\s;\"'<>&]{6,128})(?=[;\"'])",
        ),
        (
            "secret-element",
            "A password or key",
            _NAMED,
            r"<[A-Za-z0-9_.:\-]{0,40}?" + _KEY + r">[ \t]{0,9}(?P<value>[^\s<>]{8,200})[ \t]{0,9}</",
        ),
        (
            "secret-default",
            "A password or key as a default",
            _NAMED,
            r"(?:environ\.get|getenv|env|config)\(\s{0,9}[\"'][A-Za-z0-9_.\-]{0,40}?"
            + _KEY
            + r"[\"'][ \t]{0,9},\s{0,40}(?:default[ ]?=[ ]?)?[\"'](?P<value>[^\s\"']{8,200})[\"']",
        ),
        (
            "secret-fallback",
            "A password or key as a fallback",
            _NAMED,
            r"\benv(?:\.|\[[\"'])[A-Za-z0-9_]{0,40}?"
            + _KEY
            + r"(?:[\"']\])?[ \t]{0,9}(?:\|\||\?\?)[ \t]{0,9}[\"'`](?P<value>[^\s\"'`]{8,200})[\"'`]",
        ),
        (
            "authorization-header",
            "A token in a header",
            "authorization",
            (
                r"(?i:authorization)[\"']?[ \t]{0,9}[:=,][ \t]{0,9}[\"'`]?(?i:bearer|token|basic)[ ]"
                r"(?P<value>[A-Za-z0-9._~+/\-]{16,500}={0,2})(?![A-Za-z0-9._~+/\-{$(])"
            ),
        ),
    )
)
_PLACEHOLDER = re.compile(
    r"example|sample|dummy|fake|placeholder|change_?me|your[_\-]|(?:^|[_\-])test|redacted|secret|passw|insert|replace|"
    r"x{4,}|\*{3,}|\.{3}|0{8,}|1234567|abcdef|todo|none|null|urn:|://|"
    r"^[0-9a-f]{8}-[0-9a-f]{4}-|^\d{4}-\d\d-\d\d|"  # names and dates more often than keys
    r"\$\{|\$\(|\$[A-Za-z_]{3,}|%\(|%[sd]\b|^%\w+%$|[<>]|\{[^}]*\}|\w\([^()]*\)|^\[[^\]]*\]$|\w\[\w+\]$|^!|^[&*]\w+$|"  # something else fills it in
    r"\(\?|\.\*|\\[dws]|\\u[0-9a-f]{4}|[aA]-[fFzZ]|^arn:",  # a regular expression, or a name
    re.IGNORECASE,
)
_STAND_IN = re.compile(r"example|x{8,}|abcdefgh|12345678|0{8,}", re.IGNORECASE)
_WORDS = re.compile(r"(?:[A-Za-z]?[a-z]*[0-9]{0,3}[\-_+./:@ ])+[A-Za-z]?[a-z]*[0-9]{0,3}")
"""Plain words and small numbers, joined: a name, a path, an expression or a shortcut, rather than a key."""
_GUESSED = {
    "password-in-url",
    "hardcoded-secret",
    "secret-setting",
    "password-in-connection",
    "secret-element",
    "secret-default",
    "secret-fallback",
    "authorization-header",
}
_BITS_PER_CHARACTER = 2.5
_LONG = 16
_WRITTEN = 2_000  # characters of a line; a longer one is data, in which a guess says nothing
_LONG_LINE = re.compile(rf"[^\n]{{{_WRITTEN + 1},}}")
_AT_MOST = 100  # a file with more is a list of something


@dataclass(frozen=True, slots=True)
class Secrets:
    """A check for any text."""

    name: str = "secrets"
    whole: bool = False

    def reads(self, path: str) -> bool:
        """Every file."""
        return True

    async def run(self, files: Sequence[Source]) -> CheckResult:
        """Every secret, with its line, its first characters if it is long enough to keep the rest, and its length."""
        return await found_in(files, lambda file: islice(_secrets(file), _AT_MOST))


def _secrets(file: Source) -> Iterator[Problem]:
    """The secrets of a file: exact shapes everywhere, guesses only in lines that people wrote."""
    said: set[tuple[int, int]] = set()
    written = _LONG_LINE.sub(lambda line: " " * len(line[0]), file.text) if file.written else ""
    folded = file.text.lower() if file.text.isascii() else ""  # beyond ASCII, a pattern may match other letters
    for rule in RULES:
        if folded and not any(hint in folded for hint in rule.hints):
            continue
        if rule.name == "secret-setting" and not _SETTINGS.search(file.path):
            continue  # elsewhere the value is an expression
        for match in rule.pattern.finditer(written if rule.name in _GUESSED else file.text):
            span = match.span("value" if "value" in match.re.groupindex else 0)
            value = file.text[slice(*span)]
            if not _is_real(rule, value) or any(start < span[1] and span[0] < end for start, end in said):
                continue
            said.add(span)
            yield _problem(file, rule, match.start(), value)


def _is_real(rule: SecretRule, value: str) -> bool:
    """Whether the value is not a placeholder. A value found by a guess must also look random."""
    if rule.name in _GUESSED:
        value = _plain(value)
        mixed = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
        stand_in = _PLACEHOLDER.search(value) or _WORDS.fullmatch(value)
        return mixed and not stand_in and _entropy(value) >= _BITS_PER_CHARACTER
    return not _STAND_IN.search(value) and len(set(value)) > _LONG // 2


def _plain(value: str) -> str:
    """What an encoded value stands for: %40 in an address, base64 in a manifest or a header. It is judged as it is used."""
    value = unquote(value)
    try:
        decoded = base64.b64decode(value, validate=True).decode() if len(value) % 4 == 0 else value
    except ValueError:  # not base64, or the bytes of something that is no text
        return value
    return decoded if decoded.isprintable() else value


def _entropy(value: str) -> float:
    """Bits per character."""
    shares = [count / len(value) for count in Counter(value).values()]
    return -sum(share * math.log2(share) for share in shares)


def _problem(file: Source, rule: SecretRule, offset: int, value: str) -> Problem:
    line = file.text.count("\n", 0, offset) + 1
    shown = f"it begins with {value[:4]} and " if len(value) >= _LONG and rule.name != "private-key" else "it "
    return Problem(
        path=file.path,
        line=line,
        end=line,
        rule=rule.name,
        title=f"{rule.kind} is in the code",
        why=f"Anyone who can read the repository or its history can use it: {shown}has {len(value)} characters. "
        "Revoke it first: the history keeps it after the line is removed.",
        severity=Severity.WARNING if rule.name in {*_GUESSED, "jwt"} else Severity.ERROR,
        category=Category.SECURITY,
        source="secrets",
    )


def offer(_: Jail) -> Check:
    """For every change."""
    return Secrets()
