"""Secrets: every shape is known, nothing is repeated, stand-ins are left alone, and no line takes long."""

from __future__ import annotations

import asyncio
import hashlib
import re
import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.checks.secrets import RULES, Secrets
from bot.core.findings.finding import Category, Severity
from bot.core.findings.problem import Problem
from bot.interfaces import Source


def find(text: str, path: str = "app.py") -> tuple[Problem, ...]:
    """What the check says about `text`."""
    return asyncio.run(Secrets().run([Source(path, text)])).problems


def random(length: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    """Characters that look random and are the same every time; no secret stands in this file as a whole."""
    digest = hashlib.shake_256(f"{length}{alphabet}".encode()).digest(length)
    return "".join(alphabet[byte % len(alphabet)] for byte in digest)


UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
HEX = "0123456789abcdef"
SECRETS = {
    "aws-access-key": "AKIA" + random(16, UPPER),
    "aws-secret-key": f'aws_secret_access_key = "{random(40)}"',
    "azure-storage-key": f"AccountName=a;AccountKey={random(86)}==;",
    "google-api-key": "AIza" + random(35),
    "google-oauth-secret": "GOCSPX-" + random(28),
    "github-token": "ghp_" + random(36),
    "gitlab-token": "glpat-" + random(20),
    "openai-key": "sk-proj-" + random(60),
    "anthropic-key": "sk-ant-api03-" + random(90),
    "hugging-face-token": "hf_" + random(34),
    "slack-token": "xoxb-1" + random(30),
    "slack-webhook": "https://hooks.slack.com/services/" + f"T{random(8, UPPER)}/B{random(8, UPPER)}/{random(24)}",
    "discord-webhook": "https://discord.com/api/webhooks/" + random(18, string.digits) + "/" + random(68),
    "telegram-token": random(9, string.digits) + ":AA" + random(33),
    "stripe-key": "sk_live_" + random(24),
    "shopify-token": "shpat_" + random(32, HEX),
    "sendgrid-key": f"SG.{random(22)}.{random(43)}",
    "twilio-key": "SK" + random(32, HEX),
    "digitalocean-token": "dop_v1_" + random(64, HEX),
    "docker-token": "dckr_pat_" + random(27),
    "npm-token": "npm_" + random(36),
    "pypi-token": "pypi-AgEIcHlwaS5vcmc" + random(60),
    "jwt": f"eyJ{random(20)}.eyJ{random(40)}.{random(43)}",
    "private-key": "-----BEGIN RSA PRIVATE KEY-----\n" + random(64) + "\n-----END RSA PRIVATE KEY-----",
    "password-in-url": f"postgresql://app:{random(12)}@db.internal/app",
    "hardcoded-secret": f'DB_PASSWORD = "{random(14)}"',
    "secret-setting": f"MYSQL_PASSWORD: {random(16)}",
    "password-in-connection": f'"Server=db;User Id=sa;Password={random(16)};"',
    "secret-element": f"<db.pwd>{random(16)}</db.pwd>",
    "secret-default": f'os.environ.get("API_KEY", "{random(16)}")',
    "secret-fallback": f'process.env.API_KEY || "{random(16)}"',
    "authorization-header": f'"Authorization: Bearer {random(32)}"',
}
HARMLESS = {
    "aws-access-key": "AKIA" + "IOSFODNN7EXAMPLE",
    "aws-secret-key": 'aws_secret_access_key = "${AWS_SECRET_ACCESS_KEY}"',
    "azure-storage-key": "AccountKey=<the key of your storage account>",
    "google-api-key": "AIza" + "x" * 35,
    "google-oauth-secret": "GOCSPX-your-client-secret",
    "github-token": "ghp_" + "x" * 36,
    "gitlab-token": "glpat-XXXXXXXXXXXXXXXXXXXX",
    "openai-key": "sk-proj-your-key-here",
    "anthropic-key": "sk-ant-...",
    "hugging-face-token": "hf_hub_download",
    "slack-token": "xoxb-your-token",
    "slack-webhook": "https://hooks.slack.com/services/T00000000/B00000000/" + "X" * 24,
    "discord-webhook": "https://discord.com/api/webhooks/1/token",
    "telegram-token": "123456789:AA",
    "stripe-key": "sk_test_" + random(24),
    "shopify-token": "shpat_" + "0" * 32,
    "sendgrid-key": "SG.your.key",
    "twilio-key": "SKU-1234",
    "digitalocean-token": "dop_v1_token",
    "docker-token": "dckr_pat_",
    "npm-token": "npm_config_registry",
    "pypi-token": "pypi-token",
    "jwt": "eyJhbGciOiJIUzI1NiJ9",
    "private-key": 'if "-----BEGIN RSA PRIVATE KEY-----" in text: pass\n-----BEGIN RSA PRIVATE KEY-----\n...\n',
    "password-in-url": "postgresql://user:password@localhost/db and https://x:${TOKEN}@github.com",
    "hardcoded-secret": 'password = "changeme"\ntoken = os.environ["APP_TOKEN_1"]\nTOKEN_TYPE = "a1:urn:b2:token-type"',
    "secret-setting": "password: ${DB_PASSWORD}\ntoken: !vault db/main1\nsecretName: db-creds-2a",
    "password-in-connection": '"Server=db;Password={0};" + "Server=db;Password=$DB_PASSWORD1;"',
    "secret-element": "<password>${db.password1}</password><tokenType>bearer1x9</tokenType>",
    "secret-default": 'os.environ.get("API_KEY_NAME", "x-key-2b7d") or env("TOKEN", "changeme12")',
    "secret-fallback": 'process.env.API_KEY || "your-api-key-1"',
    "authorization-header": '"Authorization: Bearer ${TOKEN}", f"Authorization: Bearer {token}"',
}


@pytest.mark.parametrize("rule", [rule.name for rule in RULES])
def test_every_shape_is_found_and_never_repeated(rule: str) -> None:
    line = SECRETS[rule]

    (problem,) = find(f"x = 1\n# {line}\n") if rule != "secret-setting" else find(f"x: 1\n{line}\n", "a.yml")

    assert (problem.rule, problem.line, problem.end) == (rule, 2, 2)
    assert problem.category is Category.SECURITY
    assert problem.severity >= Severity.WARNING
    said = f"{problem.title} {problem.why}"
    assert not any(piece in said for piece in re.findall("[A-Za-z0-9]{8}", line))


def test_a_name_in_look_alike_letters_is_a_name_all_the_same() -> None:
    value = random(24)

    assert [problem.rule for problem in find(f'pa\u017f\u017fword = "{value}"\n')] == ["hardcoded-secret"]
    assert [problem.rule for problem in find(f'private_\u212aey = "{value}"\n')] == ["hardcoded-secret"]


@pytest.mark.parametrize("rule", [rule.name for rule in RULES])
def test_what_only_looks_like_one_is_left_alone(rule: str) -> None:
    assert find(f"x = 1\n# {HARMLESS[rule]}\n") == ()
    assert find(f"x: 1\n{HARMLESS[rule]}\n", "a.yml") == ()


@pytest.mark.parametrize(
    "token",
    ["ghs_" + random(300), f"ghs_12_{random(200)}.{random(80)}-a", "github_pat_" + random(82), "gho_" + random(36)],
)
def test_github_tokens_may_be_of_any_length(token: str) -> None:
    (problem,) = find(f"token={token}")

    assert (problem.rule, f"{len(token)} characters" in problem.why) == ("github-token", True)


@pytest.mark.parametrize(
    "text",
    [
        'key = "-----BEGIN PRIVATE KEY-----\\n{0}\\n"',
        "-----BEGIN OPENSSH PRIVATE KEY-----\r\n{0}\r\n",
        "-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: 1\n\n{0}",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n{0}",
        '"-----BEGIN EC PRIVATE KEY-----\\n"\n    "{0}\\n"',
    ],
)
def test_private_keys_are_found_in_any_dress(text: str) -> None:
    assert [problem.rule for problem in find(text.format(random(64)))] == ["private-key"]


def test_a_short_secret_shows_none_of_its_characters() -> None:
    (problem,) = find(SECRETS["hardcoded-secret"])

    assert "begins with" not in problem.why
    assert "14 characters" in problem.why


def test_a_long_secret_shows_its_first_four_characters() -> None:
    (problem,) = find(SECRETS["github-token"])

    assert "it begins with ghp_ and has 40 characters" in problem.why


def test_one_secret_is_one_problem() -> None:
    token = SECRETS["github-token"]

    assert [problem.rule for problem in find(f'api_token = "{token}"  # twice: {token}')] == ["github-token"] * 2


def test_a_file_full_of_secrets_is_bounded() -> None:
    assert len(find(f"{SECRETS['github-token']}\n" * 10_000)) == 100


SHAPES = {
    "unquoted YAML": (
        [("deploy.yml", "db:\n  password: {0}\n"), ("a.yaml", "- API_TOKEN: {0} # rotate\n")],
        [("deploy.yml", "db:\n  password: correct-horse-battery\n"), ("a.yaml", "token: db-reader-2\n")],
    ),
    "environment file": (
        [(".env", "DB_PASSWORD={0}\n"), (".env.production", "export SECRET_KEY={0}\n")],
        [(".env", "DB_PASSWORD=${{DB_PASSWORD_1}}\n"), (".env.example", "SECRET_KEY=your-secret-key-1\n")],
    ),
    "properties": (
        [("application.properties", "spring.datasource.password={0}\n"), ("a.ini", "[db]\npasswd = {0}\n")],
        [("application.properties", "password.file=/run/secrets/db1\n"), ("a.ini", "token_url = https://a.b/c1\n")],
    ),
    "connection string": (
        [
            ("appsettings.json", '{{"Db": "Server=db;User Id=sa;Password={0};"}}\n'),
            ("a.cs", 'var s = "Endpoint=sb://a/;SharedAccessKeyName=k;SharedAccessKey={0}";\n'),
        ],
        [
            ("appsettings.json", '{{"Db": "Server=db;Password=<password1>;"}}\n'),
            ("a.cs", 'var s = $"Server=db;Password={{pass1}};";\n'),
        ],
    ),
    "TypeScript with a type": (
        [("a.ts", "const apiKey: string = '{0}';\n"), ("a.ts", "private readonly authToken: string = `{0}`;\n")],
        [("a.ts", "const apiKey: string = 'api-key-1';\n"), ("a.ts", "const tokenKind: Kind = 'a1b2c3d4e5f6g7h8';\n")],
    ),
    "Python with a type": (
        [("a.py", 'api_key: str = "{0}"\n'), ("a.py", 'token: str | None = "{0}"\n')],
        [("a.py", 'api_key: str = "change-me-2"\n'), ("a.py", 'token_url: str = "/oauth2/token/v1"\n')],
    ),
    "Go constant": (
        [("a.go", 'const apiKey string = "{0}"\n'), ("a.go", 'password := "{0}"\n')],
        [("a.go", 'const tokenHeader string = "X-Token-V1"\n'), ("a.go", 'password := "%s-%d-pass1"\n')],
    ),
    "x-api-key header": (
        [("a.py", 'headers = {{"x-api-key": "{0}"}}\n'), ("a.js", "req.headers = {{'X-Api-Key': '{0}'}}\n")],
        [("a.py", 'headers = {{"x-api-key": "{{key1}}"}}\n'), ("a.js", "h = {{'X-Api-Key-Name': 'orders2read9x'}}\n")],
    ),
    "punctuation in the value": (
        [("a.py", 'password = "{0}(tL[P$7h"\n'), ("a.py", "password = 'p(4$w[0]rT{0}'\n")],
        [("a.py", 'password = "$(cat pw1)"\n'), ("a.py", "password = 'get_pass(env1)'\n")],
    ),
    "XML element": (
        [("pom.xml", "<password>{0}</password>\n"), ("a.config", "<Db.ApiKey>{0}</Db.ApiKey>\n")],
        [("pom.xml", "<password>${{env.PW1}}</password>\n"), ("a.config", "<tokenName>reader-2a</tokenName>\n")],
    ),
    "default of the environment": (
        [("a.py", 'KEY = os.getenv("DB_PASSWORD", default="{0}")\n'), ("a.js", "k = process.env.API_KEY ?? '{0}'\n")],
        [("a.py", 'KEY = os.environ.get("API_KEY", "test-key-1")\n'), ("a.js", "k = process.env.TOKEN || 'dev-token-1'\n")],
    ),
    "authorization header": (
        [("a.js", 'h = {{Authorization: "Bearer {0}{0}"}}\n'), ("a.sh", 'curl -H "Authorization: token {0}{0}"\n')],
        [("a.js", "h = {{Authorization: `Bearer ${{token1}}`}}\n"), ("a.sh", 'curl -H "Authorization: Basic dXNlcm5hbWU6cGFzc3dvcmQ="\n')],
    ),
    "Terraform": (
        [("main.tf", 'password = "hunter2hunter2"\n'), ("a.tfvars", 'db_password = "{0}"\n')],
        [("main.tf", 'password = "${{var.db_password1}}"\n'), ("main.tf", "password = var.db_password1\n")],
    ),
    "base64 in a manifest": (
        [("secret.yaml", "data:\n  password: aHVudGVyMmh1bnRlcjI=\n"), ("s.yml", "data:\n  token: {0}==\n")],
        [("secret.yaml", "data:\n  password: cGFzc3dvcmQ=\n"), ("s.yml", "data:\n  password: bXBhc3M=\n")],
    ),
    "password in an address": (
        [("a.py", 'URL = "amqp://app:{0}@mq.internal/1"\n'), ("a.yml", "url: redis://:{0}@cache\n")],
        [("a.py", 'URL = "https://me:pa%20ssword1@example.com"\n'), ("a.py", 'URL = "https://a%3A:%3D%5B%5D@host/"\n')],
    ),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_a_guess_knows_each_common_shape_and_its_double(shape: str) -> None:
    real, false = SHAPES[shape]

    assert [(path, text) for path, text in real if len(find(text.format(random(14)), path)) != 1] == []
    assert [(path, text) for path, text in false if find(text.format(random(14)), path)] == []


@pytest.mark.parametrize(
    "line",
    [
        "const tokenizerId = '7be41d90a25f4c8c93d06e1fa8b2c745';",
        '{"token": "ctrl+shift+alt+f12"}',
        "const tokens = {accessToken: 'access-token-1'};",
        'password_regex = "^(?=.*[A-Z])(?=.*[0-9]).{8,}$"',
        '<assemblyIdentity name="A.B" publicKeyToken="89845dcd8080cc91" />',
        'TOKEN = "([a-zA-Z0-9-!#$%&*+.^_]+)"',
        'secret_ref = "arn:aws:secretsmanager:eu-west-1:1:db-a1b2c3"',
    ],
)
def test_a_guess_leaves_names_and_shortcuts_alone(line: str) -> None:
    assert find(line) == ()


def test_ordinary_code_holds_no_secrets() -> None:
    text = """
        password = getpass.getpass("Password: ")
        self.assertEqual(token, "a")
        PASSWORD_HEADER = "X-Password-2024-06"
        secret: str = Field(description="The secret of webhook number 2")
        headers = {"Authorization": f"Bearer {token}"}
        api_key = settings["api_key_2"]
        sha = "da39a3ee5e6b4b0d3255bfef95601890afd80709"
        id = "0f8fad5b-d9cb-469f-a165-70867728950e"
        session_token = "0f8fad5b-d9cb-469f-a165-70867728950e"
    """

    assert find(text) == ()


HOSTILE = (
    *(value[:8] for value in SECRETS.values()),
    "-----BEGIN RSA PRIVATE KEY-----",
    "-----BEGIN RSA PRIVATE KEY-----" + "A" * 39 + " ",
    "eyJaaaaaaaaaaaa.",
    "a://a:",
    "password=",
    "token = '",
    "A" * 39 + "\n",
)


@pytest.mark.parametrize("piece", HOSTILE)
def test_no_text_takes_long(piece: str) -> None:
    text = (piece * (1 + 5_000 // len(piece)))[:5_000]

    began = time.process_time()
    find("\n".join([text] * 40))

    assert time.process_time() - began < 1


@given(st.text(max_size=300))
def test_any_text_is_fine(text: str) -> None:
    for problem in find(text):
        assert 1 <= problem.line <= text.count("\n") + 1
