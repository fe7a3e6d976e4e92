"""A running product whose standards are searched by a hosted index, everything over HTTP on loopback."""

import asyncio

from bot.cli.serve import Server, listen
from tests.support.model_server import ModelServer
from tests.support.product import FLAWED, RunningProduct
from tests.support.vector_store_server import VectorStoreServer

RULES = "# Python\n\n## Bare except\n\nNever catch with a bare `except:`; name the exception class.\n"
FILES = {
    "app.py": "x = 1\n",
    "docs/standards/python.md": RULES,
    "docs/standards/money.md": "# Money\n\nCount in cents.\n",
}


def both(store, model):
    """OpenAI is one server."""

    async def app(scope, receive, send):
        stored = scope["path"].startswith(("/v1/files", "/v1/vector_stores"))
        await (store if stored else model)(scope, receive, send)

    return app


class ProductWithHostedIndex(RunningProduct):
    """A RunningProduct whose server searches standards in `store`, and asks `model` where there is one, over HTTP."""

    def __init__(self, script=None, **settings):
        socket, url = listen()
        self.store, self.model = VectorStoreServer(), ModelServer(script or ())
        hosted = {"assistant_standards": "vector_store", "openai_api_key": "sk-test", "openai_base_url": f"{url}/v1"}
        super().__init__(**hosted, assistant_model_api="responses" if script else "offline", **settings)
        self._server = Server(both(self.store.app, self.model.app), socket)
        self._serving = asyncio.run_coroutine_threadsafe(self._server.run_here(), self._loop)

    def close(self):
        self._server.should_exit = True
        self._serving.result(20)
        super().close()


def reviewed(product, repo=None):
    pull = product.open({"app.py": FLAWED}, repo=repo or product.repository(FILES))
    product.settle()
    return pull


def details(pull):
    return pull.check_runs()[-1].text
