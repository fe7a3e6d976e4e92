"""`assistant serve` and `assistant work` as processes of their own, with the product's own times and settings."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from tests.support.served import Process, free_port


class AssistantProcess(Process):
    """A running `assistant` of this environment."""

    def __init__(self, child, port):
        super().__init__(child.pid, port)
        self._running = child

    @classmethod
    async def start(cls, settings, *command, log=None):
        """Starts it with `command`, by default `serve`; returns it before it is ready. `log` is a file that it appends to."""
        port = free_port()
        environment = {name.upper(): str(value) for name, value in settings.items()}
        output = os.open(log or os.devnull, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        child = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("assistant"),
            *(command or ("serve",)),
            env={"PATH": os.environ["PATH"], "HOME": environment["ASSISTANT_DATA"], "PORT": str(port)} | environment,
            stdout=output,
            stderr=output,
        )
        os.close(output)
        return cls(child, port)

    @property
    def cpu(self):
        """CPU seconds of the process and of its ended children, from /proc/PID/stat (proc(5))."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    @property
    def rss(self):
        """Resident memory in KB, from /proc/PID/status."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    def is_alive(self):
        return self._running.returncode is None

    async def end(self):
        """Ends it as an operator does, and waits."""
        if self.is_alive():
            self._running.send_signal(signal.SIGTERM)
        await self._running.wait()
