"""Fixtures of a conversation with a model: a prompt, tools, a journal that can stop, and a scripted server."""

import asyncio
from dataclasses import dataclass, field

from pydantic import SecretStr

from bot.core.claims.prompt import Prompt, fence, nonce
from bot.core.claims.schemas import Reply
from bot.engine.journal import from_json, to_json
from bot.model.chat import ChatModel
from bot.model.client import Endpoint
from bot.model.conversation import Capabilities
from bot.model.offline import OfflineModel
from bot.model.responses import ResponsesModel
from tests.support.model_server import ModelServer
from tests.support.scripted_model import FreeAccount

YES = {"citations": [], "known": True, "answer": "yes"}
STRING = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"], "additionalProperties": False}


def prompt(material="the change", job="job-1", **parts):
    """A prompt with untrusted text in it."""
    fenced = fence("diff", "a.py", material, nonce(job, "diff", "a.py", material))
    fixed = {"instructions": "You review code.", "rules": "Names are nouns.", "ask": "Is it good?", "answer": Reply}
    return Prompt(**({"name": "find/1", "material": fenced, "cache_key": "inst-1", "author": "42"} | fixed | parts))


@dataclass
class Lookup:
    """A tool that returns or raises what a test sets. `asked` holds the arguments of its calls."""

    name: str = "look_up"
    says: object = "found: {q}"
    description: str = "Looks something up."
    parameters: dict = field(default_factory=lambda: STRING)
    asked: list = field(default_factory=list)

    async def __call__(self, arguments):
        self.asked.append(arguments)
        await asyncio.sleep(0)
        if isinstance(self.says, Exception):
            raise self.says
        return str(self.says).replace("{q}", str(arguments.get("q")))


class Crash(Exception):
    """The process dies."""


class Journal:
    """A Step that keeps results as JSON. With `dies_after` the process dies once so many are on disk."""

    def __init__(self, dies_after=None, entries=None):
        self.entries = {} if entries is None else entries
        self.dies_after = dies_after

    async def __call__(self, name, work, kind, /):
        if name not in self.entries:
            self.entries[name] = to_json(await work(), kind)
            if len(self.entries) == self.dies_after:
                raise Crash
        return from_json(self.entries[name], kind)


def responses(server=None, **options):
    """A Model that talks Responses to a scripted server."""
    return ResponsesModel("gpt-6.2-sol", endpoint(server), secret=b"pepper", **options)


def chat(server=None, **options):
    """A Model that talks Chat Completions to a scripted server."""
    return ChatModel("local-model", endpoint(server), **options)


def core(server=None):
    """Responses, with the fields that every server knows and no others."""
    return ResponsesModel("gpt-6.2-sol", endpoint(server), capabilities=Capabilities(), effort="")


def grammar(server=None):
    """Chat Completions where schema and tools go together."""
    return chat(server, capabilities=Capabilities(schema_with_tools=True))


def schemaless(server=None):
    """Chat Completions without any schema."""
    return chat(server, capabilities=Capabilities(schema=False))


def offline(_server=None):
    """No model."""
    return OfflineModel()


TALKING = (responses, core, chat, grammar, schemaless)


def endpoint(server):
    """The address of the scripted server."""
    return Endpoint(SecretStr("sk-test"), "http://model.test/v1", (server or ModelServer()).transport())


def ask(model, *tools, step=None, account=None, **parts):
    """Runs one conversation and returns its result."""
    return asyncio.run(model.ask(prompt(**parts), tools, step or Journal(), account or FreeAccount()))
