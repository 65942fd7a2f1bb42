"""Make the lake's bucket: old versions are kept, objects are encrypted at rest. May run any number of times."""

from __future__ import annotations

from caudal.lake import Lake, S3Lake
from caudal.settings import Settings, load


def make(settings: Settings) -> str:
    """Create and configure the bucket of the lake that the settings name; returns its name."""
    lake = Lake.open(settings)
    if not isinstance(lake, S3Lake):
        raise SystemExit("the lake is no bucket: set CAUDAL_LAKE__URI to s3://…")
    bucket = lake.uri.removeprefix("s3://").partition("/")[0]
    s3 = lake.client()
    if bucket not in {entry["Name"] for entry in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    return bucket


if __name__ == "__main__":
    print(make(load()))
