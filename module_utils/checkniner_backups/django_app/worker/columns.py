"""How PostgreSQL writes one column as the JSON that Django would write: an expression for each kind of field.

Only for the exact classes of Django's own fields, on the exact column types that Django makes for them. In each
expression `{0}` stands for the column; NULL stays NULL. A kind may have a condition for values that SQL would write
differently (or that Python cannot hold at all): one such row, and Django serialises the whole model.
"""

from __future__ import annotations

from typing import Any, Collection, NamedTuple  # noqa: UP035  Python 3.8


class NotEligibleError(Exception):
    """This model is left to Django; the message says why."""


class Scalar(NamedTuple):
    """One column in SQL: its JSON text, and the condition under which it must not be used (or nothing).

    Where the column cannot be NULL, `bare` is what COPY may write as it is, for quotes to be put around it: to_json()
    costs PostgreSQL more than the rest of the row.
    """

    json: str
    unless: str = ""
    bare: str = ""


INTEGERS = frozenset(("smallint", "integer", "bigint"))
_TEXTS = ("character varying", "text")
_YEARS = "NOT ({{0}} >= '0001-01-02{0}' AND {{0}} < '9999-12-31{0}')"

# Characters of text are escaped by to_json() exactly as by Python's json with ensure_ascii=False.
_TEXT = Scalar("to_json({0})")
_FILE = Scalar("to_json(coalesce({0}, ''))")  # a file field without a file is "" to Django, also when it is NULL
_BOOLEAN = Scalar("CASE {0} WHEN true THEN 'true' WHEN false THEN 'false' END")
_DATE = Scalar("to_json({0})", _YEARS.format(""), "{0}")
# Django cuts microseconds to milliseconds, always three digits, and writes none when there are no microseconds.
_TIME = Scalar(
    "'\"' || CASE WHEN {0} = {0}::time(0) THEN {0}::text ELSE rpad({0}::text, 12, '0') END || '\"'",
    "{0} = '24:00'",
)
_DATETIME = (
    'CASE WHEN {{0}} = date_trunc(\'second\', {{0}}) THEN to_char({{0}}, \'\\"YYYY-MM-DD"T"HH24:MI:SS"{zone}"\\"\')'
    ' ELSE to_char({{0}}, \'\\"YYYY-MM-DD"T"HH24:MI:SS.MS"{zone}"\\"\') END'
)
# Both print the shortest digits; PostgreSQL changes to exponents earlier, and has no ".0".
_FLOAT = Scalar(
    "CASE WHEN {0} = trunc({0}) THEN {0}::text || '.0' ELSE {0}::text END",
    "({0} >= 1e15 OR {0} <= -1e15)",  # NaN is greater than everything to PostgreSQL
)
_QUOTED = Scalar("'\"' || {0} || '\"'", "", "{0}")
_BINARY = Scalar("'\"' || replace(encode({0}, 'base64'), E'\\n', '') || '\"'")

KINDS: dict[str, tuple[Collection[str], Scalar]] = {
    **dict.fromkeys(
        ("AutoField", "BigAutoField", "SmallAutoField", "IntegerField", "BigIntegerField", "SmallIntegerField",
         "PositiveIntegerField", "PositiveBigIntegerField", "PositiveSmallIntegerField"),
        (INTEGERS, Scalar("{0}")),
    ),
    **dict.fromkeys(
        ("CharField", "TextField", "SlugField", "EmailField", "URLField", "FilePathField"), (_TEXTS, _TEXT)
    ),
    "FileField": (_TEXTS, _FILE),
    "ImageField": (_TEXTS, _FILE),
    "BooleanField": (("boolean",), _BOOLEAN),
    "NullBooleanField": (("boolean",), _BOOLEAN),
    "DateField": (("date",), _DATE),
    "TimeField": (("time without time zone",), _TIME),
    "FloatField": (("double precision",), _FLOAT),
    "UUIDField": (("uuid",), Scalar("to_json({0})", "", "{0}")),
    "GenericIPAddressField": (("inet",), Scalar("to_json({0})")),
    "BinaryField": (("bytea",), _BINARY),
}  # fmt: skip


class ColumnTypes:
    """The types that the columns really have, asked once for each table."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.tables: dict[str, dict[str, tuple[str, int, bool]]] = {}
        self.kinds: dict[str, str] = {}

    def is_there(self, table: str) -> bool:
        """Given a table's or view's name, return whether it exists."""
        if self.connection.vendor == "postgresql":
            return bool(self.relation_kind(table))
        with self.connection.cursor() as cursor:
            return table in self.connection.introspection.table_names(cursor, include_views=True)

    def relation_kind(self, table: str) -> str:
        """Given a table's name, return PostgreSQL's letter for its kind; nothing if it does not exist."""
        self._read(table)
        return self.kinds[table]

    def of(self, table: str, column: str) -> tuple[str, int, bool]:
        """Given a column, return the name of its type, its modifier, and whether it is never NULL."""
        self._read(table)
        return self.tables[table].get(column, ("", -1, False))

    def _read(self, table: str) -> None:
        if table in self.tables:
            return
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT c.relkind::text, a.attname, format_type(a.atttypid, NULL), a.atttypmod,"
                # Rows of a child may be NULL all the same, and PostgreSQL 18 has constraints that are not yet checked.
                " a.attnotnull AND c.relkind = 'r' AND NOT c.relhassubclass AND NOT EXISTS (SELECT FROM pg_constraint n"
                " WHERE n.conrelid = c.oid AND n.contype = 'n' AND NOT n.convalidated)"
                " FROM pg_class c"
                " LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
                " WHERE c.oid = to_regclass(%s)",
                [self.connection.ops.quote_name(table)],
            )
            rows = cursor.fetchall()
        self.kinds[table] = rows[0][0] if rows else ""
        self.tables[table] = {name: (kind, modifier, filled) for _, name, kind, modifier, filled in rows}


def final_field(field: Any) -> Any:
    """Given a field, return the one whose values its column holds: a foreign key's target, and so on."""
    while field.remote_field is not None:
        require_own_class(field, "ForeignKey", "OneToOneField")
        field = field.target_field
        if type(field).__name__ in ("FileField", "ImageField", "BinaryField"):
            raise NotEligibleError(f"a key that refers to a {type(field).__name__}")
    return field


def require_own_class(field: Any, *names: str) -> None:
    """Given a field, make sure that it is one of Django's own classes of these names, and no subclass.

    :raises NotEligibleError: it is not
    """
    from django.db import models

    if not any(type(field) is getattr(models, name, None) for name in names):
        raise NotEligibleError(f"{field.name} is a {type(field).__module__}.{type(field).__qualname__}")


def scalar(field: Any, column: str, real_type: tuple[str, int, bool], zone: str) -> Scalar:
    """Given a field, its column in SQL, its real type and what follows a date and time, return the SQL for it.

    :raises NotEligibleError: no expression writes this field as Django does
    """
    field = final_field(field)
    name = type(field).__name__
    kind, modifier, filled = real_type
    if name == "DecimalField":
        scale = (modifier - 4) & 0xFFFF
        # Python prints a number with more than six decimal places with an exponent.
        types: Collection[str] = ("numeric",) if modifier >= 0 and scale <= 6 else ()
        found = _QUOTED
    elif name == "DateTimeField":
        types = ("timestamp with time zone",)
        found = Scalar(_DATETIME.format(zone=zone), _YEARS.format(" 00:00+00"))
    elif name in KINDS:
        types, found = KINDS[name]
    else:
        raise NotEligibleError(f"{field.name} is a {name}")
    require_own_class(field, name)
    if kind not in types:
        raise NotEligibleError("the column of {} is of type {}".format(field.name, kind or "unknown"))
    return Scalar(found.json.format(column), found.unless.format(column), found.bare.format(column) if filled else "")
