"""What Django itself does: answers `label path` lines on stdin by writing dumpdata's output to the path, and
`loaddata path` lines by loading the path.

Dumps have references to content types and permissions as natural keys, and to nothing else: Django knows only all or
none, so it prints the keys themselves, and they are looked up here.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def serve() -> None:
    import django

    django.setup()
    from django.core.management import call_command

    for line in sys.stdin:
        label, path = line.rstrip("\n").split(" ", 1)
        if label == "loaddata":
            call_command("loaddata", path, verbosity=0)
            sys.stderr.write("done\n")
            sys.stderr.flush()
            continue
        call_command("dumpdata", label, format="json", indent=4, use_base_manager=True, output=path, verbosity=0,
                     exclude=["kinds.absent"] if "." not in label else [],
                     use_natural_primary_keys=label in NATURAL)  # fmt: skip
        _name_naturally(path)
        sys.stderr.write("done\n")
        sys.stderr.flush()


def _name_naturally(path: str) -> None:
    from django.apps import apps

    objects = json.loads(Path(path).read_text(encoding="utf-8"))
    changed = False
    for found in objects:
        for field in apps.get_model(found["model"])._meta.get_fields():
            remote = getattr(field, "remote_field", None)
            if not remote or not remote.model or field.name not in found["fields"]:
                continue
            target = remote.model._meta.concrete_model
            value = found["fields"][field.name]
            if target._meta.label_lower in NATURAL and value not in (None, []):
                keys = value if isinstance(value, list) else [value]
                names = [list(target.objects.get(pk=key).natural_key()) for key in keys]
                found["fields"][field.name] = names if isinstance(value, list) else names[0]
                changed = True
    if changed:
        text = ",\n".join(json.dumps(found, indent=4, ensure_ascii=False) for found in objects)
        Path(path).write_text(f"[\n{text}\n]\n", encoding="utf-8")


NATURAL = ("contenttypes.contenttype", "auth.permission")
