#!/bin/bash
# `psql <` of a plain dump that lies decrypted on the disk, into a new database. Nothing is proven, nothing is swapped.
set -euo pipefail
PGUSER=postgres PGPASSWORD=$ADMIN_PASSWORD createdb --maintenance-db=postgres --owner="$PGUSER" "$NEW"
psql -X -q -v ON_ERROR_STOP=1 -o /dev/null --dbname="$NEW" <"$FOLDER/$SQL"
echo restored
