"""The emergency card: every name that is needed, in commands that can be typed, and no markup from outside."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest
import yaml
from checkniner_backups.emergency.card import Site, as_html, as_text, parts

SITE = Site(
    name="shop", host="shop.example.org", address="192.0.2.7", owner="shop",
    archives_path="/var/lib/checkniner-backups/shop/archives", bucket="backups", prefix="shop/",
    endpoint_url="https://s3.example.org/", region="eu-1", recipients=("0123456789ABCDEF0123456789ABCDEF01234567",),
    identity="shop@shop.example.org", database="shop", role="shop_owner",
    variables={"checkniner_backups_name": "shop", "checkniner_backups_s3_bucket_name": "backups"},
    drilled="shop/x was restored and proven.",
)  # fmt: skip


def code(site: Site, language: str = "sh") -> str:
    return "\n".join(part.code for part in parts(site) if part.language == language)


def test_the_names_of_the_site_are_in_the_commands() -> None:
    commands = code(SITE)
    assert "https://s3.example.org/backups/shop/2026-11-22T19%3A35%3A00.tar.gz.gpg" in commands
    assert "aws:amz:eu-1:s3" in commands
    assert "shop@192.0.2.7" in commands
    assert "createdb --owner=shop_owner" in commands
    assert "--limit shop.example.org" in code(SITE, "text")
    assert "0123 4567 89AB CDEF" in as_text(SITE)
    assert "shop/x was restored and proven." in as_text(SITE)
    assert "No restore was drilled yet" in as_text(replace(SITE, drilled=""))


def test_the_inventory_on_the_card_is_one() -> None:
    read = yaml.safe_load(code(replace(SITE, host="a: b", variables={"x": 'it\'s: "y"', "z": [1, True]}), "yaml"))
    assert read == {"all": {"hosts": {"a: b": {"x": 'it\'s: "y"', "z": [1, True]}}}}


def test_amazon_needs_no_endpoint() -> None:
    site = replace(SITE, endpoint_url="", region="")
    assert "https://backups.s3.us-east-1.amazonaws.com/shop/2026-11-22" in code(site)
    assert "Amazon S3, us-east-1" in as_text(site)


def test_without_encryption_nothing_is_decrypted_and_it_is_said() -> None:
    site = replace(SITE, recipients=())
    assert "gpg" not in code(site)
    assert "not encrypted" in as_text(site)
    assert "private key" not in as_text(site)


@pytest.mark.parametrize("name", ["shop'; rm -rf ~", 'a"b', "$(id)", "-x y"])
def test_odd_names_stay_words(name: str) -> None:
    commands = code(replace(SITE, database=name, role=name))
    lines = commands.splitlines()
    created = next(line for line in lines if "createdb" in line)
    inner = shlex.split(created)[2]
    assert f"{name}_restored" in shlex.split(inner)
    assert f"--owner={name}" in shlex.split(inner)
    swap = shlex.split(shlex.split(next(line for line in lines if "RENAME" in line))[2])
    quoted = '"{}"'.format(name.replace('"', '""'))
    assert any(f"TO {quoted}" in word for word in swap)


def test_nothing_of_outside_becomes_markup() -> None:
    page = as_html(replace(SITE, name="<script>alert(1)</script>", drilled="<img src=x>", database="</pre><b>"))
    assert "<script" not in page
    assert "<img" not in page
    assert "<b>" not in page
    assert "http" not in page.replace("https://s3.example.org", "")
