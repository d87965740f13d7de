"""What Django itself prints: answers `label path` lines on stdin by writing dumpdata's output to the path."""

from __future__ import annotations

import sys


def serve() -> None:
    import django

    django.setup()
    from django.core.management import call_command

    for line in sys.stdin:
        label, path = line.rstrip("\n").split(" ", 1)
        natural = {"use_natural_foreign_keys": True, "use_natural_primary_keys": label in NATURAL}
        call_command("dumpdata", label, format="json", indent=4, use_base_manager=True, output=path, verbosity=0,
                     exclude=["kinds.absent"] if "." not in label else [], **natural)  # fmt: skip
        sys.stderr.write("done\n")
        sys.stderr.flush()


NATURAL = ("contenttypes.contenttype", "auth.permission")
