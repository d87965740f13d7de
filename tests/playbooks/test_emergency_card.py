"""The emergency card (checkniner_emergency_card): set-up keeps it beside the inventory, and it holds no secret."""

from __future__ import annotations

from urllib.parse import urlsplit

from tests.plugins.operated import Operated


def test_set_up_writes_a_card_without_secrets(operated: Operated) -> None:
    control = operated.control
    (text,) = control.folder.glob("emergency-cards/*.txt")
    page = text.with_suffix(".html")
    assert "the emergency card, to be printed and kept where the server is not" in operated.set_up.stdout
    said = text.read_text() + page.read_text()
    assert control.key.fingerprint in said.replace(" ", "")
    assert f"{operated.database.name}_restored" in said
    assert control.bucket in said
    identities = control.store.identities
    secrets = [identities[name].secret_key for name in ("server", "operator")]
    for secret in [*secrets, identities["server"].access_key, urlsplit(operated.database.url).password]:
        assert secret
        assert secret not in said
    assert (text.stat().st_mode & 0o777, page.stat().st_mode & 0o777) == (0o600, 0o600)
