"""The operator's settings: a mistake is said in a sentence before anything runs."""

import base64
import hashlib
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from bot.app import build, build_signer
from bot.core.code.pull_request import PullRef
from bot.core.comments.marker import Signer
from bot.errors import ConfigurationError, Retryable
from bot.hosts.github.auth import GitHubApp
from bot.sandbox.api.auth import key_pair
from bot.settings import Settings, unknown_variables

CURVE = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
ENOUGH = {
    "GITHUB_APP_ID": "1234",
    "GITHUB_PRIVATE_KEY": key_pair().private,
    "GITHUB_WEBHOOK_SECRET": "0123456789abcdef",
    "ASSISTANT_MODEL_API": "offline",
}


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Starts a server as far as its database, with these variables, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(b"\x7fELF\xd0\xff" * 40)

    def run(**variables):
        for name, value in (ENOUGH | variables).items():
            monkeypatch.setenv(name, value)
        app = build(Settings.read().require_app())
        try:
            app.ledger.database.migrate()
        finally:
            app.ledger.database.close()

    return run


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("GITHUB_PRIVATE_KEY", "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----", "not an RSA key"),
        ("GITHUB_PRIVATE_KEY", key_pair().public, "not an RSA key"),
        ("GITHUB_PRIVATE_KEY", CURVE, "not an RSA key"),
        ("GITHUB_PRIVATE_KEY_FILE", "file", "not text"),
        ("GITHUB_PRIVATE_KEY_FILE", "nowhere", "cannot be read"),
        ("GITHUB_API_URL", "github.example.com", "GITHUB_API_URL"),
        ("ASSISTANT_BOTS", "dependabot", "ASSISTANT_BOTS"),
        ("ASSISTANT_CHECKS", "ruf", "ASSISTANT_CHECKS: ruf: there are only .*hygiene, .*ruff"),
        ("ASSISTANT_PASSES", "logicc", "ASSISTANT_PASSES: logicc: there are only .*correctness"),
        ("ASSISTANT_TOOLS", "grep", "ASSISTANT_TOOLS: grep: there are only .*read_file"),
        ("ASSISTANT_MODEL_OPTIONS", "{", "ASSISTANT_MODEL_OPTIONS is not JSON"),
        ("ASSISTANT_DATA", "file", "file cannot be made a folder"),
        ("DATABASE_URL", "mysql://db/assistant", "DATABASE_URL"),
        ("DATABASE_URL", "sqlite://", "DATABASE_URL"),
    ],
)
def test_a_setting_that_cannot_work_is_named(start, name, value, words):
    with pytest.raises(ConfigurationError, match=words):
        start(**{name: value})


@pytest.mark.parametrize("url", ["sqlite:///file", "postgresql://assistant:hunter2@127.0.0.1:1/assistant"])
def test_a_database_that_cannot_be_opened_is_said_without_its_password(start, url):
    with pytest.raises(Retryable, match="the database cannot be opened") as refused:
        start(DATABASE_URL=url)
    assert "hunter2" not in str(refused.value)


def test_an_empty_variable_is_an_unset_one(start):
    start(ASSISTANT_MODEL_OPTIONS="", GITHUB_PRIVATE_KEY_FILE="", PORT="")


def test_a_settings_file_that_is_not_text_is_named(start, tmp_path):
    (tmp_path / ".env").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match=r"^\.env is not text"):
        start()


def test_a_misspelt_variable_is_named_wherever_it_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSISTANT_EFORT", "high")
    (tmp_path / ".env").write_text("ASSISTANT_DOLARS_PER_REVIEW=3\nASSISTANT_EFFORT=low\n")
    assert unknown_variables() == (
        "ASSISTANT_DOLARS_PER_REVIEW is not a setting; did you mean ASSISTANT_DOLLARS_PER_REVIEW?",
        "ASSISTANT_EFORT is not a setting; did you mean ASSISTANT_EFFORT?",
    )


KEY = load_pem_private_key(key_pair().private.encode(), None)
PKCS1, PKCS8 = (
    KEY.private_bytes(Encoding.PEM, form, NoEncryption()).decode()
    for form in (PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8)
)
ESCAPED = PKCS1.strip().replace("\n", "\\n")
SPELLINGS = {
    "PKCS#8": PKCS8,
    "escaped line ends": ESCAPED,
    "an escaped line end last": ESCAPED + "\\n",
    "CRLF": PKCS1.replace("\n", "\r\n"),
    "escaped CRLF": PKCS1.strip().replace("\n", "\\r\\n"),
    "double quotes": f'"{ESCAPED}"',
    "single quotes": f"'{PKCS1}'",
    "spaces for line ends": PKCS1.strip().replace("\n", " "),
    "no line ends": PKCS1.replace("\n", ""),
    "base64 on one line": base64.b64encode(PKCS1.encode()).decode(),
    "base64 in lines": base64.encodebytes(PKCS8.encode()).decode(),
    "base64 in quotes": f'"{base64.b64encode(PKCS1.encode()).decode()}"',
    "base64 of escaped line ends": base64.b64encode(ESCAPED.encode()).decode(),
    "byte order mark": "\ufeff" + PKCS1,
    "text before": "Key of the App\n" + PKCS1,
    "indented": PKCS1.replace("\n", "\n    "),
}


def signer(monkeypatch, tmp_path, text):
    monkeypatch.chdir(tmp_path)
    for name, value in (ENOUGH | {"GITHUB_PRIVATE_KEY": text}).items():
        monkeypatch.setenv(name, value)
    settings = Settings.read().require_app()
    return build_signer(GitHubApp("1", settings.private_key).checked())


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_one_key_is_read_and_signs_alike(monkeypatch, tmp_path, spelling):
    assert signer(monkeypatch, tmp_path, SPELLINGS[spelling]) == signer(monkeypatch, tmp_path, PKCS1)


@pytest.mark.parametrize("text", [PKCS1, PKCS8, PKCS1.replace("\n", "\r\n"), PKCS8.replace("\n", "\r\n")])
def test_a_marker_that_an_earlier_version_signed_with_the_text_of_the_key_is_recognised(monkeypatch, tmp_path, text):
    before = Signer(hashlib.sha256(b"assistant markers" + text.strip().encode()).digest())
    ref, name = PullRef("octo/shop", 7, repo_id=42), "0123456789abcdef"
    body = before.mark(ref, "finding", name)

    assert signer(monkeypatch, tmp_path, PKCS8).read(ref, "finding", body) == (name,)


def test_text_that_is_no_key_is_refused_with_the_setting_and_what_was_found(start):
    with pytest.raises(
        ConfigurationError, match=r"GITHUB_PRIVATE_KEY is neither .*: it has 7 characters without a line"
    ):
        start(GITHUB_PRIVATE_KEY="my key!")


def test_a_secret_that_is_short_or_a_word_is_named_and_not_cut_out_of_texts():
    settings = Settings(
        github_webhook_secret="assistant,0123456789abcdef0123",
        openai_api_key="sk-0123456789abcdef",
        database_url="postgresql://assistant:assistant@db/assistant",
        _env_file=None,
    )

    assert settings.secrets == ("sk-0123456789abcdef", "0123456789abcdef0123")
    assert [sentence.partition(" ")[0] for sentence in settings.weak_secrets] == [
        "GITHUB_WEBHOOK_SECRET",
        "DATABASE_URL",
    ]


WEAK = [
    "assistant",
    "Assistant",
    "short",
    "secret",
    "changeme",
    "review-assistant",
    "webhooksecrets",
    "aaaaaaaaaaaaaaaa",
]


@pytest.mark.parametrize(
    "secret", [*WEAK, *(f"0123456789abcdef,{secret}" for secret in WEAK), "sandbox-webhook-secret"]
)
def test_a_webhook_secret_that_can_be_guessed_stops_the_start_with_its_cure(start, secret):
    with pytest.raises(ConfigurationError, match=r"^GITHUB_WEBHOOK_SECRET is .*; (make one with|write the secret)"):
        start(GITHUB_WEBHOOK_SECRET=secret)


@pytest.mark.parametrize("name", ["DATABASE_URL", "HTTPS_PROXY"])
def test_a_password_of_our_own_examples_stops_the_start_with_its_cure(start, name):
    url = {"DATABASE_URL": "postgresql://db/assistant", "HTTPS_PROXY": "http://proxy"}[name]
    with pytest.raises(ConfigurationError, match=rf"^{name} has the password of an example; make another"):
        start(**{name: url.replace("://", "://assistant:assistant@")})


def test_the_secret_of_a_sandbox_may_be_used_with_a_sandbox_only(start):
    start(GITHUB_WEBHOOK_SECRET="sandbox-webhook-secret", GITHUB_API_URL="http://127.0.0.1:9")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc and prctl are Linux's")
def test_after_the_start_no_secret_is_in_the_environment_of_the_process_or_its_children():
    program = (
        "import ctypes, os, pathlib, resource, subprocess\n"
        "from bot.cli.serve import be_private, forget_environment\n"
        "from bot.settings import Settings\n"
        "settings = Settings.read(); dumpable = ctypes.CDLL(None).prctl(3); be_private(); forget_environment()\n"
        "print(pathlib.Path('/proc/self/environ').read_bytes().count(b'canary'))\n"
        "print(subprocess.run(['env'], capture_output=True, text=True).stdout.count('canary'))\n"
        "print(sum('canary' in value for value in os.environ.values()), len(settings.secrets))\n"
        "print(dumpable, ctypes.CDLL(None).prctl(3))\n"
        "print(os.environ['HOME'])\n"
    )
    secrets = {
        name: f"canary-{number}-0123456789"
        for number, name in enumerate(("GITHUB_PRIVATE_KEY", "GITHUB_WEBHOOK_SECRET", "OPENAI_API_KEY"))
    }
    secrets |= {"DATABASE_URL": "postgresql://a:canary-7-0123456789@db/a"}
    secrets |= {"HTTPS_PROXY": "http://a:canary-8-0123456789@proxy", "http_proxy": "http://a:canary-9-0123456789@proxy"}
    ran = subprocess.run(
        [sys.executable, "-c", program], env={"HOME": "/nowhere", **secrets}, capture_output=True, text=True, check=True
    )

    assert ran.stdout.splitlines() == ["0", "0", "0 6", "1 0", "/nowhere"], "prctl(3) is PR_GET_DUMPABLE"
