"""Web pages as strangers make them, for taking pictures of: quiet ones, moving ones and hostile ones.

`Pages` listens on the loopback address. `asked` are the paths that were asked for, in order.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

STYLE = "<style>body{font:16px sans-serif;margin:20px} .box{width:200px;height:100px;background:#06c}</style>"
QUIET = f"<!doctype html><title>quiet</title>{STYLE}<h1>Opening hours</h1><p>Monday to Friday</p>"
PAGES = {
    "/quiet": QUIET,
    "/busy-loop": f"{QUIET}<script>while (true) {{}}</script>",
    "/late-loop": f"{QUIET}<script>setTimeout(() => {{ while (true) {{}} }}, 50)</script>",
    "/dialogs": f"{QUIET}<script>alert('a');confirm('b');prompt('c');onbeforeunload = () => 'no'</script>",
    "/popups": f"{QUIET}<script>for (let i = 0; i < 5; i++) window.open('/quiet')</script>",
    "/tall": f"{QUIET}<div style='height:3000000px;background:linear-gradient(red,blue)'></div>",
    "/wide": f"{QUIET}<div style='width:90000px;height:100px;background:teal'></div>",
    "/growing": f"{QUIET}<script>onscroll = () => document.body.append(Object.assign("
    "document.createElement('div'), {style: 'height:5000px'}))</script>",
    "/greedy": f"{QUIET}<script>const all = []; setInterval(() => "
    "all.push(new Uint8Array(64 << 20).fill(1)), 20)</script>",
    "/banner": f"{QUIET}<div id='banner' style='background:red;height:300px'>cookies?</div>",
    "/lazy": f"{QUIET}<div style='height:9000px'></div>"
    "<img loading='lazy' src='/dot.svg' width=90 height=90>",
    "/late": f"{QUIET}<script>setTimeout(() => {{ document.body.innerHTML += '<p id=late>here</p>' }}, 400)"
    "</script>",
    "/animated": f"{QUIET}<style>@keyframes go {{to {{transform:translateX(600px)}}}}"
    ".box{animation:go 1s linear infinite alternate}</style><div class=box></div>",
    "/moving": f"{QUIET}<div style='height:200px'></div><div style='font-size:30px' id=now></div>"
    "<script>now.textContent = Math.random()</script>",
    "/worker": f"{QUIET}<p id=said></p><script>navigator.serviceWorker.register('/worker.js')"
    ".then(r => fetch('/worker-there?' + !!r), () => fetch('/worker-refused'))</script>",
    "/curious": f"{QUIET}<script>navigator.geolocation.getCurrentPosition(() => fetch('/told'), "
    "() => fetch('/not-told'));fetch('/rtc-' + typeof RTCPeerConnection)</script>",
    "/files": f"{QUIET}<iframe src='file:///etc/passwd'></iframe><img src='file:///etc/hosts'>",
    "/gone-to-file": "<script>location = 'file:///etc/passwd'</script>",
    "/dark": "<style>body{background:white}"
    "@media (prefers-color-scheme:dark){body{background:black}}</style>",
}


class _Handler(BaseHTTPRequestHandler):
    server: Pages

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.server.asked.append(path)
        if path in self.server.pages:
            self._html(self.server.pages[path])
        elif path == "/down":
            self._html(QUIET, status=503)
        elif path == "/new-each-time":
            self._html(f"{QUIET}<h2 style='font-size:90px'>{next(self.server.numbers)}</h2>")
        elif path == "/download":
            self._answer(b"x" * 1000, "application/octet-stream", Content_Disposition="attachment")
        elif path == "/forever":
            self._trickle()
        elif path == "/flood":
            self._flood()
        elif path == "/again":
            self._answer(b"", "text/html", status=302, Location="/again")
        elif path == "/elsewhere":
            self._answer(b"", "text/html", status=302, Location=self.server.elsewhere)
        elif path == "/reset":
            self.connection.close()
        elif path == "/dot.svg":
            self._answer(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml")
        else:
            self._answer(b"", "text/plain", status=404)

    def _html(self, text: str, status: int = 200) -> None:
        self._answer(text.encode(), "text/html; charset=utf-8", status=status)

    def _answer(self, body: bytes, kind: str, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def _trickle(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        while not self.server.closing.wait(0.05):
            self.wfile.write(b"<p>more</p>")

    def _flood(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.end_headers()
        while not self.server.closing.is_set():
            self.wfile.write(b"x" * (1 << 20))

    def log_message(self, *_: object) -> None:
        pass


class Pages(ThreadingHTTPServer):
    """The server. `pages` may be changed; `elsewhere` is where `/elsewhere` redirects to."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__((host, port), _Handler)
        self.pages = dict(PAGES)
        self.asked: list[str] = []
        self.elsewhere = "/quiet"
        self.numbers = itertools.count(1)
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://{self.server_address[0]!s}:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Browsers leave in the middle."""


@contextmanager
def serving(host: str = "127.0.0.1", port: int = 0) -> Iterator[Pages]:
    """The server, running."""
    server = Pages(host, port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
