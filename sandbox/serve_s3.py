"""Hold a throwaway S3 server open until SIGTERM or SIGINT: `python -m sandbox.serve_s3 FOLDER`.

`FOLDER/endpoint.json` appears when it answers; it says where it is, and whose keys it knows.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

from .object_store import ObjectStore


def main() -> int:
    """Parse the command line, start, make the buckets, say so, wait."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--bucket", action="append", default=[], help="a bucket to make; may be given several times")
    arguments = parser.parse_args()
    os.umask(0o077)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), ObjectStore(arguments.folder, arguments.address) as s3:
        for bucket in arguments.bucket:
            s3.create_bucket(bucket)
        identities = {who.name: {"access_key": who.access_key, "secret_key": who.secret_key}
                      for who in s3.identities.values()}  # fmt: skip
        ready = s3.folder / "endpoint.json.part"
        ready.write_text(json.dumps({"endpoint_url": s3.endpoint_url, "identities": identities}))
        ready.rename(s3.folder / "endpoint.json")
        while s3.running:
            time.sleep(0.5)
    return 0


if __name__ == "__main__":
    sys.exit(main())
