"""The slow way: Django's own serializer, for what is not eligible for the fast path, and for the samples that prove
the fast way."""

from __future__ import annotations

from contextlib import closing
from typing import Any, Iterable, Iterator  # noqa: UP035  Python 3.8

from .channel import FRAME_SIZE
from .registry import ALIAS, NATURAL_PRIMARY, is_natural


class DjangoSerializer:
    """Django's JSON serializer with this project's options."""

    def __init__(self) -> None:
        self.serializer = _definite_serializer()

    def write(self, model: Any, rows: Any, sink: Any, separator: bytes = b"") -> int:
        """Given a model and a query, write its objects without the list's brackets; return their number.

        :param separator: written before the first object
        """
        stream = _Unframed(_Prefixed(sink, separator))
        # Its cursor must be gone before anybody goes back to a savepoint: to close it later would fail, and abort all.
        with closing(iter(_with_natural_targets(model, rows).iterator(chunk_size=2000))) as found:
            counter = _Counter(found)
            self.serializer().serialize(
                counter,
                indent=4,
                stream=stream,
                use_natural_primary_keys=model._meta.label in NATURAL_PRIMARY,
            )
        stream.close()
        return counter.count


class _Unframed:
    """A text stream for a serializer: drops the list's brackets, hands the rest on as UTF-8."""

    def __init__(self, sink: Any) -> None:
        self.sink = sink
        self.pieces: list[str] = []
        self.size = 0
        self.started = False

    def write(self, text: str) -> None:
        self.pieces.append(text)
        self.size += len(text)
        if self.size >= FRAME_SIZE:
            self._flush(keep=len("\n]\n"))

    def close(self) -> None:
        self._flush(keep=0)

    def _flush(self, keep: int) -> None:
        text = "".join(self.pieces)
        if not self.started:
            text, self.started = text[1:], True
        if not keep:
            text = text.rstrip()[:-1].rstrip("\n")
            self.sink.write(text.encode())
            return
        self.sink.write(text[:-keep].encode())
        self.pieces, self.size = [text[-keep:]], keep


class _Prefixed:
    """Writes a separator before the first thing that is written, if something is."""

    def __init__(self, sink: Any, prefix: bytes) -> None:
        self.sink = sink
        self.prefix = prefix

    def write(self, data: bytes) -> None:
        if data:
            self.sink.write(self.prefix + data)
            self.prefix = b""


class _Counter:
    def __init__(self, rows: Iterable[Any]) -> None:
        self.rows = rows
        self.count = 0

    def __iter__(self) -> Iterator[Any]:
        for row in self.rows:
            self.count += 1
            yield row


def all_rows(model: Any) -> Any:
    """Given a model, return all its rows as Django's own query, in the order of the fixture."""
    from django.db.models import QuerySet

    rows = QuerySet(model, using=ALIAS)  # a manager may hide some, also the base manager
    if model._meta.label not in NATURAL_PRIMARY:
        # By a foreign key's column: its name would mean the order of the model it refers to, which may have ties.
        return rows.order_by(model._meta.pk.attname)
    from django.db import connections
    from django.db.models.functions import Collate

    names = ["app_label", "model"]
    if model._meta.label == "auth.Permission":
        names = ["content_type__app_label", "content_type__model", "codename"]
    collation = "C" if connections[ALIAS].vendor == "postgresql" else "BINARY"
    return rows.order_by(*[Collate(name, collation) for name in names])


def _with_natural_targets(model: Any, rows: Any) -> Any:
    """Given a query, let it fetch the targets whose natural keys are needed, instead of one query for each row."""
    from django.db.models import ForeignKey

    names = [
        field.name
        for field in model._meta.local_fields
        if isinstance(field, ForeignKey)
        and field.serialize
        and field.db_constraint
        and is_natural(field.remote_field.model)
    ]
    if model._meta.label == "auth.Permission":
        names = ["content_type"]
    return rows.select_related(*names) if names else rows


def _definite_serializer() -> Any:
    """Return the application's JSON serializer, with a definite order of many-to-many lists, columns alone, and natural
    keys only towards content types and permissions."""
    from django.core.serializers import get_serializer

    base: Any = get_serializer("json")

    class Definite(base):  # type: ignore[misc]
        def handle_fk_field(self, obj: Any, field: Any) -> None:
            # A ForeignObject has no column: Django would write its target's str(), which nobody can load.
            if field.column is not None:
                self.use_natural_foreign_keys = is_natural(field.remote_field.model)
                super().handle_fk_field(obj, field)

        def handle_m2m_field(self, obj: Any, field: Any) -> None:
            self.use_natural_foreign_keys = is_natural(field.remote_field.model)
            if field.remote_field.through._meta.auto_created:
                related = getattr(obj, field.name).all()
                order = related.query.order_by or related.model._meta.ordering
                # Django's serializer takes what was prefetched, so this is all it needs.
                cache = dict(getattr(obj, "_prefetched_objects_cache", {}))
                cache[field.name] = related.order_by(*order, "pk")
                obj._prefetched_objects_cache = cache
            super().handle_m2m_field(obj, field)

    return Definite
