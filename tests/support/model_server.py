"""A model server that follows a script. It checks each request first.

Speaks Responses and Chat Completions, plain and streamed, from the same script, and fails in every way that is known
of real servers. A request that the real server would reject is rejected, and kept in `rejected`.
"""

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.core.costs import estimate
from tests.support.model_requests import problems
from tests.support.model_turns import Turn, completion, completion_events, response, response_events

CACHED_WITH = ("model", "tools", "text", "reasoning", "parallel_tool_calls")


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    path: str
    body: dict
    headers: dict


class ModelServer:
    """`script` are turns, one a request, or a function from a request's body to a turn."""

    def __init__(self, script: Iterable[Turn] | Callable[[dict], Turn] = ()):
        self.script = script if callable(script) else iter(script)
        self.asked: list[Asked] = []
        self.rejected: list[str] = []
        self.emitted: set[str] = set()
        self.cached: set[str] = set()
        self.tokens: int | None = None  # what input_tokens and tokenize answer; None: an estimate
        self.conversations: dict[str, list[dict]] = {}  # by id: the items that are kept
        self.allowed: set[str] = set()  # fields beyond the SDK's, for servers that know more
        self.app = Starlette(
            routes=[
                Route("/v1/responses", self._responses, methods=["POST"]),
                Route("/v1/responses/input_tokens", self._count, methods=["POST"]),
                Route("/v1/conversations", self._converse, methods=["POST"]),
                Route("/v1/conversations/{id}", self._forget, methods=["DELETE"]),
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/models", self._models),
                Route("/tokenize", self._count, methods=["POST"]),
            ]
        )

    def transport(self):
        """For an Endpoint: no socket is opened."""
        return httpx2.ASGITransport(app=self.app)

    def calls_to(self, path):
        """The bodies that were sent to a path, in order."""
        return [one.body for one in self.asked if one.path == path]

    async def _models(self, request: Request):
        return JSONResponse({"object": "list", "data": [{"id": "gpt-6.2-sol", "object": "model", "owned_by": "test"}]})

    async def _count(self, request: Request):
        body = await self._received(request)
        if request.url.path != "/tokenize" and (wrong := problems("input_tokens", body)):
            return self._reject(wrong)
        kept = self.conversations.get(body.get("conversation"), [])
        counted = self.tokens or estimate(json.dumps([kept, body]))
        return JSONResponse({"object": "response.input_tokens", "input_tokens": counted, "count": counted})

    async def _converse(self, request: Request):
        body = await self._received(request)
        if wrong := problems("conversations", body):
            return self._reject(wrong)
        name = f"conv_{len(self.asked)}"
        self.conversations[name] = list(body.get("items") or ())
        return JSONResponse({"id": name, "object": "conversation", "created_at": 1_795_000_000, "metadata": {}})

    async def _forget(self, request: Request):
        name = request.path_params["id"]
        if self.conversations.pop(name, None) is None:
            return self._unknown(name)
        return JSONResponse({"id": name, "object": "conversation.deleted", "deleted": True})

    async def _responses(self, request: Request):
        name = json.loads(await request.body()).get("conversation")
        if name and name not in self.conversations:
            await self._received(request)
            return self._unknown(name)
        return await self._answer(request, "responses", self._response, response_events)

    async def _chat(self, request: Request):
        return await self._answer(request, "chat", completion, completion_events)

    async def _answer(self, request, kind, render, events):
        body = await self._received(request)
        stream = body.get("stream", False)
        known = {key: value for key, value in body.items() if key not in self.allowed}
        kept = self.conversations.get(body.get("conversation"), [])
        wrong = problems(f"{kind} stream" if stream else kind, known, kept) + self._rewritten(body)
        if wrong:
            return self._reject(wrong)
        turn = self.script(body) if callable(self.script) else next(self.script, None)
        if turn is None:
            return self._reject(["the script has ended"])
        await asyncio.sleep(turn.seconds)
        if turn.raises is not None:
            raise turn.raises
        if turn.error is not None:
            return JSONResponse({"error": turn.error}, turn.status, turn.headers)
        if turn.raw is not None:
            media = "text/event-stream" if stream and turn.status == 200 else "application/json"
            return Response(turn.raw, turn.status, turn.headers, media)
        rendered = render(turn, body)
        if not stream:
            return JSONResponse(rendered, headers=turn.headers)
        sent = list(events(rendered))
        lines = [
            f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in sent[: -1 if turn.broken_off else None]
        ]
        return Response("".join(lines), media_type="text/event-stream")

    async def _received(self, request):
        body = json.loads(await request.body())
        self.asked.append(Asked(request.url.path, body, dict(request.headers)))
        return body

    def _unknown(self, name):
        error = {"message": f"Conversation with id '{name}' not found.", "type": "invalid_request_error"}
        return JSONResponse({"error": error | {"code": None, "param": None}}, 404)

    def _reject(self, wrong):
        self.rejected += wrong
        error = {"message": "; ".join(wrong), "type": "invalid_request_error", "code": "invalid_request", "param": None}
        return JSONResponse({"error": error}, 400)

    def _rewritten(self, body):
        """Problems with output of the model that a request sends back: changed, or sent though the server keeps it."""
        replayed = [item for item in body.get("input", ()) if item.get("id")]
        return [
            f"{item['id']}: not as it was sent"
            for item in replayed
            if "conversation" in body or canonical(item) not in self.emitted
        ]

    def _response(self, turn, body):
        kept = self.conversations.get(body.get("conversation"), [])
        kept += body["input"]
        said = response(turn, body)
        self.emitted |= {canonical(item) for item in said["output"]}
        if turn.usage is not None:
            said["usage"] = self._usage(body | {"input": kept or body["input"]}, said["output"]) | turn.usage
        kept += said["output"]
        return said

    def _usage(self, body, output):
        """Prefixes up to a breakpoint are cached from then on, as the real server does."""
        prefixes = list(prefixes_of(body))
        cached = max((estimate(prefix) for prefix in prefixes if prefix in self.cached), default=0)
        longest = max(map(estimate, prefixes), default=0)
        self.cached.update(prefixes)
        read, said = estimate(json.dumps(body)), estimate(json.dumps(output))
        return {
            "input_tokens": read,
            "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": longest - cached},
            "output_tokens": said,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": read + said,
        }


def canonical(item):
    return json.dumps(item, sort_keys=True)


def prefixes_of(body):
    """The request up to each explicit breakpoint, as bytes would be compared."""
    head = {key: body.get(key) for key in CACHED_WITH}
    for place, item in enumerate(body["input"], 1):
        if any("prompt_cache_breakpoint" in part for part in item.get("content") or ()):
            yield json.dumps([head, body["input"][:place]])
