"""PostgreSQL: everything that the engine knows about it stands in this folder.

* dsn: a database URL, and the client programs that speak to it
* session: connections, and the translation of their errors
* snapshot: locks first, then one exported snapshot, and an eye on who waits for us
* snapshot_token: the one-line answer to "has anything visible changed?"
* standby: whether a hot standby follows its primary
* large_objects: what stands in no table
* extensions: what extensions keep in tables of their own, and comments
* digest: row counts and digests of tables
* metadata: what a plain `pg_dump` does not hold (owner, settings, privileges, roles, extensions)
* dump_lexer, dump_text, load: a dump cut into statements, made loadable, loaded by its owner
* admin: create, swap and drop whole databases
"""
