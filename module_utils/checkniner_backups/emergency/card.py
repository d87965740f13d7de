"""One page to print, for the day on which nothing else is left: where the backups are, what opens them, what to type.

The page holds no secret. The commands carry the names of one site, so that they can be typed as they stand.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from shlex import quote

EXAMPLE = "2026-11-22T19:35:00.tar.gz"
"""Stands for the name of an archive."""
_STYLE = """\
body { font: 11pt/1.4 sans-serif; margin: 2rem auto; max-width: 48rem; padding: 0 1rem; }
pre { background: #f3f3f3; padding: .5rem; white-space: pre-wrap; overflow-wrap: anywhere; }
table { border-collapse: collapse; } td { border: 1px solid #999; overflow-wrap: anywhere; padding: .2rem .5rem; }
@media (prefers-color-scheme: dark) { body { background: #111; color: #eee; } pre { background: #222; } }
@media print { body { background: #fff; color: #000; margin: 0; } pre { background: #fff; border: 1px solid #999; } }
"""


@dataclass(frozen=True)
class Site:
    """What a card is about. No field holds a secret.

    :param host: the server's name in the inventory
    :param address: what `ssh` is given
    :param variables: of the inventory, without secrets
    :param recipients: fingerprints of the keys of which one opens an archive; empty where archives are not encrypted
    :param database: the live database's name, and the role that owns it
    :param drilled: a sentence on the last drill in which an archive was restored and proven; empty where there is none
    """

    name: str
    host: str
    address: str
    owner: str
    archives_path: str
    bucket: str
    prefix: str
    endpoint_url: str = ""
    region: str = ""
    recipients: Sequence[str] = ()
    identity: str = ""
    database: str = ""
    role: str = ""
    variables: Mapping[str, object] = field(default_factory=dict)
    drilled: str = ""

    @property
    def archive(self) -> str:
        """An archive's name, as an example."""
        return f"{EXAMPLE}.gpg" if self.recipients else EXAMPLE

    @property
    def url(self) -> str:
        """Where an archive is, for curl."""
        region = self.region or "us-east-1"
        start = f"{self.endpoint_url.rstrip('/')}/{self.bucket}" if self.endpoint_url else (
            f"https://{self.bucket}.s3.{region}.amazonaws.com"
        )  # fmt: skip
        return f"{start}/{self.prefix}{self.archive}".replace(EXAMPLE, EXAMPLE.replace(":", "%3A"))


@dataclass(frozen=True)
class Part:
    """A heading, and what stands below it: a text, the rows of a table, or commands (`sh`, `yaml`)."""

    heading: str
    text: str = ""
    rows: Sequence[tuple[str, str]] = ()
    code: str = ""
    language: str = "sh"


def parts(site: Site) -> Iterator[Part]:
    """Given a site, yield what stands on its card, in order."""
    yield Part(
        f"Backups of {site.name} on {site.host}",
        "Print this page, and keep one copy where no fire, theft or lost account takes both the page and the server."
        " It holds no secret. " + (site.drilled or "No restore was drilled yet: run playbooks/drill.yml."),
        rows=list(_facts(site)),
    )
    yield Part(
        "What you need",
        " ".join(
            [
                *(["The private key, and its passphrase."] if site.recipients else []),
                "Keys of the store that may read and list.",
                "A machine with GnuPG; for the way with the playbook also this project and the inventory below.",
                "A Debian server with PostgreSQL and the application, if the old one is gone.",
            ]
        ),
    )
    yield Part(
        "The inventory, without its secrets",
        "Write it as inventory.yml, with known_origins beside it if you still have that file. Export the keys of the"
        " store as S3_ACCESS_KEY and S3_SECRET_KEY.",
        code=_inventory(site),
        language="yaml",
    )
    yield Part(
        "With the playbook",
        "The first line, on a new server only, installs the backups again; the second brings the data back. A new"
        " server signs with a new key: add -e new_origin=true to the first line, and if known_origins is lost,"
        " -e other_server=true to the second.",
        code=f"ansible-playbook -i inventory.yml playbooks/setup-backups.yml --limit {quote(site.host)}\n"
        f"ansible-playbook -i inventory.yml playbooks/restore.yml -e source=sql --limit {quote(site.host)}",
        language="text",
    )
    yield from _by_hand(site)


def _facts(site: Site) -> Iterator[tuple[str, str]]:
    yield "store", site.endpoint_url or f"Amazon S3, {site.region or 'us-east-1'}"
    yield "bucket and prefix", f"{site.bucket}, {site.prefix}"
    yield "newest archive", f"the last name below the prefix, such as {site.archive}; times are UTC"
    for fingerprint in site.recipients:
        yield "opened by the private key", " ".join(fingerprint[at : at + 4] for at in range(0, len(fingerprint), 4))
    if not site.recipients:
        yield "opened by", "anybody: the archives are not encrypted"
    yield "signed as", site.identity
    yield "on the server", f"{site.archives_path} holds the archives of the last weeks"


def _inventory(site: Site) -> str:
    # JSON is YAML.
    lines = [f"      {name}: {json.dumps(value, ensure_ascii=False)}" for name, value in site.variables.items()]
    return "\n".join(["all:", "  hosts:", f"    {json.dumps(site.host)}:", *lines])


def _by_hand(site: Site) -> Iterator[Part]:
    opens = f"gpg --decrypt {site.archive} |" if site.recipients else f"cat {site.archive} |"
    yield Part(
        "By hand 1: get the archive and open it",
        ("On the machine with the private key. " if site.recipients else "")
        + "The file s3-keys, which only you can read, holds one line:"
        ' user = "ACCESS-KEY:SECRET-KEY". Put the name of the newest archive for the example.',
        code=f"curl --fail --silent --show-error --config s3-keys --aws-sigv4 aws:amz:{site.region or 'us-east-1'}:s3"
        f" --output {site.archive} {quote(site.url)}\n"
        f"{opens} ssh {quote(f'{site.owner}@{site.address}')}"
        " 'umask 077 && mkdir restored && tar -xz -C restored'",
    )
    new = f"{site.database}_restored"
    create = f"sudo -u postgres createdb --owner={quote(site.role)} --template=template0 --encoding=UTF8 {quote(new)}"
    yield Part(
        "By hand 2: load it into a new database",
        "Load the file as the application's own role, never as the superuser.",
        code=f"ssh {quote(f'root@{site.address}')} {quote(create)}",
    )
    yield Part(
        "",
        code="# on the server, as the application's owner\n"
        f"psql -X -q -v ON_ERROR_STOP=1 --single-transaction -d {quote(new)} -f restored/*.sql",
    )
    rename = [
        "ALTER DATABASE {} RENAME TO {}".format(*(_identifier(each) for each in (old, to)))
        for old, to in ((site.database, f"{site.database}_before"), (new, site.database))
    ]
    swap = "sudo -u postgres psql -X -v ON_ERROR_STOP=1 " + " ".join(f"-c {quote(each)}" for each in rename)
    yield Part(
        "By hand 3: put it in the place of the old one",
        "Stop the application first, look at the new database, then rename, and start the application. Afterwards"
        " remove the folder restored.",
        code=f"ssh {quote(f'root@{site.address}')} {quote(swap + ' -d postgres')}",
    )


def _identifier(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""'))


def as_text(site: Site) -> str:
    """Given a site, return its card as text, in Markdown's form."""
    lines: list[str] = []
    for number, part in enumerate(parts(site)):
        if part.heading:
            lines += ["", f"{'#' if number == 0 else '##'} {part.heading}"]
        if part.text:
            lines += ["", part.text]
        if part.rows:
            lines += ["", *(f"* {name}: {value}" for name, value in part.rows)]
        if part.code:
            lines += ["", f"```{part.language}", part.code, "```"]
    return "\n".join(lines).lstrip("\n") + "\n"


def as_html(site: Site) -> str:
    """Given a site, return its card as one HTML page without a script or anything from elsewhere."""
    body = []
    for number, part in enumerate(parts(site)):
        level = 1 if number == 0 else 2
        if part.heading:
            body.append(f"<h{level}>{html.escape(part.heading)}</h{level}>")
        if part.text:
            body.append(f"<p>{html.escape(part.text)}</p>")
        if part.rows:
            cells = (f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>" for name, value in part.rows)
            body.append(f"<table>{''.join(cells)}</table>")
        if part.code:
            body.append(f"<pre>{html.escape(part.code)}</pre>")
    title = html.escape(f"Backups of {site.name} on {site.host}")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{title}</title>\n<style>\n{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )
