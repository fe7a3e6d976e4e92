"""Rules for every test: connections stay on this machine, and long runs need -m long."""

import ipaddress
import logging
import socket

import pytest
from hypothesis import HealthCheck, settings

from bot.cli.progress import configure

# How long an example takes says how busy the machine is. Where CI is set, hypothesis tries the same examples each time.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    """A connection to anything but loopback or a unix socket fails the test that tried it."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def guarded(original):
        def call(self, address):
            if self.family in {socket.AF_INET, socket.AF_INET6} and not _loopback(address[0]):
                pytest.fail(f"a test tried to reach {address[0]}")
            return original(self, address)

        return call

    monkeypatch.setattr(socket.socket, "connect", guarded(connect))
    monkeypatch.setattr(socket.socket, "connect_ex", guarded(connect_ex))


def _loopback(host):
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def pytest_runtest_setup():
    """Logs as the product does. By default structlog prints every local variable of every frame of an error."""
    configure()


def pytest_unconfigure():
    """Removes the handler: pytest closes its stream, and libraries still log when Python exits."""
    logging.getLogger().handlers.clear()


def pytest_collection_modifyitems(config, items):
    """Tests marked `long` run only when they are asked for with -m."""
    if config.getoption("markexpr"):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if not item.get_closest_marker("long")]
