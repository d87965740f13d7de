"""A PostgreSQL cluster whose extensions a test can add to: PostgreSQL looks for them beside its own program."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sandbox import guard
from sandbox.postgres import Cluster, find_binaries

_CONTROL = """default_version = '1'
relocatable = false
superuser = true
trusted = false
comment = '{name} of a test'
"""


@contextmanager
def cluster_with(extensions: Mapping[str, str]) -> Iterator[Cluster]:
    """Given the SQL of extensions by name, yield a cluster that has them beside PostgreSQL's own."""
    binaries = find_binaries()
    folder = guard.make_folder("cn-ext", mode=0o755)
    try:
        folder.chmod(0o755)
        # Debian's: <root>/usr/lib/postgresql/15/bin and <root>/usr/share/postgresql/15
        programs = folder / Path(*binaries.parts[1:])
        programs.mkdir(parents=True)
        for program in binaries.iterdir():
            shutil.copy2(program, programs / program.name)
        (programs.parent / "lib").symlink_to(binaries.parent / "lib")
        shared = Path("usr/share/postgresql", binaries.parent.name)
        (folder / shared).mkdir(parents=True)
        for file in (Path("/") / shared).iterdir():
            if file.name != "extension":
                (folder / shared / file.name).symlink_to(file)
        (folder / shared / "extension").mkdir()
        for file in (Path("/") / shared / "extension").iterdir():
            (folder / shared / "extension" / file.name).symlink_to(file)
        for name, text in extensions.items():
            (folder / shared / "extension" / f"{name}.control").write_text(_CONTROL.format(name=name))
            (folder / shared / "extension" / f"{name}--1.sql").write_text(text)
        cluster = Cluster()
        cluster.binaries = programs
        with cluster:
            yield cluster
    finally:
        guard.remove_folder(folder)
