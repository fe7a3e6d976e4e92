"""A scripted model and what it needs: it gives the answers and tool calls of a script, and keeps its prompts."""

import json
import re
from pathlib import Path

from bot.core.costs import NEAR_LIMIT, Usage
from bot.engine.journal import from_json, to_json
from bot.errors import BudgetExhausted, Refused, UserError
from bot.interfaces import ModelAnswer, ToolUse
from bot.model.prompts import Prompts

PROMPTS = Path(__file__).parents[2] / "prompts"
WORDS = Prompts({file.stem: file.read_text() for file in PROMPTS.glob("*.md")})


async def use(tool, arguments):
    """A call of a tool as the real conversation reports it: a refusal is an answer too."""
    try:
        return ToolUse(tool.name, arguments, await tool(arguments))
    except UserError as error:
        return ToolUse(tool.name, arguments, f"error: {error}")
    except Refused as error:
        return ToolUse(tool.name, arguments, f"not available: {error}", str(error))


class ScriptedModel:
    """`answers` maps the beginning of a prompt's name to a value, an exception, or a function of the prompt.

    `uses` are (tool, arguments) pairs: each conversation uses those tools first, and answers after.
    """

    name = "script"

    def __init__(self, answers=None, uses=(), *, available=True):
        self.answers, self.uses, self.available = answers or {}, uses, available
        self.prompts, self.looked_up = [], []

    async def ask(self, prompt, tools, step, account):
        self.prompts.append(prompt)
        await account.reserve(prompt.name, Usage(calls=1))
        known = {tool.name: tool for tool in tools}
        looked_up = [await use(known[name], arguments) for name, arguments in self.uses]
        self.looked_up += looked_up
        usage = Usage(calls=1, input=100, output=10, tool_calls=len(looked_up))
        value = await step(prompt.name, lambda: self._value(prompt), dict)
        await account.settle(prompt.name, usage)
        if "reason" in value:
            return ModelAnswer(None, value["reason"], usage)
        return ModelAnswer(prompt.answer.model_validate(value).model_dump(), "", usage, looked_up=tuple(looked_up))

    async def _value(self, prompt):
        key = next((key for key in self.answers if prompt.name.startswith(key)), None)
        value = self.answers[key] if key else {"reason": f"nothing is scripted for {prompt.name}"}
        value = value(prompt) if callable(value) else value
        if isinstance(value, Exception):
            raise value
        return value

    async def close(self):
        pass


class FreeAccount:
    """An account of so many tokens, of which some are used. What an answer that was lost could have cost is used."""

    def __init__(self, tokens=10**9, used=0):
        self.tokens, self.used, self.held = tokens, used, {}

    async def reserve(self, name, worst, likely=None, kept=None):
        self.used += self.held.pop(name, 0)
        if self.used + sum(self.held.values()) + worst.tokens > self.tokens:
            raise BudgetExhausted(f"this review may use {self.tokens} tokens")
        self.held[name] = worst.tokens

    async def settle(self, name, actual):
        del self.held[name]
        self.used += actual.tokens
        return self.used >= NEAR_LIMIT * self.tokens


class Journal:
    """A Step that remembers, so that a second run with the same journal is a replay."""

    def __init__(self):
        self.stored = {}

    async def __call__(self, name, work, kind, /):
        if name not in self.stored:
            self.stored[name] = json.dumps(to_json(await work(), kind))
        return from_json(json.loads(self.stored[name]), kind)


BLOCK = re.compile(r"<untrusted-(\w+)>\n(.*)\n((?s:.*?))\n</untrusted-\1>")


def blocks(prompt):
    """What is fenced in a prompt's material: kind -> the texts of its blocks."""
    found = {}
    for _, head, text in BLOCK.findall(prompt.material):
        found.setdefault(json.loads(head)["kind"], []).append(text)
    return found


def finding(**changed):
    """A finding on the wire."""
    return {
        "path": "cart.py",
        "side": "RIGHT",
        "quoted_code": "    return sum(items) / len(items)",
        "near": 5,
        "evidence": ["cart.py:5 len(items)"],
        "category": "correctness",
        "claim": None,
        "standard_refs": [],
        "standard_quote": None,
        "why": "An empty cart has no items, so the division fails.",
        "suggestion": None,
        "title": "An empty cart divides by zero",
        "severity": "error",
        "confidence": 0.8,
    } | changed


def findings(*found):
    """The answer of a pass."""
    return {"walkthrough": "Adds an average.", "findings": [finding(**one) for one in found]}


SHOWN = "cart.py:5: return sum(items) / len(items)"
"""The evidence that every scripted verdict gives."""


def verdicts(*words):
    """One verdict a claim, in order."""
    return {
        "verdicts": [
            {"finding": n, "evidence": [SHOWN], "reason": f"because of {n}", "verdict": word}
            for n, word in enumerate(words, 1)
        ]
    }
