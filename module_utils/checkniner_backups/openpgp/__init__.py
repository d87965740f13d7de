"""GnuPG: its processes, keyrings, and streams that encrypt and decrypt."""
