"""Who may do what in a bucket: the server's key, our policy, a thief; and credentials that are wrong, or elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from checkniner_backups.errors import StoreError
from checkniner_backups.storage import catalog as catalogue
from checkniner_backups.storage.policy import policy
from checkniner_backups.storage.s3 import Store

from sandbox.object_store import ObjectStore
from tests.plugins.object_store import BIG, KEY, POLICY_BUCKET, Make, a_file


def test_the_server_may_put_and_list_and_nothing_else(
    s3_settings: Make, s3_server: ObjectStore, tmp_path: Path
) -> None:
    store = Store(s3_settings("server"))
    path, digest = a_file(tmp_path)
    store.check()
    store.upload(path, KEY, digest)
    client = s3_server.client("server")
    for attempt in (
        lambda: client.get_object(Bucket=store.bucket, Key=KEY),
        lambda: client.head_object(Bucket=store.bucket, Key=KEY),
        lambda: client.delete_object(Bucket=store.bucket, Key=KEY),
        lambda: client.copy_object(Bucket=store.bucket, Key="db/copy", CopySource=f"{store.bucket}/{KEY}"),
        lambda: client.delete_bucket(Bucket=store.bucket),
        lambda: client.put_bucket_lifecycle_configuration(
            Bucket=store.bucket,
            LifecycleConfiguration={"Rules": [{"Status": "Enabled", "Prefix": "", "Expiration": {"Days": 1}}]},
        ),
    ):
        with pytest.raises(ClientError, match=r"AccessDenied|403"):
            attempt()
    answer = client.delete_objects(Bucket=store.bucket, Delete={"Objects": [{"Key": KEY}]})
    assert answer["Errors"][0]["Code"] == "AccessDenied"
    with pytest.raises(StoreError, match="refuses"):
        store.download(KEY, tmp_path / "back")
    other, other_digest = a_file(tmp_path, 1000, "other")
    with pytest.raises(StoreError, match="is there already, and is another object"):
        store.upload(other, KEY, other_digest)
    assert Store(s3_settings()).head(KEY).sha256 == digest


def test_our_policy_does_what_it_says(s3_settings: Make, s3_server: ObjectStore, tmp_path: Path) -> None:
    store = Store(s3_settings("policy", bucket=POLICY_BUCKET))  # a name with a dot
    store.check()
    for size, second in ((100, 1), (BIG, 2)):
        path, digest = a_file(tmp_path, size)
        store.upload(path, f"db/2026-11-22T19:35:0{second}.tar.gz.gpg", digest)
    assert store.abort_stale_uploads() == 0
    newest = catalogue.newest(store)
    assert newest
    assert newest.size == BIG
    client = s3_server.client("policy")
    history = "db-history/2026-11-22T19:35:01.json.gpg"
    for body in (b"one", b"one and two"):  # put anew with each archive of the day
        store.put_small(history, body)
    reader = Store(s3_settings("reader", bucket=POLICY_BUCKET))
    assert [each.key for each in reader.list("db-history/")] == [history]
    assert reader.read_head(history, 100) == b"one and two"
    for attempt in (
        lambda: client.get_object(Bucket=POLICY_BUCKET, Key=history),
        lambda: client.delete_object(Bucket=POLICY_BUCKET, Key=history),
        lambda: client.list_objects_v2(Bucket=POLICY_BUCKET, Prefix="db-history/"),
        lambda: client.get_object(Bucket=POLICY_BUCKET, Key=newest.key),
        lambda: client.delete_object(Bucket=POLICY_BUCKET, Key=newest.key),
        lambda: client.put_object(Bucket=POLICY_BUCKET, Key="elsewhere/x", Body=b""),
        lambda: client.list_objects_v2(Bucket=POLICY_BUCKET, Prefix="elsewhere/"),
        lambda: client.list_objects_v2(Bucket=POLICY_BUCKET),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            attempt()


def test_the_policy_names_no_right_to_read_or_delete() -> None:
    allowed = [
        action
        for statement in policy("b", "db/", kms_key_arn="arn:aws:kms:::key/k")["Statement"]
        if statement["Effect"] == "Allow"
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    ]
    assert sorted(allowed) == [
        "kms:Decrypt", "kms:GenerateDataKey", "s3:AbortMultipartUpload", "s3:GetBucketObjectLockConfiguration",
        "s3:GetBucketVersioning", "s3:ListBucket", "s3:ListBucketMultipartUploads", "s3:PutObject", "s3:PutObject",
    ]  # fmt: skip


def test_versioning_keeps_what_a_stolen_key_overwrites(
    s3_settings: Make, s3_server: ObjectStore, tmp_path: Path
) -> None:
    store = Store(s3_settings("server"))
    operator = s3_server.client()
    operator.put_bucket_versioning(Bucket=store.bucket, VersioningConfiguration={"Status": "Enabled"})
    path, digest = a_file(tmp_path)
    store.upload(path, KEY, digest)
    thief = s3_server.client("server")
    thief.put_object(Bucket=store.bucket, Key=KEY, Body=b"gone?")
    versions = operator.list_object_versions(Bucket=store.bucket, Prefix=KEY)["Versions"]
    first = next(each["VersionId"] for each in versions if not each["IsLatest"])
    with pytest.raises(ClientError, match="AccessDenied"):
        thief.delete_object(Bucket=store.bucket, Key=KEY, VersionId=first)
    body = operator.get_object(Bucket=store.bucket, Key=KEY, VersionId=first)["Body"].read()
    assert body == path.read_bytes()


def test_wrong_credentials(s3_settings: Make) -> None:
    for changes in ({"secret_key": "wrong-secret"}, {"access_key": "NOBODYKNOWSME"}):
        settings = s3_settings("server", **changes)
        with pytest.raises(StoreError, match="does not accept these credentials") as caught:
            Store(settings).check()
        assert settings.bucket in caught.value.message
        assert settings.secret_key not in str(caught.value)
    with pytest.raises(StoreError, match="refuses"):
        Store(s3_settings("nobody")).check()


def test_no_credentials_at_all(s3_settings: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    settings = s3_settings(access_key="", secret_key="")
    with pytest.raises(StoreError, match="no usable credentials"):
        Store(settings).check()
    monkeypatch.setenv("AWS_PROFILE", "missing")
    with pytest.raises(StoreError, match="no usable credentials"):
        Store(settings).check()


def test_the_default_chain_of_credentials(
    s3_settings: Make, s3_server: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = s3_server.identities["server"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", who.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", who.secret_key)
    Store(s3_settings(access_key="", secret_key="")).check()


def test_keys_that_are_given_count_alone(s3_settings: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A profile that is not there, and files that are none, are somebody else's business."""
    settings = s3_settings("server")
    (tmp_path / "config").write_text("[profile\n= nonsense")
    monkeypatch.setenv("AWS_PROFILE", "missing")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "config"))
    Store(settings).check()
