"""What a plain `pg_dump` does not hold, and a restore needs: read at dump time into the manifest, compared afterwards.

Owner, privileges, settings, encoding and locale of the database; the roles that its objects name; its extensions;
owners and privileges of the tables; how far the sequences are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .extensions import database_comment, extension_comments
from .locales import locale_fields
from .session import fetch_all, fetch_one, server_major

if TYPE_CHECKING:
    from .digest import TableDigest
    from .session import Connection
    from .snapshot import Table

_DATABASE = """
SELECT d.datname, pg_get_userbyid(d.datdba), pg_encoding_to_char(d.encoding), d.datcollate, d.datctype,
       d.datconnlimit, pg_database_size(d.oid), to_jsonb(d)
FROM pg_database d WHERE d.datname = current_database()
"""
_ACL = """
SELECT coalesce(nullif(pg_get_userbyid(a.grantee), 'unknown (OID=0)'), 'PUBLIC'), a.privilege_type, a.is_grantable
FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
WHERE d.datname = current_database()
ORDER BY 1, 2, 3
"""
_SETTINGS = """
SELECT coalesce(r.rolname, ''), setting
FROM pg_db_role_setting s
JOIN pg_database d ON d.oid = s.setdatabase
LEFT JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) AS setting
WHERE d.datname = current_database() AND (s.setrole = 0 OR r.rolname IS NOT NULL)
ORDER BY 1, 2
"""
_ROLE_SETTINGS = """
SELECT r.rolname, setting
FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) AS setting
WHERE s.setdatabase = 0 AND (r.rolname = ANY (%s) OR r.rolname = current_user)
ORDER BY 1, 2
"""
_TABLESPACES = """
SELECT DISTINCT t.spcname FROM pg_class c JOIN pg_tablespace t ON t.oid = c.reltablespace
WHERE t.spcname !~ '^pg_' ORDER BY 1
"""
# Every role that an object of this database belongs to or grants something to. Initial privileges ('i') are the
# server's own.
_ROLES = """
SELECT DISTINCT r.rolname
FROM pg_shdepend s
JOIN pg_roles r ON s.refclassid = 'pg_authid'::regclass AND r.oid = s.refobjid
WHERE s.deptype IN ('o', 'a', 'r')
  AND (s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
       OR s.classid = 'pg_database'::regclass
          AND s.objid = (SELECT oid FROM pg_database WHERE datname = current_database()))
ORDER BY 1
"""
_EXTENSIONS = """
SELECT e.extname, e.extversion, n.nspname,
       coalesce((SELECT bool_or(v.trusted) FROM pg_available_extension_versions v
                 WHERE v.name = e.extname AND v.version = e.extversion), false)
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname <> 'plpgsql'
ORDER BY 1
"""
# Of the bootstrap superuser, pg_shdepend tells nothing. Extensions' own parts and inner ones (a table's row type)
# are no statements of a dump.
_OWNERS = """
WITH owned (class, object, owner) AS (
    SELECT 'pg_class'::regclass, oid, relowner FROM pg_class
    WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND relpersistence <> 't'
    UNION ALL SELECT 'pg_proc'::regclass, oid, proowner FROM pg_proc
    UNION ALL SELECT 'pg_type'::regclass, oid, typowner FROM pg_type
    UNION ALL SELECT 'pg_namespace'::regclass, oid, nspowner FROM pg_namespace WHERE nspname !~ '^pg_'
    UNION ALL SELECT 'pg_operator'::regclass, oid, oprowner FROM pg_operator
    UNION ALL SELECT 'pg_opclass'::regclass, oid, opcowner FROM pg_opclass
    UNION ALL SELECT 'pg_opfamily'::regclass, oid, opfowner FROM pg_opfamily
    UNION ALL SELECT 'pg_collation'::regclass, oid, collowner FROM pg_collation
    UNION ALL SELECT 'pg_conversion'::regclass, oid, conowner FROM pg_conversion
    UNION ALL SELECT 'pg_ts_dict'::regclass, oid, dictowner FROM pg_ts_dict
    UNION ALL SELECT 'pg_ts_config'::regclass, oid, cfgowner FROM pg_ts_config
    UNION ALL SELECT 'pg_statistic_ext'::regclass, oid, stxowner FROM pg_statistic_ext
    UNION ALL SELECT 'pg_foreign_server'::regclass, oid, srvowner FROM pg_foreign_server
    UNION ALL SELECT 'pg_foreign_data_wrapper'::regclass, oid, fdwowner FROM pg_foreign_data_wrapper
    UNION ALL SELECT 'pg_language'::regclass, oid, lanowner FROM pg_language
    UNION ALL SELECT 'pg_event_trigger'::regclass, oid, evtowner FROM pg_event_trigger
    UNION ALL SELECT 'pg_publication'::regclass, oid, pubowner FROM pg_publication
    UNION ALL SELECT 'pg_default_acl'::regclass, oid, defaclrole FROM pg_default_acl
    UNION ALL SELECT 'pg_largeobject'::regclass, oid, lomowner FROM pg_largeobject_metadata
), counted AS (
    SELECT owner, count(*) AS objects, (array_agg(class))[1] AS class, (array_agg(object))[1] AS object
    FROM owned
    WHERE object >= 16384 AND NOT EXISTS (
        SELECT FROM pg_depend d
        WHERE d.classid = owned.class AND d.objid = owned.object AND d.objsubid = 0 AND d.deptype IN ('e', 'i'))
    GROUP BY owner
)
SELECT pg_get_userbyid(owner), objects, pg_describe_object(class, object, 0),
       coalesce(has_schema_privilege(owner, to_regnamespace('public')::oid, 'CREATE'), false)
FROM counted ORDER BY 1
"""
_SUPERUSERS = """
SELECT pg_describe_object(class, object, 0) || more
FROM (
    SELECT 'pg_event_trigger'::regclass, oid, '' FROM pg_event_trigger
    UNION ALL SELECT 'pg_publication'::regclass, oid, ' for all tables' FROM pg_publication WHERE puballtables
    UNION ALL SELECT 'pg_foreign_data_wrapper'::regclass, oid, '' FROM pg_foreign_data_wrapper
    UNION ALL SELECT 'pg_opclass'::regclass, oid, '' FROM pg_opclass
    UNION ALL SELECT 'pg_opfamily'::regclass, oid, '' FROM pg_opfamily
    UNION ALL SELECT 'pg_proc'::regclass, p.oid, ''
    FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE p.proleakproof OR NOT l.lanpltrusted
) AS made (class, object, more)
WHERE object >= 16384 AND NOT EXISTS (
    SELECT FROM pg_depend d WHERE d.classid = class AND d.objid = object AND d.deptype IN ('e', 'i'))
ORDER BY 1
"""
# Since 15.
_PUBLISHED_SCHEMAS = """
SELECT DISTINCT 'publication ' || pubname || ' for tables in a schema'
FROM pg_publication p JOIN pg_publication_namespace n ON n.pnpubid = p.oid ORDER BY 1
"""
_SEQUENCES = """
SELECT schemaname, sequencename, last_value FROM pg_sequences
WHERE schemaname !~ '^pg_' ORDER BY schemaname COLLATE "C", sequencename COLLATE "C"
"""
_OWNERSHIP = """
SELECT c.oid::bigint, pg_get_userbyid(c.relowner),
       ARRAY(SELECT acl::text FROM unnest(coalesce(c.relacl, acldefault('r', c.relowner))) AS acl ORDER BY 1)
FROM pg_class c WHERE c.oid = ANY (%s)
"""


def database_metadata(connection: Connection) -> dict[str, Any]:
    """Return the database's own properties, as they stand in the manifest under `database`. Sizes are in bytes."""
    power = fetch_all(connection, _SUPERUSERS)
    if server_major(connection) >= 15:
        power += fetch_all(connection, _PUBLISHED_SCHEMAS)
    name, owner, encoding, collate, ctype, limit, size, everything = fetch_one(connection, _DATABASE)
    roles = [row[0] for row in fetch_all(connection, _ROLES)]
    return {
        "name": name,
        "server_version": connection.info.server_version,
        "server_major": server_major(connection),
        "owner": owner,
        "encoding": encoding,
        "lc_collate": collate,
        "lc_ctype": ctype,
        "locale": locale_fields(everything),
        "connection_limit": limit,
        "size": size,
        "privileges": [list(row) for row in fetch_all(connection, _ACL)],
        "settings": [list(row) for row in fetch_all(connection, _SETTINGS)],
        "roles": roles,
        "extensions": [
            {"name": extension, "version": version, "schema": schema, "trusted": trusted}
            for extension, version, schema, trusted in fetch_all(connection, _EXTENSIONS)
        ],
        # What follows is not in manifests of earlier releases.
        "comment": database_comment(connection),
        "role_settings": [list(row) for row in fetch_all(connection, _ROLE_SETTINGS, [*roles, owner])],
        "tablespaces": [row[0] for row in fetch_all(connection, _TABLESPACES)],
        "extension_comments": extension_comments(connection),
        # Whether its own role can load the dump.
        "owners": [
            {"role": role, "objects": objects, "example": example, "creates": creates}
            for role, objects, example, creates in fetch_all(connection, _OWNERS)
        ],
        "superuser_objects": [row[0] for row in power],
    }


def sequence_metadata(connection: Connection) -> list[dict[str, Any]]:
    """Return how far each sequence is. They are not transactional: read them before the dump, so that a dumped
    one is never behind."""
    return [
        {"schema": schema, "name": name, "last_value": value}
        for schema, name, value in fetch_all(connection, _SEQUENCES)
    ]


def ownership(connection: Connection, oids: list[int]) -> dict[int, tuple[str, list[str]]]:
    """Given OIDs of tables, return the owner and the privileges of each."""
    return {oid: (owner, acl) for oid, owner, acl in fetch_all(connection, _OWNERSHIP, oids)}


def table_metadata(
    connection: Connection, tables: Sequence[Table], digests: Mapping[int, TableDigest]
) -> list[dict[str, Any]]:
    """Given tables and digests by their OIDs, return what the manifest says about each that holds rows."""
    owners = ownership(connection, [table.oid for table in tables])
    return [
        {
            "schema": table.schema,
            "name": table.name,
            "rows": digests[table.oid].rows,
            "sha256": digests[table.oid].sha256,
            "owner": owners[table.oid][0],
            "privileges": owners[table.oid][1],
        }
        for table in tables
        if table.has_rows
    ]
