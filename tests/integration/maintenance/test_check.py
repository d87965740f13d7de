"""`check` says what protects the archives in the bucket, and never fails because the store does not tell."""

from __future__ import annotations

from sandbox.server import Server


def test_what_protects_the_archives(server: Server) -> None:
    """The server's keys of the tests may not ask; those of the operator may."""
    said = server.run("check").stdout
    assert "versioning is unknown, Object Lock is unknown (these keys may not ask" in said
    operator = server.store.identities["operator"]
    server.write_environment(S3_ACCESS_KEY=operator.access_key, S3_SECRET_KEY=operator.secret_key)
    said = server.run("check").stdout
    assert "WARNING: versioning is off, Object Lock is off; with the rights of scripts/policy, a thief" in said
    enabled = {"Status": "Enabled"}
    server.store.client().put_bucket_versioning(Bucket=server.bucket, VersioningConfiguration=enabled)
    said = server.run("check").stdout
    assert "\nversioning is on, Object Lock is off; with the rights of scripts/policy, a thief" in f"\n{said}"
