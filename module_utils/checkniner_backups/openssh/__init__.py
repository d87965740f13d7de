"""OpenSSH's signatures: the key of an installation, what it signs, and whose keys the control machine knows."""
