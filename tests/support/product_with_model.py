"""A running product that asks a scripted model server, everything over HTTP on loopback."""

import asyncio
import json
from dataclasses import dataclass
from types import SimpleNamespace

from bot.cli.serve import Server, listen
from tests.support.model_server import Asked, ModelServer
from tests.support.product import RunningProduct
from tests.support.scripted_model import blocks

KEY = "sk-test-0123456789abcdef"


class Recorder(ModelServer):
    """A ModelServer that also keeps each request as the bytes that came."""

    def __init__(self, script=()):
        super().__init__(script)
        self.raw = []

    async def _received(self, request):
        content = await request.body()
        self.raw.append(content)
        self.asked.append(Asked(request.url.path, json.loads(content), dict(request.headers)))
        return self.asked[-1].body


class ProductWithModel(RunningProduct):
    """A RunningProduct whose server asks `model`; `script` says what the model answers, and may be changed between acts."""

    def __init__(self, script=(), api="responses", **settings):
        socket, url = listen()
        self.model = Recorder(script)
        asked = {"assistant_model_api": api, "openai_base_url": f"{url}/v1", "openai_api_key": KEY}
        super().__init__(**(asked | settings))
        self._server = Server(self.model.app, socket)
        self._serving = asyncio.run_coroutine_threadsafe(self._server.run_here(), self._loop)

    def close(self):
        self._server.should_exit = True
        self._serving.result(20)
        super().close()


@dataclass(frozen=True)
class Request:
    """A request to the model, independent of its API."""

    body: dict

    @property
    def items(self):
        return self.body.get("input") or self.body["messages"]

    @property
    def form(self):
        """The name of the schema that is asked for; empty while the model may still call tools."""
        responses = self.body.get("text", {}).get("format", {}).get("name", "")
        return responses or self.body.get("response_format", {}).get("json_schema", {}).get("name", "")

    @property
    def blocks(self):
        """The fenced parts of the material: kind -> texts."""
        texts = [item["content"] for item in self.items if item.get("role") == "user"]
        words = [text if isinstance(text, str) else text[0]["text"] for text in texts]
        return blocks(SimpleNamespace(material="\n".join(word for word in words if "<untrusted-" in word)))

    @property
    def claims(self):
        """The findings that are to be verified."""
        return json.loads(self.blocks["claims"][0])

    @property
    def told(self):
        """What tools answered so far, oldest first."""
        outputs = [item["output"] for item in self.items if item.get("type") == "function_call_output"]
        return outputs or [item["content"] for item in self.items if item.get("role") == "tool"]

    @property
    def text(self):
        """Our messages, without the tools' answers."""
        return json.dumps([item for item in self.items if item.get("role") in {"system", "developer", "user"}])

    @property
    def purpose(self):
        """find, verify or requirements, by how the question begins."""
        if "try to refute each of them" in self.text:
            return "verify"
        return "find" if "# Look for " in self.text else "requirements"

    @property
    def lens(self):
        """What a find pass looks for."""
        return self.text.partition("# Look for ")[2].partition("\\n")[0]
