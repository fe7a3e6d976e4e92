"""A vector store that remembers: /v1/files and /v1/vector_stores with the limits of the real ones.

Every request that the real server would reject is rejected. `fails_at` breaks the connection at one request, before it
has an effect or, with `late`, after it had one. `refuses` maps "METHOD path pattern" to the status of the answer, `slow`
to the seconds it takes. `seconds` is the server's clock.
"""

import asyncio
import email
import email.policy
import itertools
import json
import re
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx2
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

SUFFIXES = (".md", ".txt", ".html", ".json", ".pdf", ".docx", ".py", ".js", ".ts", ".go", ".java")
WORDS_A_TOKEN = 0.75


class Rejected(Exception):
    """A request the server does not accept."""

    def __init__(self, message, status=400):
        super().__init__(message)
        self.message, self.status = message, status


@dataclass
class File:
    id: str
    name: str
    text: str
    created: int


@dataclass
class Attached:
    file: str
    attributes: dict
    chunking: dict
    created: int
    status: str = "completed"
    message: str = ""


@dataclass
class Store:
    id: str
    name: str
    created: int
    expires: dict | None
    status: str = "completed"
    files: dict = field(default_factory=dict)


class VectorStoreServer:
    """State and rules; `app` speaks HTTP. `polls` looks at a batch before it is done; `poison` makes a text unreadable."""

    def __init__(self):
        self.files: dict[str, File] = {}
        self.stores: dict[str, Store] = {}
        self.batches: dict[str, tuple[str, list[str], int]] = {}
        self.calls: list[str] = []
        self.seconds = 1_800_000_000
        self.polls = 0
        self.poison = "\x07"
        self.fails_at: int | None = None
        self.late = False
        self.refuses: dict[str, int] = {}
        self.slow: dict[str, float] = {}
        self._ids = itertools.count(1)
        self.app = Starlette(routes=[Route("/v1/{path:path}", self._serve, methods=["GET", "POST", "DELETE"])])

    def transport(self):
        """For an Endpoint: no socket is opened, and the connection may break."""
        inner = httpx2.ASGITransport(app=self.app)
        server = self

        class Breaking(httpx2.AsyncBaseTransport):
            async def handle_async_request(self, request):
                number = len(server.calls)
                if number == server.fails_at and not server.late:
                    server.calls.append("broken")
                    raise httpx2.ConnectError("the connection broke")
                response = await inner.handle_async_request(request)
                if number == server.fails_at:
                    await response.aread()
                    raise httpx2.ReadError("the connection broke")
                return response

        return Breaking()

    def count(self, method, pattern):
        """How many requests of a method went to paths that look like `pattern`."""
        return sum(1 for call in self.calls if re.fullmatch(f"{method} {pattern}", call))

    def attached(self):
        """(path, blob) of every file in a live store, with how often it is there."""
        held = (one for store in self.stores.values() for one in store.files.values())
        return Counter((one.attributes.get("path"), one.attributes.get("blob")) for one in held)

    def loose(self):
        """Files that are in no store."""
        held = {file for store in self.stores.values() for file in store.files}
        return [file for file in self.files.values() if file.id not in held]

    async def _serve(self, request):
        path = request.path_params["path"]
        call = f"{request.method} {path}"
        self.calls.append(call)
        body = await request.body()
        await self._dawdle(call)
        try:
            self._refuse(call)
            return JSONResponse(self._answer(request.method, path.split("/"), request, body))
        except Rejected as rejected:
            error = {"message": rejected.message, "type": "invalid_request_error", "code": None, "param": None}
            return JSONResponse({"error": error}, status_code=rejected.status)

    async def _dawdle(self, call):
        """Waits for `slow` seconds; another thread may end the wait."""
        end = time.monotonic() + max((long for one, long in self.slow.items() if re.fullmatch(one, call)), default=0)
        while self.slow and time.monotonic() < end:  # noqa: ASYNC110 - another thread changes `slow`
            await asyncio.sleep(0.02)

    def _refuse(self, call):
        for pattern, status in self.refuses.items():
            if re.fullmatch(pattern, call):
                raise Rejected("not now", status)

    def _answer(self, method, parts, request, body):
        query = dict(request.query_params)
        match method, parts:
            case "POST", ["files"]:
                return self._upload(request.headers["content-type"], body)
            case "GET", ["files"]:
                return page([shown_file(file) for file in self.files.values()], query, 10_000)
            case "DELETE", ["files", file]:
                self._file(file)
                del self.files[file]
                for store in self.stores.values():
                    store.files.pop(file, None)
                return {"id": file, "object": "file", "deleted": True}
            case _, ["vector_stores", *rest]:
                return self._stores(method, rest, query, json.loads(body or b"{}"))
        raise Rejected(f"no such route: {method} {parts}", 404)

    def _stores(self, method, parts, query, body):
        match method, parts:
            case "POST", []:
                return self._create(body)
            case "GET", []:
                return page([shown_store(store) for store in self.stores.values()], query, 100)
            case "DELETE", [store]:
                del self.stores[self._store(store).id]
                return {"id": store, "object": "vector_store.deleted", "deleted": True}
            case "POST", [store, "search"]:
                return self._search(self._store(store), body)
            case _, [store, "files", *rest]:
                return self._store_files(method, self._store(store), rest, query, body)
            case _, [store, "file_batches", *rest]:
                return self._batches(method, self._store(store), rest, query, body)
        raise Rejected(f"no such route: {method} vector_stores/{parts}", 404)

    def _store_files(self, method, store, parts, query, body):
        match method, parts:
            case "GET", []:
                return page([shown_held(store.id, one) for one in store.files.values()], query, 100)
            case "POST", [file]:
                held = self._held(store.id, file)
                held.attributes = checked(body["attributes"])
                return shown_held(store.id, held)
            case "DELETE", [file]:
                self._held(store.id, file)
                del store.files[file]
                return {"id": file, "object": "vector_store.file.deleted", "deleted": True}
        raise Rejected(f"no such route: {method} files/{parts}", 404)

    def _batches(self, method, store, parts, query, body):
        match method, parts:
            case "POST", []:
                return self._batch(store, body)
            case "GET", [batch]:
                owner, files, looks = self.batches[batch]
                self.batches[batch] = (owner, files, looks - 1)
                return self._shown_batch(batch)
            case "GET", [batch, "files"]:
                held = [self._held(store.id, file) for file in self.batches[batch][1]]
                wanted = [one for one in held if query.get("filter", one.status) == one.status]
                return page([shown_held(store.id, one) for one in wanted], query, 100)
        raise Rejected(f"no such route: {method} file_batches/{parts}", 404)

    def _upload(self, content_type, body):
        message = email.message_from_bytes(
            f"Content-Type: {content_type}\r\n\r\n".encode() + body, policy=email.policy.HTTP
        )
        parts = {part.get_param("name", header="content-disposition"): part for part in message.iter_parts()}
        if parts["purpose"].get_payload().strip() != "assistants":
            raise Rejected("purpose must be assistants")
        text = parts["file"].get_payload(decode=True).decode()
        if not text:
            raise Rejected("the file is empty")
        file = File(f"file-{next(self._ids)}", parts["file"].get_filename(), text, self.seconds)
        self.files[file.id] = file
        return shown_file(file)

    def _create(self, body):
        expires = body.get("expires_after")
        if expires and (expires["anchor"] != "last_active_at" or not 1 <= expires["days"] <= 365):
            raise Rejected("expires_after is not valid")
        store = Store(f"vs_{next(self._ids)}", body.get("name", ""), self.seconds, expires)
        self.stores[store.id] = store
        return shown_store(store)

    def _batch(self, store, body):
        if store.status == "expired":
            raise Rejected("the vector store is expired")
        if len(body["files"]) > 500:
            raise Rejected("a batch has at most 500 files")
        for entry in body["files"]:
            file = self._file(entry["file_id"])
            one = Attached(file.id, checked(entry["attributes"]), chunked(entry["chunking_strategy"]), self.seconds)
            if not file.name.endswith(SUFFIXES):
                one.status, one.message = "failed", "The file type is not supported."
            if self.poison in file.text:
                one.status, one.message = "failed", "The file could not be parsed."
            store.files[file.id] = one
        batch = f"vsfb_{next(self._ids)}"
        self.batches[batch] = (store.id, [entry["file_id"] for entry in body["files"]], self.polls)
        return self._shown_batch(batch)

    def _shown_batch(self, batch):
        store, files, looks = self.batches[batch]
        states = Counter(self.stores[store].files[file].status for file in files)
        done = looks <= 0
        return {
            "id": batch,
            "object": "vector_store.files_batch",
            "created_at": self.seconds,
            "status": "completed" if done else "in_progress",
            "vector_store_id": store,
            "file_counts": {
                "cancelled": 0,
                "completed": states["completed"] if done else 0,
                "failed": states["failed"] if done else 0,
                "in_progress": 0 if done else len(files),
                "total": len(files),
            },
        }

    def _search(self, store, body):
        if store.status == "expired":
            raise Rejected("the vector store is expired")
        if not 1 <= body.get("max_num_results", 10) <= 50:
            raise Rejected("max_num_results must be between 1 and 50")
        wanted = words(body["query"])
        found = []
        for held in store.files.values():
            if held.status != "completed" or not fits(body.get("filters"), held.attributes):
                continue
            file = self.files[held.file]
            for chunk in cut(file.text, held.chunking):
                score = len(wanted & words(chunk)) / max(1, len(wanted))
                if score:
                    found.append((score, file, held, chunk))
        found.sort(key=lambda one: -one[0])
        return {
            "object": "vector_store.search_results.page",
            "search_query": [body["query"]],
            "data": [
                {
                    "file_id": file.id,
                    "filename": file.name,
                    "score": score,
                    "attributes": held.attributes,
                    "content": [{"type": "text", "text": chunk}],
                }
                for score, file, held, chunk in found[: body.get("max_num_results", 10)]
            ],
            "has_more": False,
            "next_page": None,
        }

    def _file(self, file):
        if file not in self.files:
            raise Rejected(f"No such File object: {file}", 404)
        return self.files[file]

    def _store(self, store):
        if store not in self.stores:
            raise Rejected(f"Vector store with id '{store}' not found.", 404)
        return self.stores[store]

    def _held(self, store, file):
        if file not in self._store(store).files:
            raise Rejected(f"No file found with id '{file}' in vector store '{store}'.", 404)
        return self.stores[store].files[file]


def checked(attributes):
    """16 keys, 64 characters a key, 512 a value."""
    if len(attributes) > 16:
        raise Rejected("at most 16 attributes")
    for key, value in attributes.items():
        if len(key) > 64 or not isinstance(value, str | int | float | bool):
            raise Rejected(f"attribute {key} is not valid")
        if isinstance(value, str) and len(value) > 512:
            raise Rejected(f"attribute {key} has more than 512 characters")
    return attributes


def chunked(strategy):
    """100 to 4,096 tokens, at most half of them shared."""
    static = strategy["static"]
    size, overlap = static["max_chunk_size_tokens"], static["chunk_overlap_tokens"]
    if not 100 <= size <= 4096 or overlap * 2 > size:
        raise Rejected("chunking_strategy is not valid")
    return static


def cut(text, static):
    """The text in overlapping pieces, at spaces."""
    size = int(static["max_chunk_size_tokens"] * WORDS_A_TOKEN)
    step = size - int(static["chunk_overlap_tokens"] * WORDS_A_TOKEN)
    places = [match.span() for match in re.finditer(r"\S+", text)]
    for first in range(0, len(places), step):
        last = min(first + size, len(places)) - 1
        yield text[places[first][0] : places[last][1]]
        if last == len(places) - 1:
            return


def words(text):
    return set(re.findall(r"\w{3,}", text.lower()))


def fits(wanted, attributes):
    if wanted is None:
        return True
    if wanted["type"] != "in":
        raise Rejected(f"this stand-in knows no filter {wanted['type']}")
    return attributes.get(wanted["key"]) in wanted["value"]


def page(entries, query, most):
    """A cursor page, as `after` and `limit` ask for it."""
    limit = int(query.get("limit", 20))
    if not 1 <= limit <= most:
        raise Rejected(f"limit must be between 1 and {most}")
    ids = [entry["id"] for entry in entries]
    begin = ids.index(query["after"]) + 1 if "after" in query else 0
    shown = entries[begin : begin + limit]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": begin + limit < len(entries),
    }


def shown_file(file):
    return {
        "id": file.id,
        "object": "file",
        "bytes": len(file.text.encode()),
        "created_at": file.created,
        "filename": file.name,
        "purpose": "assistants",
        "status": "processed",
    }


def shown_store(store):
    states = Counter(one.status for one in store.files.values())
    return {
        "id": store.id,
        "object": "vector_store",
        "created_at": store.created,
        "name": store.name,
        "status": store.status,
        "usage_bytes": 0,
        "expires_after": store.expires,
        "metadata": {},
        "file_counts": {
            "in_progress": 0,
            "completed": states["completed"],
            "failed": states["failed"],
            "cancelled": 0,
            "total": len(store.files),
        },
    }


def shown_held(store, one):
    return {
        "id": one.file,
        "object": "vector_store.file",
        "created_at": one.created,
        "vector_store_id": store,
        "status": one.status,
        "usage_bytes": 0,
        "last_error": {"code": "unsupported_file", "message": one.message} if one.message else None,
        "attributes": one.attributes,
    }
