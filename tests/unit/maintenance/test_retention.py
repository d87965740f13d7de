"""Which local archives may go."""

from checkniner_backups.maintenance.retention import is_archive, to_remove

NAMES = [f"2026-11-{day}T00:00:00.tar.gz.gpg" for day in (20, 21, 22, 23)]


def test_all_but_the_newest_go() -> None:
    assert to_remove(NAMES, NAMES[-1]) == tuple(NAMES[:-1])


def test_what_the_store_has_not_confirmed_stays() -> None:
    assert to_remove(NAMES, NAMES[1]) == tuple(NAMES[:2])
    assert to_remove(NAMES, "") == ()


def test_the_newest_stays_even_when_older_than_the_confirmed_one() -> None:
    assert to_remove(NAMES[:1], "2027-01-01T00:00:00.tar.gz.gpg") == ()
    assert to_remove([], "") == ()


def test_only_archives_count() -> None:
    assert is_archive("2026-11-22T19:35:00.tar.gz")
    assert is_archive("2026-11-22T19:35:00.tar.gz.gpg")
    assert not is_archive("latest.tar.gz.gpg")
    assert not is_archive("2026-11-22T19:35:00.tar.gz.gpg.part")
