"""A watchdog for the scenarios: an HTTP server that answers every GET and writes its time and path down, a line each.

`watchdog.py FOLDER ADDRESS` puts its URL into FOLDER/url and the lines (`1795403000 /host/tick`) into FOLDER/pings.
"""

from __future__ import annotations

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def main() -> None:
    """Answer until killed."""
    folder, address = Path(sys.argv[1]), sys.argv[2]
    folder.mkdir(parents=True, exist_ok=True)
    pings = folder / "pings"
    pings.touch()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with pings.open("a") as file:
                file.write(f"{time.time():.0f} {self.path}\n")
            self.send_response(200)
            self.end_headers()

    with ThreadingHTTPServer((address, 0), Handler) as server:
        ready = folder / "url.part"
        ready.write_text(f"http://{address}:{server.server_port}")
        ready.rename(folder / "url")
        server.serve_forever()


if __name__ == "__main__":
    main()
