"""Files that other programs read, made anew from the data whenever it changed, and after a restore."""

import csv
import json
import os
import tempfile

from django.conf import settings

from .models import PilotWeight


def export_pilotweights():
    """Write `pilotweights.csv` and `pilotweights.json` below PILOT_WEIGHTS_PATH; return their paths.

    Each file is replaced in one step: a reader sees the old one or the new one, never half of one.
    """
    rows = list(
        PilotWeight.objects.order_by("pilot__username").values_list(
            "pilot__username", "pilot__first_name", "pilot__last_name", "weight"
        )
    )
    folder = settings.PILOT_WEIGHTS_PATH
    folder.mkdir(parents=True, exist_ok=True)
    names = ("username", "first_name", "last_name", "weight")

    def write_csv(file):
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(rows)

    def write_json(file):
        json.dump([dict(zip(names, row)) for row in rows], file, indent=1)  # noqa: B905 (Python 3.8 has no strict=)

    return [_replace(folder / "pilotweights.csv", write_csv), _replace(folder / "pilotweights.json", write_json)]


def _replace(path, write):
    handle, temporary = tempfile.mkstemp(dir=str(path.parent), prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            write(file)
        os.replace(temporary, str(path))  # noqa: PTH105
    except BaseException:
        os.unlink(temporary)  # noqa: PTH108
        raise
    return path
