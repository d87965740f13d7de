"""Every command of the documentation is run as it is written, in order, against real parts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .blocks import ROOT, Block, blocks, documents
from .world import World, world

# The end of README's installation: what stands before it makes the world that all other pages need.
INSTALLED = "playbooks/setup-backups.yml"
BY_HAND = "checkniner_restored"
RUN_HERE = {"README.md", "docs/overview.md", "docs/restore.md", "docs/restore-by-hand.md", "docs/retention.md",
            "docs/variables.md"}  # fmt: skip
# These set everything up, or measure: other tests run what they name.
RUN_ELSEWHERE = {
    "docs/testing.md": ("make test", "make demo", "make molecule", "make faults", "make coverage", "make applications"),
    "CONTRIBUTING.md": ("make test-fast",),
    # molecule/absent takes these lines from the page
    "docs/schedule.md": ("systemctl list-timers ", "journalctl -u ", "systemctl start "),
    # tests/playbooks/test_kept.py runs them with values of its own
    "docs/keys.md": (
        "ansible-playbook -i inventory.yml playbooks/pause.yml -e until=",
        "ansible-playbook -i inventory.yml playbooks/list.yml -e checkniner_backups_s3_bucket_name=",
        "ansible-playbook -i inventory.yml playbooks/restore.yml -e checkniner_backups_s3_bucket_name=",
    ),
    # tests/playbooks/test_collection.py takes these lines from the page; the index of packages is left alone
    "docs/collection.md": (
        "make collection",
        "ansible-galaxy collection install ",
        "python3 -m pip install -r ",
        "export ANSIBLE_INJECT_FACT_VARS=false",
        "ansible-playbook -i inventory.yml checkniner.backups.",
        "ansible-doc checkniner.backups.",
    ),
}
ARCHIVE = "2026-11-22T19:35:00.tar.gz.gpg"
pytestmark = pytest.mark.timeout(1800)  # the first test sets everything up


@pytest.fixture(scope="module")
def installed() -> Iterator[World]:
    """The world after README's installation."""
    with world() as made:
        for block in installation():
            follow(made, block)
        yield made


def installation() -> list[Block]:
    """README's blocks up to the first run of the set-up."""
    found = blocks(ROOT / "README.md")
    end = next(number for number, block in enumerate(found) if block.language == "sh" and INSTALLED in block.text)
    return found[: end + 1]


def follow(made: World, block: Block) -> None:
    """Do what a reader would do at this block."""
    if block.language == "yaml":
        if block.text.startswith("all:"):
            made.inventory.write_text(made.translate(block.text))
        elif block.text.startswith("# in the inventory"):
            more = made.folder / "group_vars" / "all" / f"{block.line}.yml"
            more.parent.mkdir(parents=True, exist_ok=True)
            more.write_text(made.translate(block.text))
        return
    if block.language != "sh":
        return
    if ARCHIVE in block.text and "--output" not in block.text:
        made.fetch_newest(ARCHIVE)
    if "playbooks/" in block.text and block.text in made.done:
        return  # one minute for each of them: once is enough
    said = made.run(block)
    made.done.add(block.text)
    if "--quick-generate-key" in block.text:
        made.learn_key()
    if INSTALLED in block.text:
        assert "PROVEN: this machine has opened" in said
        assert "NOT PROVEN" not in said


def test_every_command_is_run_by_a_test() -> None:
    for path in documents():
        name = str(path.relative_to(ROOT))
        commands = [block for block in blocks(path) if block.language == "sh"]
        if name in RUN_ELSEWHERE:
            lines = [line for block in commands for line in block.text.splitlines()]
            assert all(line.startswith(RUN_ELSEWHERE[name]) for line in lines), name
        elif name not in RUN_HERE:
            assert not commands, f"no test runs the commands of {name}"


def test_blocks_have_a_language_that_we_know() -> None:
    for path in documents():
        for block in blocks(path):
            assert block.language in {"sh", "yaml", "sql", "text", "json"}, block


def test_readme(installed: World) -> None:
    before = installed.content()
    for block in blocks(ROOT / "README.md")[len(installation()) :]:
        follow(installed, block)
    assert installed.content() == before
    business = {name: digest for name, digest in installed.content(BY_HAND).tables.items() if is_business(name)}
    assert business == {name: digest for name, digest in before.tables.items() if is_business(name)}
    installed.cluster.drop_database(BY_HAND)


def test_restore(installed: World) -> None:
    before = installed.content()
    for block in blocks(ROOT / "docs" / "restore.md"):
        follow(installed, block)
    copy = installed.content("checkniner_copy")
    assert {name for name in copy.tables if is_business(name)} <= before.tables.keys()


def test_restore_by_hand(installed: World) -> None:
    installed.store_keys("s3-keys")
    installed.fetch_newest(ARCHIVE)  # only for its name: the page fetches it by itself
    (installed.folder / installed.translate(ARCHIVE)).unlink()
    before = installed.content()
    for block in blocks(ROOT / "docs" / "restore-by-hand.md"):
        follow(installed, block)
    assert installed.content() == before  # what is live now came from the archive
    fixtures = installed.content("checkniner_empty").tables
    assert {name: fixtures[name] for name in fixtures if is_business(name)} == {
        name: before.tables[name] for name in before.tables if is_business(name)
    }


def test_the_emergency_card_by_hand(installed: World) -> None:
    """What set-up has printed is typed as it stands: the card carries the names of this site."""
    installed.store_keys("s3-keys")
    installed.fetch_newest(ARCHIVE)
    (installed.folder / installed.translate(ARCHIVE)).unlink()
    for left in ("checkniner_before", BY_HAND):
        installed.cluster.drop_database(left)
    before = installed.content()
    (card,) = installed.folder.glob("emergency-cards/*.txt")
    commands = [block for block in blocks(card) if block.language == "sh"]
    assert len(commands) == 4
    for block in commands:
        follow(installed, block)
    assert installed.content() == before
    assert installed.content("checkniner_before") == before


def test_variables(installed: World) -> None:
    for block in blocks(ROOT / "docs" / "variables.md"):
        follow(installed, block)


def test_overview(installed: World) -> None:
    for block in blocks(ROOT / "docs" / "overview.md"):
        follow(installed, block)
    assert "server.example.org" in (installed.folder / "backups.html").read_text()
    assert '"well": true' in (installed.folder / "backups.json").read_text()


def test_retention(installed: World) -> None:
    """The last of them: its shell has the keys of a prune."""
    for block in blocks(ROOT / "docs" / "retention.md"):
        follow(installed, block)


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        linked = (path.parent / name).resolve() if name else path
        assert linked.exists(), f"{path.name} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, f"{path.name} links to {target}"


def is_business(table: str) -> bool:
    """Whether a table belongs to the business apps."""
    return table.startswith(("auth_", "checkouts_"))
