"""A forward proxy and an HTTPS server with a certificate of its own authority, both on loopback."""

import asyncio
import datetime as dt
import json
import ssl
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


class ForwardProxy:
    """Keeps the first line of each request in `seen`; tunnels CONNECT to `upstream`, answers all else with 502."""

    def __init__(self, upstream=0):
        self.seen, self._upstream = [], upstream
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self):
        self._thread.start()
        started = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(started, self._loop).result(10)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self):
        self._server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.seen.append(head.split(b"\r\n")[0].decode())
            if not head.startswith(b"CONNECT "):
                writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                await writer.drain()
                return
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            there, back = await asyncio.open_connection("127.0.0.1", self._upstream)
            await asyncio.gather(_copy(reader, back), _copy(there, writer))
        finally:
            writer.close()


async def _copy(reader, writer):
    try:
        while part := await reader.read(65536):
            writer.write(part)
            await writer.drain()
    finally:
        writer.close()


def authority(name="localhost"):
    """A private authority's certificate, and a server's key and certificate that it signed, as PEM."""
    now, key, own = dt.datetime.now(dt.UTC), generate_private_key(SECP256R1()), x509.NameOID.COMMON_NAME
    issuer = x509.Name([x509.NameAttribute(own, "Private authority")])
    span = (now - dt.timedelta(days=1), now + dt.timedelta(days=1))

    def certificate(subject, public, *, authority):
        constraints = x509.BasicConstraints(ca=authority, path_length=None)
        return (
            x509.CertificateBuilder(issuer, subject, public, x509.random_serial_number(), *span)
            .add_extension(constraints, critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(key, hashes.SHA256())
        )

    server = generate_private_key(SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signed = certificate(subject, server.public_key(), authority=False).public_bytes(Encoding.PEM)
    private = server.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate(issuer, key.public_key(), authority=True).public_bytes(Encoding.PEM), private + signed


@contextmanager
def https_server(folder, answers):
    """An HTTPS server that answers by path with JSON; yields its port and the path of its authority's certificate."""
    (folder / "ca.pem").write_bytes((pems := authority())[0])
    (folder / "server.pem").write_bytes(pems[1])

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.dumps(answers[self.path]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the names of the standard library

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1], folder / "ca.pem"
    server.shutdown()
    server.server_close()
    thread.join()
