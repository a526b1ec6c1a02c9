"""A headless Chromium for tests, spoken to over its DevTools pipe."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--remote-debugging-pipe",
)
_PATIENCE_S = 120.0


def chromium() -> str:
    """Its path; skips the test where there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    pytest.skip("needs Chromium (Debian: apt-get install chromium)")


@dataclass
class Page:
    """One tab.

    Attributes:
        requests: addresses that were asked for, by number.
        refused: addresses that the page's own policy kept from being asked for.
        complaints: what the console, the page's security policy and exceptions said.
    """

    _write: int
    _read: int
    requests: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    _session: str = ""
    _number: int = 0
    _buffer: bytes = b""
    _loaded: bool = False

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return dict(answer["result"])

    def start(self) -> None:
        """Open a tab and listen to it."""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def open(self, path: Path | str, width: int = 1300, dark: bool = False) -> None:
        """Load a file, or an address on this machine, in a window so wide, and wait until its images are decoded."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.ask("Emulation.setEmulatedMedia", features=scheme)
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=1000, deviceScaleFactor=1, mobile=width < 600
        )
        self._loaded = False
        self.ask("Page.navigate", url=path.resolve().as_uri() if isinstance(path, Path) else path)
        while not self._loaded:
            self._next()

    def run(self, script: str) -> Any:
        """The value of an expression."""
        result = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def screenshot(self, path: Path, top: float = 0, height: float = 2000) -> None:
        """A strip of the page as PNG."""
        width = self.run("window.innerWidth")
        clip = {"x": 0, "y": top, "width": width, "height": height, "scale": 1}
        shot = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _next(self) -> dict[str, Any]:
        """The next message; notes events on the way."""
        until = time.monotonic() + _PATIENCE_S
        while b"\0" not in self._buffer:
            ready = select.select([self._read], [], [], max(0.0, until - time.monotonic()))[0]
            chunk = os.read(self._read, 1 << 20) if ready else b""
            if not chunk:
                raise AssertionError(f"Chromium says nothing any more, or nothing for {_PATIENCE_S:.0f} s")
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        event, params = message.get("method", ""), message.get("params", {})
        if event == "Network.requestWillBeSent":
            self.requests[params["requestId"]] = params["request"]["url"]
        elif event == "Network.loadingFailed" and params.get("blockedReason") == "csp":
            self.refused.append(self.requests.pop(params["requestId"]))
        elif event == "Page.loadEventFired":
            self._loaded = True
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        elif event == "Log.entryAdded":
            self.complaints.append(str(params["entry"]["text"]))
        elif event == "Runtime.consoleAPICalled":
            self.complaints.append(str(params["args"]))
        return message


@contextlib.contextmanager
def browser(profile: Path) -> Iterator[Page]:
    """A tab of a browser of its own, which ends with the context."""
    program = chromium()
    their_read, our_write = os.pipe()
    our_read, their_write = os.pipe()
    # Chromium reads from descriptor 3 and writes to 4: ours must not be these numbers.
    inherited = [fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (their_read, their_write)]
    for end in (their_read, their_write):
        os.close(end)
    shell = f'exec "$@" 3<&{inherited[0]} 4>&{inherited[1]}'
    process = subprocess.Popen(
        ["bash", "-c", shell, "bash", program, *_FLAGS, f"--user-data-dir={profile}"],
        pass_fds=inherited,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for end in inherited:
        os.close(end)
    try:
        page = Page(our_write, our_read)
        page.start()
        yield page
    finally:
        # The pipe's end is Chromium's end, helpers included.
        os.close(our_write)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(our_read)
