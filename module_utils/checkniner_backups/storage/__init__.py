"""The S3 store: one client, uploads that are looked at again, downloads, policies, and the catalog of what is there."""
