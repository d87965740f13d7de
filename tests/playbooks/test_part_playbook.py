"""restore.yml -e into=live: the rows of some apps in the live database, as one transaction, between the commands."""

from __future__ import annotations

from tests.plugins.operated import Operated

STRIPS = "SELECT id, ident, name FROM checkouts_airstrip ORDER BY id"
USERS = "SELECT id, first_name FROM auth_user ORDER BY id"


def test_some_apps_into_the_live_database(operated: Operated) -> None:
    operated.tick()
    strips = operated.database.execute(STRIPS)
    operated.database.execute("UPDATE checkouts_airstrip SET name = 'Wrong'")
    operated.database.execute("UPDATE auth_user SET first_name = 'Kept'")
    users = operated.database.execute(USERS)
    asked = ("-e", "source=fixtures", "-e", "apps=checkouts", "-e", "into=live")
    done = operated.restore(*asked)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    assert "proven: fixtures of 1 apps" in done.stdout
    assert "in the live database, in one transaction" in done.stdout
    assert operated.database.execute(STRIPS) == strips
    assert operated.database.execute(USERS) == users
    assert any("before-restore" in key for key in operated.stored())

    for wrong in (("-e", "source=sql", *asked[2:]), (*asked, "-e", "target_database=x"), (*asked[:4], "-e", "into=x")):
        refused = operated.restore(*wrong)
        assert refused.returncode != 0
    assert operated.database.execute(STRIPS) == strips
