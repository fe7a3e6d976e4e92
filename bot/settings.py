"""The operator's settings: environment, .env and secret files, read and validated once. Only app.py and cli/ use them."""

from __future__ import annotations

import difflib
import ipaddress
import json
import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, DotEnvSettingsSource, SettingsConfigDict, SettingsError

from bot.credentials import is_example, is_placeholder, is_weak, pem, stored_app
from bot.errors import ConfigurationError


class Settings(BaseSettings):
    """One field for each variable, which has the field's name in capitals."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    github_app_id: str = Field("", description="The App's id, or its client id.")
    github_private_key: SecretStr = Field(SecretStr(""), description="PEM, with real or escaped newlines, or base64.")
    github_private_key_file: Path | None = Field(None, description="A file that holds the private key.")
    github_webhook_secret: SecretStr = Field(SecretStr(""), description="Comma-separated while rotating.")
    github_api_url: str = Field(
        "https://api.github.com", pattern=r"^https?://\S+$", description="GHES: https://HOST/api/v3"
    )

    assistant_model_api: Literal["auto", "responses", "chat", "offline"] = Field(
        "auto", description="auto: responses with a key, otherwise offline (checks only)."
    )
    assistant_model: str = Field("gpt-6.2-sol", description="The model's name, as the server knows it.")
    assistant_model_verify: str = Field("", description="The model of the second look; empty: ASSISTANT_MODEL.")
    assistant_model_tasks: str = Field(
        "",
        pattern=r"^(\s*\w+\s*=[^,=]+(,|$))*$",
        description="Models of other passes and tasks, comma-separated: security=NAME, requirements=NAME, summary=NAME, …",
    )
    assistant_model_choices: str = Field("", description="Models a policy may choose with `model:`, comma-separated.")
    assistant_model_options: Mapping[str, object] = Field(
        default_factory=dict,
        description="JSON that is added to every request and never overwritten: temperature, top_p, seed, service_tier, …",
    )
    assistant_capabilities: str = Field(
        "auto",
        description="What the model server understands, comma-separated: schema, schema_with_tools, parallel_tools, "
        "count_tokens, encrypted_reasoning, extras, conversations. auto: all on OpenAI's own server, the common ones elsewhere.",
    )
    assistant_input_tokens: int = Field(260_000, ge=4_000, description="The most input tokens of one model call.")
    assistant_prices: str = Field(
        "",
        description="JSON, or the path of a JSON file: model -> {input, cached, written, output} in dollars per million tokens; "
        "also longest and context, in tokens.",
    )
    assistant_file_search: str = Field("", description="Ids of vector stores to search at OpenAI, comma-separated.")
    assistant_code_interpreter: bool = Field(default=False, description="The model may run code on OpenAI's server.")
    assistant_fetch_megabytes: int = Field(
        200, ge=0, description="Largest repository that is fetched to be searched; larger ones are searched in part."
    )
    assistant_effort: Literal["", "none", "minimal", "low", "medium", "high", "xhigh", "max"] = Field(
        "medium", description="Reasoning effort, for Responses servers; set but empty: it is not sent."
    )
    assistant_memory: Literal["journal", "openai"] = Field(
        "journal",
        description="Where the memory of a thread is kept: in our own database, or in OpenAI's Conversations as well.",
    )
    openai_api_key: SecretStr = Field(SecretStr(""), description="Without a key, reviews run checks only.")
    openai_base_url: str = Field("", pattern=r"^(https?://\S+)?$", description="Another server than OpenAI's.")
    assistant_standards: Literal["folder", "vector_store"] = Field(
        "folder", description="Where standards are searched: a local index, or OpenAI's file search."
    )
    assistant_passes: str = Field("", description="Model passes offered, comma-separated; empty: all.")
    assistant_review_mode: Literal["full", "reduced"] = Field(
        "full",
        description="reduced: for small local models, one pass with short instructions, few fields and no tools.",
    )

    assistant_dollars_per_review: float | None = Field(
        None, ge=0, description="US dollars one review may cost; default: 1, or more for a model with a higher price."
    )
    assistant_dollars_per_pull_day: float | None = Field(
        None, ge=0, description="US dollars per pull request and day; default: 5, or one review if that is more."
    )
    assistant_dollars_per_person_day: float = Field(25.0, ge=0, description="US dollars per person and day.")
    assistant_dollars_per_repository_day: float = Field(50.0, ge=0, description="US dollars per repository and day.")
    assistant_dollars_per_installation_month: float = Field(500.0, ge=0, description="US dollars per month.")
    assistant_tokens_per_review: int = Field(1_500_000, ge=0, description="Tokens one review may use.")
    assistant_output_tokens: int = Field(
        0, ge=0, description="Output tokens one call may use, thoughts included; 0: by the task, 6000 to 25000."
    )
    assistant_calls_per_review: int = Field(200, ge=0, description="Model calls one review may make.")
    assistant_tool_calls_per_review: int = Field(120, ge=0, description="Calls of tools in one review.")
    assistant_tool_characters_per_review: int = Field(
        480_000, ge=0, description="Characters of the answers of tools in one review."
    )
    assistant_seconds_per_review: float = Field(
        1200.0, ge=0, description="Seconds one review may wait for the model's answers."
    )

    assistant_bots: str = Field(
        "",
        pattern=r"^[\d,\s]*$",
        description="Ids of the bots that may give commands, comma-separated: of their Apps or accounts.",
    )
    assistant_requests_per_person_hour: int = Field(30, ge=0, description="Commands and replies of one person.")
    assistant_requests_per_repository_hour: int = Field(200, ge=0, description="Commands and replies in a repository.")
    assistant_automatic_per_pull_day: int = Field(60, ge=0, description="Reviews without a request, per pull request.")
    assistant_organisation_defaults: str = Field(
        "",
        pattern=r"^([\w.-]+/[\w.-]+)?$",
        description="owner/name of a repository whose assistant.yml applies to all repositories of its owner.",
    )
    assistant_organisation_standards: str = Field(
        "",
        pattern=r"^([\w.-]+/[\w.-]+(@[\w./-]+)?)?$",
        description="owner/name or owner/name@branch of a repository whose standards apply to all repositories of its owner.",
    )
    assistant_tools: str = Field("", description="Tools for the model, comma-separated; empty: all; none: no tool.")
    assistant_checks: str = Field("", description="Checks offered, comma-separated; empty: all.")
    assistant_debounce: float = Field(15.0, ge=0, description="Seconds to wait for more pushes.")
    assistant_poll_deliveries: bool = Field(default=False, description="Fetch deliveries: GitHub cannot reach us.")
    assistant_write_spacing: float = Field(1.0, ge=0, description="Seconds between two writes to GitHub.")
    assistant_resolve_threads: bool = Field(
        default=False, description="Resolve threads whose finding is fixed; the App needs `contents: write` for that."
    )
    assistant_unconfined_checks: bool = Field(
        default=False, description="Run external checks even where the kernel cannot confine them."
    )
    assistant_data: Path = Field(Path("data"), description="Folder of the database, caches and indexes.")
    database_url: str = Field(
        "",
        pattern=r"^(sqlite:///.+|postgresql(\+psycopg)?://.+)?$",
        description="Default: sqlite:///DATA/assistant.db; postgresql://… to scale out.",
    )

    https_proxy: str = Field(
        "", pattern=r"^(https?://\S+)?$", description="Proxy for GitHub and the model, where their addresses are https."
    )
    http_proxy: str = Field("", pattern=r"^(https?://\S+)?$", description="The same for http.")
    no_proxy: str = Field("", description="Hosts without a proxy, comma-separated; a name includes subdomains.")
    ssl_cert_file: Path | None = Field(
        None, description="PEM certificates to trust beside the public ones: those of a private authority."
    )

    otel_exporter_otlp_endpoint: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        description="Address of an OpenTelemetry collector (OTLP over HTTP).",
    )
    github_client_id: str = Field("", description="The App's client id, for people who sign in to the dashboard.")
    github_client_secret: SecretStr = Field(SecretStr(""), description="The client secret that belongs to it.")
    assistant_dashboard: Literal["off", "local", "github"] = Field(
        "local", description="off; local: shown on this machine; github: shown to people who sign in."
    )
    assistant_admins: str = Field("", description="Logins that see everything on the dashboard, comma-separated.")
    public_url: str = Field("", pattern=r"^(https?://\S+)?$", description="Public address, for sign-in and links.")

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on.")

    @classmethod
    def read(cls, **overrides: object) -> Settings:
        """Reads and validates the environment. Raises ConfigurationError, which names the variable and the reason."""
        try:
            if _effort_is_empty(overrides.get("_env_file", ".env")):
                overrides = {"assistant_effort": ""} | overrides
            settings = cls(**overrides)  # type: ignore[arg-type]
            stored = stored_app(settings.assistant_data)
            if "_env_file" not in overrides and not settings.names_app and stored.exists():
                settings = cls(**overrides | {"_env_file": (stored, ".env")})  # type: ignore[arg-type]
        except ValidationError as error:
            raise ConfigurationError("; ".join(map(_sentence, error.errors()))) from error
        except SettingsError as error:
            raise ConfigurationError(f"ASSISTANT_MODEL_OPTIONS is not JSON: {error.__cause__}") from error
        except UnicodeDecodeError as error:
            raise ConfigurationError(f".env is not text in UTF-8: {error}") from error
        except OSError as error:
            raise ConfigurationError(f"{error.filename} cannot be read: {error.strerror}") from error
        return settings

    @property
    def database(self) -> str:
        """The URL of the database."""
        return self.database_url or f"sqlite:///{self.assistant_data / 'assistant.db'}"

    @property
    def webhook_secrets(self) -> tuple[bytes, ...]:
        """Every webhook secret that is valid now."""
        return tuple(word.encode() for word in _words(self.github_webhook_secret.get_secret_value()))

    @property
    def private_key(self) -> str:
        """The App's private key as PEM text. Raises ConfigurationError if its file cannot be read."""
        if self.github_private_key_file is not None:
            try:
                return pem(self.github_private_key_file.read_text(encoding="utf-8"))
            except OSError as error:
                raise ConfigurationError(f"GITHUB_PRIVATE_KEY_FILE cannot be read: {error.strerror}") from error
            except UnicodeDecodeError as error:
                raise ConfigurationError("GITHUB_PRIVATE_KEY_FILE is not text; PEM or base64 is expected") from error
        return pem(self.github_private_key.get_secret_value())

    def proxy_for(self, url: str) -> str:
        """The proxy through which `url` is reached; empty if it is reached directly."""
        parts = urlsplit(url)
        if any(_is_within(parts.hostname or "", parts.port, place) for place in _words(self.no_proxy)):
            return ""
        return self.https_proxy if parts.scheme == "https" else self.http_proxy

    @property
    def ca_file(self) -> str:
        """The path of the private authority's certificates, or nothing. Raises ConfigurationError if they are none."""
        if self.ssl_cert_file is None:
            return ""
        try:
            ssl.create_default_context().load_verify_locations(self.ssl_cert_file)
        except OSError as error:  # ssl.SSLError is one: the file holds no certificate
            raise ConfigurationError(f"SSL_CERT_FILE cannot be used: {error.strerror or error}") from error
        return str(self.ssl_cert_file)

    @property
    def model_api(self) -> str:
        """The API of the model server: responses, chat or offline."""
        if self.assistant_model_api != "auto":
            return self.assistant_model_api
        return "responses" if self.openai_api_key.get_secret_value() else "offline"

    @property
    def task_models(self) -> Mapping[str, str]:
        """The models of passes and tasks that have one of their own."""
        pairs = (pair.split("=", maxsplit=1) for pair in _words(self.assistant_model_tasks))
        verify = {"verify": self.assistant_model_verify} if self.assistant_model_verify else {}
        return {task.strip(): name.strip() for task, name in pairs} | verify

    @property
    def model_choices(self) -> tuple[str, ...]:
        """The models that a repository may choose beside ASSISTANT_MODEL."""
        return tuple(_words(self.assistant_model_choices))

    @property
    def models(self) -> tuple[str, ...]:
        """Every model that may be asked."""
        return tuple(dict.fromkeys((self.assistant_model, *self.task_models.values(), *self.model_choices)))

    @property
    def passes(self) -> tuple[str, ...] | None:
        """The model passes the operator offers; None for all."""
        return tuple(_words(self.assistant_passes)) or None

    @property
    def tools(self) -> tuple[str, ...] | None:
        """The tools the operator offers; None for all, and the word `none` for no tool."""
        names = tuple(_words(self.assistant_tools))
        return () if names == ("none",) else names or None

    @property
    def capabilities(self) -> tuple[str, ...] | None:
        """The capabilities of the model server as the operator lists them; None to judge by its address."""
        return None if self.assistant_capabilities == "auto" else tuple(_words(self.assistant_capabilities))

    @property
    def vector_stores(self) -> tuple[str, ...]:
        """Ids of the vector stores that the model may search on its server."""
        return tuple(_words(self.assistant_file_search))

    @property
    def prices(self) -> Mapping[str, Mapping[str, float]]:
        """The operator's prices by model. Raises ConfigurationError."""
        text = self.assistant_prices.strip()
        try:
            value = json.loads(text if text.startswith("{") else Path(text).read_text(encoding="utf-8")) if text else {}
        except OSError as error:
            raise ConfigurationError(f"ASSISTANT_PRICES cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise ConfigurationError(f"ASSISTANT_PRICES is not JSON: {error}") from error
        return value if isinstance(value, dict) else {}

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values that must never be posted, logged or shown; without weak ones, which are words of many texts."""
        return tuple(dict.fromkeys(value for _, value in self._secret_values if not is_weak(value)))

    @property
    def weak_secrets(self) -> tuple[str, ...]:
        """A sentence for each variable whose secret is short or a word, so that it is not cut out of what is posted."""
        names = dict.fromkeys(name for name, value in self._secret_values if is_weak(value))
        return tuple(f"{name} holds a secret that is short or a word: make a random one" for name in names)

    @property
    def _secret_values(self) -> tuple[tuple[str, str], ...]:
        """(variable, value) of every secret."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        found = [(name, field.get_secret_value()) for name, field in fields.items() if isinstance(field, SecretStr)]
        found = [(name, value) for name, value in found if name != "github_webhook_secret"]
        found += [("github_webhook_secret", word) for word in _words(self.github_webhook_secret.get_secret_value())]
        found += [(name.lower(), urlsplit(fields[name.lower()]).password or "") for name in _WITH_PASSWORD]
        found.append(("github_private_key", self.private_key))
        return tuple((name.upper(), value) for name, value in found if value)

    @property
    def checks(self) -> tuple[str, ...] | None:
        """The checks the operator offers; None for all."""
        return tuple(_words(self.assistant_checks)) or None

    @property
    def bots(self) -> frozenset[int]:
        """Ids of the Apps or accounts of bots that may command."""
        return frozenset(int(word) for word in _words(self.assistant_bots) if word.isdecimal())

    @property
    def _app_variables(self) -> Mapping[str, object]:
        key = self.github_private_key.get_secret_value() or self.github_private_key_file
        return {
            "GITHUB_APP_ID": self.github_app_id,
            "GITHUB_PRIVATE_KEY or GITHUB_PRIVATE_KEY_FILE": key,
            "GITHUB_WEBHOOK_SECRET": self.webhook_secrets,
        }

    def with_variables(self, variables: Mapping[str, str]) -> Settings:
        """These settings, with some replaced that have another value now. Raises ConfigurationError."""
        known = {name: getattr(self, name) for name in type(self).model_fields}
        changed = {name.lower(): value for name, value in variables.items()}
        try:
            return type(self)(_env_file=None, **known | changed)
        except ValidationError as error:
            raise ConfigurationError("; ".join(map(_sentence, error.errors()))) from error

    @property
    def names_app(self) -> bool:
        """Whether an App's id or key is set: without both, set-up may register a new App."""
        return bool(self.github_app_id or self.github_private_key.get_secret_value() or self.github_private_key_file)

    @property
    def connects_to_github(self) -> bool:
        """Whether any variable of an App is set."""
        return any(self._app_variables.values())

    @property
    def missing(self) -> tuple[str, ...]:
        """The variables that a server connected to GitHub still needs."""
        return tuple(name for name, present in self._app_variables.items() if not present)

    @property
    def impossible(self) -> tuple[str, ...]:
        """A sentence for each value that has a valid form and cannot work: what is wrong; what to write."""
        found = (self._app_id_trouble(), *self._secret_troubles(), self._github_trouble(), self._model_trouble())
        return tuple(filter(None, found))

    def _app_id_trouble(self) -> str:
        if not self.github_app_id or self.github_app_id.isdecimal() or self.github_app_id.startswith("Iv"):
            return ""
        return (
            f"GITHUB_APP_ID: {self.github_app_id} is not an App id; write the number or the client id of the App's page"
        )

    def _secret_troubles(self) -> Iterator[str]:
        """Webhook secrets that can be guessed, and passwords that our own examples or texts name."""
        secrets = [secret.decode() for secret in self.webhook_secrets]
        if any(map(is_placeholder, secrets)):
            yield "GITHUB_WEBHOOK_SECRET is a placeholder; write the secret of the App's webhook"
        elif any(is_weak(secret) or (is_example(secret) and not self._github_is_here) for secret in secrets):
            yield (
                "GITHUB_WEBHOOK_SECRET is short, a word or an example, so it can be guessed; "
                "make one with `openssl rand -hex 32`, and set it here and on the App's settings page"
            )
        for name, value in self._secret_values:
            if name in _WITH_PASSWORD and is_example(value.lower()):
                yield f"{name} has the password of an example; make another with `openssl rand -hex 32`"

    @property
    def _github_is_here(self) -> bool:
        """Whether GitHub's API is on this machine: a sandbox."""
        parts = urlsplit(self.github_api_url)
        host = parts.hostname or ""
        return host in {"localhost", "::1"} or _is_within(host, parts.port, "127.0.0.0/8")

    def _github_trouble(self) -> str:
        """GitHub's API is https://api.github.com, https://api.NAME.ghe.com, or /api/v3 of a GitHub Enterprise Server."""
        parts = urlsplit(self.github_api_url)
        host, path = parts.hostname or "", parts.path.rstrip("/")
        if self._github_is_here:
            return ""
        cloud = host.removeprefix("www.").removeprefix("api.")
        if cloud == "github.com" or cloud.endswith(".ghe.com"):
            right = f"https://api.{cloud}"
            return "" if (host, path) == (f"api.{cloud}", "") else self._write_instead(right)
        return "" if path.endswith("/api/v3") else self._write_instead(f"{parts.scheme}://{parts.netloc}/api/v3")

    def _write_instead(self, address: str) -> str:
        return f"GITHUB_API_URL: {self.github_api_url} is not GitHub's API; write {address}"

    def _model_trouble(self) -> str:
        if self.model_api == "offline" or self.openai_api_key.get_secret_value():
            return ""
        if not self.openai_base_url:
            need = "OPENAI_API_KEY" if self.model_api == "responses" else "OPENAI_BASE_URL, or OPENAI_API_KEY"
            return f"ASSISTANT_MODEL_API={self.model_api} cannot reach a model; set {need}"
        if urlsplit(self.openai_base_url).hostname == "api.openai.com":
            return "OPENAI_BASE_URL is OpenAI's own server, which needs a key; set OPENAI_API_KEY"
        return ""

    def require_app(self) -> Settings:
        """These settings. Raises ConfigurationError, which names what a server connected to GitHub needs or cannot use."""
        if self.missing:
            raise ConfigurationError(f"not set: {', '.join(self.missing)}. `assistant demo` needs none of them.")
        if self.impossible:
            raise ConfigurationError(". ".join(self.impossible))
        if not self.private_key.startswith("-----BEGIN"):
            used = "GITHUB_PRIVATE_KEY_FILE" if self.github_private_key_file is not None else "GITHUB_PRIVATE_KEY"
            found = f"{len(self.private_key)} characters without a line `-----BEGIN … PRIVATE KEY-----`"
            raise ConfigurationError(f"{used} is neither PEM nor base64 of PEM: it has {found}")
        return self


def _sentence(details: ErrorDetails) -> str:
    """What is wrong with a variable. Where its form is wrong, its description says what is expected, and no pattern."""
    name = ".".join(map(str, details["loc"]))
    if details["type"] != "string_pattern_mismatch":
        return f"{name.upper()}: {details['msg']}"
    return f"{name.upper()} does not have the form that is expected: {Settings.model_fields[name].description}"


def _effort_is_empty(env_file: object) -> bool:
    """Whether ASSISTANT_EFFORT is set to nothing, which other variables ignore: it says that no effort is sent."""
    written = DotEnvSettingsSource(Settings, env_file=env_file, env_ignore_empty=False).env_vars  # type: ignore[arg-type]
    return (dict(written) | {name.lower(): value for name, value in os.environ.items()}).get("assistant_effort") == ""


def unknown_variables() -> tuple[str, ...]:
    """A sentence for each ASSISTANT_… variable that no setting reads, with the name that was probably meant.

    Other programs read GITHUB_… and OPENAI_… too: of these only what resembles a setting is named.
    """
    known = [name.upper() for name in Settings.model_fields]
    found = []
    for name in sorted({*os.environ, *map(str.upper, DotEnvSettingsSource(Settings).env_vars)} - {*known}):
        if name.startswith("ASSISTANT_"):
            close = difflib.get_close_matches(name, known, 1)
            found.append(f"{name} is not a setting" + (f"; did you mean {close[0]}?" if close else ""))
        elif name.startswith(("GITHUB_", "OPENAI_")) and "GITHUB_ACTIONS" not in os.environ:
            close = [_OTHER_NAMES[name]] if name in _OTHER_NAMES else difflib.get_close_matches(name, known, 1, 0.8)
            found += [f"{name} is not a setting; did you mean {close[0]}?"] if close else []
    return tuple(found)


_OTHER_NAMES = {
    "OPENAI_API_BASE": "OPENAI_BASE_URL",
    "OPENAI_MODEL": "ASSISTANT_MODEL",
    "GITHUB_URL": "GITHUB_API_URL",
    "GITHUB_SECRET": "GITHUB_WEBHOOK_SECRET",
    "GITHUB_PEM": "GITHUB_PRIVATE_KEY",
    "GITHUB_APP_PRIVATE_KEY": "GITHUB_PRIVATE_KEY",
    "GITHUB_KEY_FILE": "GITHUB_PRIVATE_KEY_FILE",
}
"""Names that other programs use for a setting of ours."""


def _words(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _is_within(host: str, port: int | None, place: str) -> bool:
    """Whether an entry of NO_PROXY covers a host: a name with its subdomains, a network, either with a port, or `*`."""
    name, colon, number = place.lower().removeprefix("*.").lstrip(".").partition(":")
    if place == "*" or (colon and number.isdecimal() and int(number) != port):
        return place == "*"
    for network in (place, name):
        with suppress(ValueError):
            return ipaddress.ip_address(host) in ipaddress.ip_network(network)
    return bool(name) and (host == name or host.endswith(f".{name}"))


_WITH_PASSWORD = ("DATABASE_URL", "HTTPS_PROXY", "HTTP_PROXY")
