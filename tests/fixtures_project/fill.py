"""Rows for every model: run inside the project's own interpreter (`python -c "import fill; fill.fill()"`)."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal

TEXTS = [
    "", " ",
    'quote " and \\ back\\\\slash', "tab\tnew\nline\rfeed\fback\bvertical\v",
    "nul-less \x01\x02\x03\x1f\x7f\x80\x9f",
    "\u2028\u2029\ufeff\uffff", "Zażółć gęślą 日本語 🛩️", "null", "\\N", "\\n", "</script>&'", "a" * 190,
]  # fmt: skip
FLOATS = [
    0.0, -0.0, 1.0, -1.5, 0.1, 1e-5, 1e-4, 123456789.123, 1e14, 999999999999999.0, 5e-324, 2.2250738585072014e-308,
    1e-7, 0.30000000000000004, 4503599627370495.5 / 8,
]  # fmt: skip
MOMENTS = [
    dt.datetime(1, 1, 3), dt.datetime(99, 5, 6, 7, 8, 9, 1), dt.datetime(1900, 1, 1),
    dt.datetime(2024, 3, 31, 2, 30),
    dt.datetime(2024, 2, 29, 23, 59, 59, 999999), dt.datetime(2026, 1, 1, 0, 0, 0, 999),
    dt.datetime(2026, 1, 1, 0, 0, 0, 100000),
    dt.datetime(9999, 12, 29, 23, 59, 59, 120000), dt.datetime(2024, 10, 27, 0, 30),
    dt.datetime(2026, 7, 1, 12, 0, 1, 500),
]  # fmt: skip


def fill() -> None:  # noqa: PLR0915  a list of rows
    from django.conf import settings
    from django.contrib.admin.models import LogEntry
    from django.contrib.auth.models import Group, Permission, User
    from django.contrib.contenttypes.models import ContentType
    from django.utils import timezone
    from kinds import models as m

    def aware(moment):
        return moment.replace(tzinfo=dt.timezone.utc) if settings.USE_TZ else moment

    users = [User.objects.create(username=f"user{number} \\ ż", pk=number * 7 + 1) for number in range(5)]
    User.objects.create(username="last", pk=100, last_login=aware(dt.datetime(2026, 1, 2, 3, 4, 5, 678901)))
    groups = [Group.objects.create(name=name) for name in ("zeta", 'al"pha', "mid")]
    permissions = list(Permission.objects.order_by("-pk")[:9])
    groups[0].permissions.set(permissions)
    users[1].groups.set(groups)
    users[2].user_permissions.set(permissions[::2])
    tags = [m.Tag.objects.create(word=word, weight=weight) for word, weight in
            [("b", 1), ("a", 1), ("null", None), ("ż\\", None), ("c", 5), ('"', 1)]]  # fmt: skip
    rows = []
    for number in range(60):
        values = {
            "small": number - 30,
            "whole": -(2**31) if number % 7 else None, "big": 2**63 - 1 - number,
            "positive": number,
            "yes": [True, False, None][number % 3], "name": TEXTS[number % len(TEXTS)].replace("\x00", ""),
            "text": TEXTS[(number + 3) % len(TEXTS)] if number % 5 else None, "slug": f"slug-{number}",
            "email": "a@b.c", "url": "http://x/?a=1&b=2", "file_path": None if number % 2 else "/tmp/x",
            "day": MOMENTS[number % len(MOMENTS)].date() if number % 4 else None,
            "moment": aware(MOMENTS[number % len(MOMENTS)]) if number % 6 else None,
            "clock": MOMENTS[number % len(MOMENTS)].time() if number % 5 else None,
            "price": Decimal("0.00") if number % 2 else Decimal("-123456789012345678.90"),
            "fine": [Decimal("0.000001"), Decimal("0.000000"), Decimal("-0.5"), Decimal("1.5"), None][number % 5],
            "number": FLOATS[number % len(FLOATS)] if number % 16 else None,
            "identity": uuid.UUID(int=number * 2**100) if number % 3 else None,
            "address": ["10.0.0.1", "::1", "::ffff:1.2.3.4", None][number % 4],
            "file": ["some/file.txt", None, ""][number % 3], "picture": ["p.png", None][number % 2],
            "blob": [b"", b"\x00\xff\\\n", bytes(range(256)) * 3, None][number % 4],
            "user": users[number % 5] if number % 3 else None, "group": groups[number % 3] if number % 2 else None,
            "permission": permissions[number % 9] if number % 2 else None,
            "content_type": permissions[number % 9].content_type if number % 3 else None,
        }  # fmt: skip
        row = m.Everything.objects.create(**values)
        if rows and number % 2:
            row.parent = rows[number // 2]
            row.save()
        row.groups.set(groups[: number % 4])
        row.permissions.set(permissions[: number % 5])
        row.tags.set(tags[number % 6 :])
        row.friends.set(rows[: number % 7])
        rows.append(row)
    keyed = [
        m.Keyed.objects.create(id=uuid.UUID(int=number), tag=tags[number % 6], quoted=number) for number in (9, 5, 3)
    ]
    keyed[0].others.set(keyed)
    coded = m.Coded.objects.create(code=Decimal("12.500"))
    m.Profile.objects.create(user=users[3], keyed=keyed[1], by_word=coded)
    m.Profile.objects.create(user=users[0])
    m.OnlyKey.objects.create()
    m.Odd.objects.create(
        lasts=dt.timedelta(days=-3, microseconds=7), json={"b": [1, {"a": None}], "ż": "\u2028"}, tiny=Decimal("1e-9")
    )
    m.Odd.objects.create()
    m.Custom.objects.create(word="hello")
    m.Place.objects.create(name="place")
    m.Restaurant.objects.create(name="restaurant", stars=2)
    softs = [m.Soft.objects.create(name=str(number), deleted=number % 2 == 1) for number in range(4)]
    m.RefersToSoft.objects.create().softs.set(softs)
    second = m.Book.objects.create(title="second")
    books = [m.Book.objects.create(title="first", sequel=second), second, m.Book.objects.create(title="other")]
    m.Reader.objects.create(book=second).books.set(books)
    m.Reader.objects.create()
    m.Note.objects.create(content_type=ContentType.objects.get_for_model(User), object_id=users[1].pk)
    m.Changed.objects.create(name="changed")
    m.Changed.objects.update(name="changed")  # the table holds other text than Django shows
    LogEntry.objects.create(user=users[0], content_type=permissions[0].content_type, object_id="1", object_repr="x",
                            action_flag=1, change_message='[{"a": 1}]', action_time=timezone.now())  # fmt: skip
    if "tagged" in settings.INSTALLED_APPS:
        from tagged.models import Article

        for number in range(3):
            article = Article.objects.create(title=f"title {number}")
            article.tags.add("red", "green \\ ż")
            article.title += "!"
            article.save()
