"""The lifecycle rules of docs/retention.md are what a store takes, and mean what the page says."""

from __future__ import annotations

import json

from checkniner_backups.pruning.policy import Policy

from sandbox.object_store import ObjectStore

from .blocks import ROOT, blocks

PAGE = ROOT / "docs" / "retention.md"


def test_a_store_takes_the_lifecycle_rules(s3_server: ObjectStore) -> None:
    (rules,) = [json.loads(block.text) for block in blocks(PAGE) if block.language == "json"]
    bucket = s3_server.create_bucket("lifecycle")
    client = s3_server.client()
    # botocore itself compares the names and types of all members with Amazon's own description.
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=rules)
    taken = client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert {each["ID"]: each["Status"] for each in taken} == {each["ID"]: "Enabled" for each in rules["Rules"]}
    assert [each["Expiration"]["Days"] for each in taken if "Expiration" in each] == [400]


def test_the_defaults_of_the_page_are_those_of_the_engine() -> None:
    text = PAGE.read_text()
    default = Policy()
    for name in ("keep_all_days", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly"):
        assert f"| `checkniner_backups_prune_{name}` | {getattr(default, name)} |" in text
    assert default.most_percent == 50
    assert "more than half of the archives" in text
