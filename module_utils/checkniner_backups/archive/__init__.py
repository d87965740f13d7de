"""The archive's format: manifest, writer, reader, and an archive as a file on this machine."""
