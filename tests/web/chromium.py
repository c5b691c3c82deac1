"""A headless Chromium, driven over its debugging pipe: JSON messages ended by NUL, no library needed."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)


_LATE = "responded with a status of 503"
_ICON = "/favicon.ico"


class Page:
    """One tab. complaints: console errors, exceptions, refused resources."""

    def __init__(self, to: int, came: int) -> None:
        self._to, self._came = to, came
        self._rest = b""
        self._number = 0
        self._session = ""
        self.complaints: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            got = self._next()
            if got.get("id") == self._number:
                assert "error" not in got, got
                result: dict[str, Any] = got["result"]
                return result

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            chunk = os.read(self._came, 1 << 20)
            assert chunk, "Chromium ended"
            self._rest += chunk
        one, _, self._rest = self._rest.partition(b"\0")
        got: dict[str, Any] = json.loads(one)
        self._note(got)
        return got

    def _note(self, got: dict[str, Any]) -> None:
        params = got.get("params", {})
        match got.get("method"):
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(params["exceptionDetails"])[:500])
            case "Log.entryAdded" if _LATE in params["entry"]["text"] or _ICON in params["entry"].get(
                "url", ""
            ):
                pass  # a page that is late says so, and comes by itself; it names no icon
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.complaints.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                self.complaints.append(json.dumps(params["args"])[:500])
            case "Page.javascriptDialogOpening":
                self.complaints.append(f"a dialog: {params['message']}")
            case "Network.loadingFailed" if not params.get("canceled"):
                self.complaints.append(f"not loaded: {params['errorText']}")

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    def value(self, expression: str) -> Any:
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"]
        return result.get("value")

    def promised(self, expression: str) -> Any:
        """The value that a promise comes to."""
        asked = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        answer = self.call("Runtime.evaluate", **asked)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str, *, shift: bool = False) -> None:
        """One key as a person's keyboard sends it: Tab, Enter, Space, or a character."""
        code = {"Tab": 9, "Enter": 13, "Space": 32, "Escape": 27}.get(key, 0)
        text = {"Enter": "\r", "Space": " ", "Tab": "", "Escape": ""}.get(key, key)
        named: dict[str, Any] = {"key": " " if key == "Space" else key, "modifiers": 8 if shift else 0}
        if code:
            named |= {"code": key, "windowsVirtualKeyCode": code}
        down: dict[str, Any] = {"type": "keyDown" if text else "rawKeyDown"} | (
            {"text": text} if text else {}
        )
        self.call("Input.dispatchKeyEvent", **down, **named)
        self.call("Input.dispatchKeyEvent", type="keyUp", **named)

    def size(self, width: int, height: int = 900) -> None:
        one = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **one)

    def prefer(self, scheme: str) -> None:
        """Wish for light or dark."""
        wish = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=wish)

    def wait_for(self, expression: str, seconds: float = 20.0) -> float:
        """Seconds until the expression was true."""
        start = time.monotonic()
        while not self.value(expression):
            assert time.monotonic() - start < seconds, f"never true: {expression}"
            time.sleep(0.02)
        return time.monotonic() - start

    def screenshot(self, file: Path, width: int = 1280, height: int = 860) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))


@contextmanager
def browser(profile: Path) -> Iterator[Page]:
    """A fresh Chromium with one tab."""
    assert PROGRAM is not None, "Chromium is not installed: .ci/system test, or apt-get install chromium"
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()

    def pipes() -> None:
        # High numbers first: 3 and 4 may be among the pipes' own.
        os.dup2(to_read, 60)
        os.dup2(from_write, 61)
        os.dup2(60, 3)
        os.dup2(61, 4)

    process = subprocess.Popen(
        [PROGRAM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        close_fds=False,
        preexec_fn=pipes,
    )
    os.close(to_read)
    os.close(from_write)
    try:
        yield Page(to_write, from_read)
    finally:
        process.terminate()
        process.wait(timeout=20)
        os.close(to_write)
        os.close(from_read)
