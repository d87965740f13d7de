"""A restore that finds nothing says where archives are: a prefix was lost with the server, or never the right one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from checkniner_backups.errors import NotFoundError, StoreError
from checkniner_backups.storage.choice import pick
from checkniner_backups.storage.client import Page
from checkniner_backups.storage.s3 import Store

from sandbox.object_store import ObjectStore
from tests.plugins.object_store import Make


def test_a_wrong_prefix_is_told_the_right_ones(s3_settings: Make, s3_server: ObjectStore) -> None:
    bucket = Store(s3_settings()).bucket
    for key in (
        "shop/2026-11-22T19:35:00.tar.gz.gpg", "shop/before-restore/2026-11-23T19:35:00.tar.gz.gpg",
        "sites/blog/2026-11-22T19:35:00.tar.gz", "photos/2026-11-22.jpg", "db/drills/2026-11-22T19:35:00.json",
    ):  # fmt: skip
        s3_server.client().put_object(Bucket=bucket, Key=key, Body=b"x")
    with pytest.raises(NotFoundError) as caught:
        pick(Store(s3_settings()))
    assert "the bucket has archives below shop/, sites/blog/: is one of these" in caught.value.hint


def test_credentials_that_may_list_their_own_prefix_alone(s3_settings: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = Store.pages

    def refusing(store: Store, prefix: str | None = None, delimiter: str = "") -> Iterator[Page]:
        if prefix == "":
            raise StoreError("access denied")
        return pages(store, prefix, delimiter)

    monkeypatch.setattr(Store, "pages", refusing)
    with pytest.raises(NotFoundError) as caught:
        pick(Store(s3_settings()))
    assert "these keys see no archive in another folder" in caught.value.hint
