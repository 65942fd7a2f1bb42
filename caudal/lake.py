"""The lake's storage: paths of tables, and small files (manifest, cycle records) written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caudal.errors import TransientError
from caudal.settings import Settings

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from pyarrow.fs import FileSystem


class Lake(ABC):
    """Root of all tables. Names of small files are relative to it and use `/`."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    @staticmethod
    def open(settings: Settings) -> Lake:
        """The lake that the settings name: a folder, or a bucket when the address starts with `s3://`."""
        if settings.lake_uri.startswith(("s3://", "s3a://")):
            return S3Lake(settings)
        return LocalLake(settings.lake_uri)

    def table(self, layer: str, name: str) -> str:
        """Address of a Delta table for deltalake (`s3://…` or a path)."""
        return f"{self.uri}/{layer}/{name}"

    def address(self, path: str) -> str:
        """A path of the manifest as deltalake opens it: absolute, or relative to the lake."""
        if path.startswith(("/", "s3://", "s3a://", "file://")):
            return path.replace("s3a://", "s3://", 1)
        return f"{self.uri}/{path}"

    def spark_table(self, layer: str, name: str) -> str:
        """Address of the same table for Spark, whose S3 file system is called s3a."""
        return self.table(layer, name).replace("s3://", "s3a://", 1)

    @property
    def storage_options(self) -> dict[str, str]:
        """Options that deltalake needs to open tables here."""
        return {}

    def files(self, opened: DeltaTable) -> FileSystem:
        """The folder of a table as Arrow's file system: data files by their names in the log."""
        from deltalake.fs import DeltaStorageHandler
        from pyarrow.fs import PyFileSystem

        return PyFileSystem(DeltaStorageHandler(opened.table_uri, self.storage_options or None))

    @abstractmethod
    def read_bytes(self, name: str) -> bytes | None:
        """The file's bytes, or None when there is no such file."""

    @abstractmethod
    def write_atomic(self, name: str, data: bytes) -> None:
        """Write the whole file: a reader sees the old bytes or the new ones, never a part."""

    @abstractmethod
    def list(self, prefix: str) -> list[str]:
        """Names of the files under a folder, sorted."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Remove the file if it is there."""

    def exists(self, name: str) -> bool:
        """Whether the file is there."""
        return self.read_bytes(name) is not None

    def has_table(self, layer: str, name: str) -> bool:
        """Whether a Delta table has been created at this place."""
        return bool(self.list(f"{layer}/{name}/_delta_log"))


class LocalLake(Lake):
    """A folder. Files are replaced by rename after fsync."""

    def __init__(self, uri: str) -> None:
        super().__init__(str(Path(uri.removeprefix("file://")).resolve()))

    def read_bytes(self, name: str) -> bytes | None:
        try:
            return (Path(self.uri) / name).read_bytes()
        except (FileNotFoundError, IsADirectoryError):
            return None

    def write_atomic(self, name: str, data: bytes) -> None:
        target = Path(self.uri) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def list(self, prefix: str) -> list[str]:
        root = Path(self.uri)
        folder = root / prefix
        if not folder.is_dir():
            return []
        return sorted(str(p.relative_to(root)) for p in folder.iterdir() if p.is_file() and p.name[0] != ".")

    def delete(self, name: str) -> None:
        path = Path(self.uri) / name
        path.unlink(missing_ok=True)
        # The checksum that Hadoop leaves beside what it writes to a folder.
        path.with_name(f".{path.name}.crc").unlink(missing_ok=True)


class S3Lake(Lake):
    """A bucket, through boto3. One PutObject replaces a file as a whole."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.lake_uri.replace("s3a://", "s3://", 1))
        self._settings = settings.lake
        bucket, _, self._prefix = self.uri.removeprefix("s3://").partition("/")
        self._bucket = bucket
        self._client: Any = None

    @property
    def storage_options(self) -> dict[str, str]:
        s3 = self._settings
        options = {
            "AWS_REGION": s3.s3_region,
            "AWS_ACCESS_KEY_ID": s3.s3_access_key.get_secret_value(),
            "AWS_SECRET_ACCESS_KEY": s3.s3_secret_key.get_secret_value(),
        }
        if s3.s3_endpoint:
            options |= {"AWS_ENDPOINT_URL": s3.s3_endpoint, "AWS_ALLOW_HTTP": "true"}
        return {k: v for k, v in options.items() if v}

    def client(self) -> Any:
        """The boto3 client, made at first use. Empty keys leave the choice to boto3's own chain."""
        if self._client is None:
            import boto3

            s3 = self._settings
            self._client = boto3.client(
                "s3",
                endpoint_url=s3.s3_endpoint or None,
                region_name=s3.s3_region,
                aws_access_key_id=s3.s3_access_key.get_secret_value() or None,
                aws_secret_access_key=s3.s3_secret_key.get_secret_value() or None,
            )
        return self._client

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name

    def read_bytes(self, name: str) -> bytes | None:
        from botocore.exceptions import ClientError

        try:
            body = self.client().get_object(Bucket=self._bucket, Key=self._key(name))["Body"]
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404"):
                return None
            raise TransientError("the bucket did not answer a read", where=name, why=type(error).__name__) from error
        data: bytes = body.read()
        return data

    def write_atomic(self, name: str, data: bytes) -> None:
        self.client().put_object(Bucket=self._bucket, Key=self._key(name), Body=data)

    def list(self, prefix: str) -> list[str]:
        pages = (
            self.client()
            .get_paginator("list_objects_v2")
            .paginate(Bucket=self._bucket, Prefix=self._key(prefix.rstrip("/") + "/"), Delimiter="/")
        )
        cut = len(self._key(""))
        return sorted(item["Key"][cut:] for page in pages for item in page.get("Contents", []))

    def delete(self, name: str) -> None:
        self.client().delete_object(Bucket=self._bucket, Key=self._key(name))
