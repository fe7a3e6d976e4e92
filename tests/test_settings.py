"""The operator's settings: a mistake is said in a sentence before anything runs."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bot.app import build
from bot.errors import ConfigurationError, Retryable
from bot.sandbox.api.auth import key_pair
from bot.settings import Settings, unknown_variables

CURVE = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
ENOUGH = {
    "GITHUB_APP_ID": "1234",
    "GITHUB_PRIVATE_KEY": key_pair().private,
    "GITHUB_WEBHOOK_SECRET": "secret",
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
        ("ASSISTANT_CHECKS", "ruf", "ASSISTANT_CHECKS: ruf: there are only hygiene, .*ruff"),
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
