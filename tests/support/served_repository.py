"""A repository of the sandbox that git fetches over HTTP on loopback."""

import asyncio
import base64

from bot.cli.serve import Server, listen
from bot.sandbox.api import auth
from bot.sandbox.sandbox import Sandbox

FILES = {
    "src/cart.py": "rate = 2\n\n\ndef total(items):\n    return sum(items) * rate  # café\n",
    "src/tax.py": "corporate = 1\nrates = [rate, 2]\n",
    "docs/a b.md": "The rate: 2.\r\n-e rate --open-files-in-pager=sh\n",
    "logo.png": b"\x89PNG\0rate",
    ".gitattributes": "*.py diff=evil\n",
}


async def served(folder, act):
    """Play with a repository of a sandbox that is served on loopback."""
    socket, url = listen()
    sandbox = Sandbox.create(folder, url=url)
    repo = await sandbox.repository("octo/shop", FILES, private=True)
    server = Server(sandbox.asgi, socket)
    serving = asyncio.create_task(server.run_here())
    try:
        return await act(sandbox, repo, f"{url}/octo/shop.git")
    finally:
        server.should_exit = True
        await serving


def token(sandbox):
    installation = next(iter(sandbox.world.installations.values()))
    return auth.mint(sandbox.world, installation, {"permissions": {"contents": "read"}}).text


def basic(secret):
    return "Basic " + base64.b64encode(f"x-access-token:{secret}".encode()).decode()
