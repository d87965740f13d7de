"""The rights that the server's S3 keys should have, the operator's, and those of a prune, and no more."""

from __future__ import annotations

from typing import Any

from ..settings import history_prefix


def policy(
    bucket: str, prefix: str = "db/", *, conditional_writes: bool = True, kms_key_arn: str = ""
) -> dict[str, Any]:
    """Given a bucket and a prefix, return the IAM policy (a JSON object) for the keys that the server gets.

    It may list what is below the prefix, put archives there, abort its own unfinished uploads, and ask what protects
    the bucket. It may neither read nor delete. The history beside the archives is put anew with each archive of a day,
    so it may be overwritten: it is no backup. A put to an archive's key that exists would still overwrite it; three
    things stand against that, each stronger:

    * the engine itself only puts with `If-None-Match: *`;
    * with `conditional_writes`, Amazon refuses every other put. A store that does not know these condition keys ignores
      the statement or refuses the policy: then leave it out and rely on the next one;
    * switch the bucket's *versioning* on: an overwritten archive stays as an older version, and this policy gives no
      `s3:DeleteObjectVersion`. With *object lock* in compliance mode nobody at all can remove a version early, the
      bucket's owner included. A prune with the operator's keys, or a lifecycle rule, removes what is old.

    With a KMS key, uploading in parts needs `kms:Decrypt` too; that alone does not let it read an object.
    """
    things = f"arn:aws:s3:::{bucket}/{prefix}*"
    statements: list[dict[str, Any]] = [
        _list(bucket, prefix),
        _look(bucket),
        {
            "Sid": "FindUnfinishedUploads",
            "Effect": "Allow",
            "Action": "s3:ListBucketMultipartUploads",
            "Resource": f"arn:aws:s3:::{bucket}",
        },
        {
            "Sid": "PutArchives",
            "Effect": "Allow",
            "Action": ["s3:PutObject", "s3:AbortMultipartUpload"],
            "Resource": things,
        },
        {"Sid": "PutHistory", "Effect": "Allow", "Action": "s3:PutObject", "Resource": _history(bucket, prefix)},
    ]
    if conditional_writes:
        statements.append(
            {
                "Sid": "NeverOverwrite",
                "Effect": "Deny",
                "Action": "s3:PutObject",
                "Resource": things,
                # Parts of a multipart upload cannot carry the condition, only its completion can.
                "Condition": {
                    "Null": {"s3:if-none-match": "true"},
                    "Bool": {"s3:ObjectCreationOperation": "true"},
                },
            }
        )
    if kms_key_arn:
        statements.append(
            {
                "Sid": "UseKey",
                "Effect": "Allow",
                "Action": ["kms:GenerateDataKey", "kms:Decrypt"],
                "Resource": kms_key_arn,
            }
        )
    return {"Version": "2012-10-17", "Statement": statements}


def operator_policy(bucket: str, prefix: str = "db/") -> dict[str, Any]:
    """Given a bucket and a prefix, return the IAM policy (a JSON object) for the operator's keys.

    They may list and read what is below the prefix and in the history, and record drills. They may neither add an
    archive nor delete one: a control machine that is lost costs no backup.
    """
    things = f"arn:aws:s3:::{bucket}/{prefix}"
    return {
        "Version": "2012-10-17",
        "Statement": [
            _list(bucket, prefix),
            _list_history(bucket, prefix),
            {
                "Sid": "ReadArchives",
                "Effect": "Allow",
                "Action": "s3:GetObject",
                "Resource": [f"{things}*", _history(bucket, prefix)],
            },
            {"Sid": "RecordDrills", "Effect": "Allow", "Action": "s3:PutObject", "Resource": f"{things}drills/*"},
        ],
    }


def prune_policy(bucket: str, prefix: str = "db/") -> dict[str, Any]:
    """Given a bucket and a prefix, return the IAM policy (a JSON object) for the keys that a prune is run with.

    They may list and read what is below the prefix, and remove it with all its versions, and the history too; add
    nothing, and lift no lock.
    Keep them apart from the keys for every day: who has these can remove every backup that no lock holds.
    """
    things = f"arn:aws:s3:::{bucket}/{prefix}*"
    return {
        "Version": "2012-10-17",
        "Statement": [
            _list(bucket, prefix, "s3:ListBucketVersions"),
            _list_history(bucket, prefix, "s3:ListBucketVersions"),
            _look(bucket),
            {
                "Sid": "ReadArchives",
                "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:GetObjectRetention", "s3:GetObjectLegalHold"],
                "Resource": things,
            },
            {
                "Sid": "RemoveOldArchives",
                "Effect": "Allow",
                "Action": ["s3:DeleteObject", "s3:DeleteObjectVersion"],
                "Resource": [things, _history(bucket, prefix)],
            },
        ],
    }


def _look(bucket: str) -> dict[str, Any]:
    return {
        "Sid": "AskWhatProtectsTheBucket",
        "Effect": "Allow",
        "Action": ["s3:GetBucketVersioning", "s3:GetBucketObjectLockConfiguration"],
        "Resource": f"arn:aws:s3:::{bucket}",
    }


def _history(bucket: str, prefix: str) -> str:
    return f"arn:aws:s3:::{bucket}/{history_prefix(prefix)}*"


def _list_history(bucket: str, prefix: str, *more: str) -> dict[str, Any]:
    return {**_list(bucket, history_prefix(prefix), *more), "Sid": "ListHistory"}


def _list(bucket: str, prefix: str, *more: str) -> dict[str, Any]:
    return {
        "Sid": "ListArchives",
        "Effect": "Allow",
        "Action": ["s3:ListBucket", *more] if more else "s3:ListBucket",
        "Resource": f"arn:aws:s3:::{bucket}",
        "Condition": {"StringLike": {"s3:prefix": f"{prefix}*"}},
    }
