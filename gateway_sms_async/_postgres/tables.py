"""The tables of journals in PostgreSQL, and every statement on them.

A shard has an epoch. Only a claim raises it, and each commit writes under the epoch that it claimed: so
a process that was paused while another one took over writes nothing more, whatever its clock says. The
lease decides only how soon another process may take over.
"""

from __future__ import annotations

from typing import LiteralString

__all__ = [
    "CLAIM",
    "COMMIT",
    "CREATE",
    "DELETE",
    "FIND",
    "FORMAT",
    "HOLD",
    "INSERT_CAMPAIGN",
    "INSERT_META",
    "INSERT_RECIPIENTS",
    "INSERT_SHARDS",
    "LOCK_NAME",
    "LOG",
    "META",
    "NAMES",
    "PUBLISH",
    "PUBLISH_PLACES",
    "READ_PLACES",
    "RECIPIENTS",
    "RELEASE",
    "RENEW",
    "SERVER",
    "SIZE",
    "VERSION",
]

FORMAT = 1
"""Increase this number whenever the tables change. Older ones must still be read."""


CREATE: LiteralString = """
CREATE SCHEMA IF NOT EXISTS {schema};
CREATE TABLE IF NOT EXISTS {schema}.format (format integer PRIMARY KEY);
INSERT INTO {schema}.format VALUES (1) ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS {schema}.campaign (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    account text NOT NULL,
    shards integer NOT NULL,
    total bigint NOT NULL,
    limited boolean NOT NULL,
    server text NOT NULL,
    timeline integer NOT NULL,
    created timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS {schema}.shard (
    campaign bigint NOT NULL REFERENCES {schema}.campaign ON DELETE CASCADE,
    shard integer NOT NULL,
    epoch bigint NOT NULL DEFAULT 0,
    owner text,
    owner_process integer,
    owner_start timestamptz,
    lease_until timestamptz,
    last_number bigint NOT NULL DEFAULT 0,
    finished boolean NOT NULL DEFAULT false,
    places bytea,
    PRIMARY KEY (campaign, shard)
);
-- The shards whose process is alive, as far as the database knows: a killed process has no session any
-- more, and one on a machine that is gone does not renew its lease. A role that may not see when another
-- one's session began sees NULL.
CREATE OR REPLACE VIEW {schema}.claimed AS
    SELECT campaign, shard, owner FROM {schema}.shard
    WHERE lease_until > clock_timestamp() AND EXISTS (
        SELECT 1 FROM pg_stat_activity
        WHERE pid = owner_process AND coalesce(backend_start, owner_start) = owner_start
    );
CREATE TABLE IF NOT EXISTS {schema}.meta (
    campaign bigint NOT NULL REFERENCES {schema}.campaign ON DELETE CASCADE,
    shard integer NOT NULL,
    name text NOT NULL,
    value bytea NOT NULL,
    PRIMARY KEY (campaign, shard, name)
);
CREATE TABLE IF NOT EXISTS {schema}.people (
    campaign bigint NOT NULL REFERENCES {schema}.campaign ON DELETE CASCADE,
    shard integer NOT NULL,
    first bigint NOT NULL,
    value bytea NOT NULL,
    PRIMARY KEY (campaign, shard, first)
);
CREATE TABLE IF NOT EXISTS {schema}.log (
    campaign bigint NOT NULL REFERENCES {schema}.campaign ON DELETE CASCADE,
    shard integer NOT NULL,
    number bigint NOT NULL,
    epoch bigint NOT NULL,
    value bytea NOT NULL,
    PRIMARY KEY (campaign, shard, number)
)
"""

VERSION: LiteralString = "SELECT max(format) FROM {schema}.format"

# Another backup or clone of the database has another identifier, a standby that took over another
# timeline.
SERVER: LiteralString = (
    "SELECT system_identifier::text, timeline_id, pg_backend_pid(), pg_is_in_recovery() "
    "FROM pg_control_system(), pg_control_checkpoint()"
)

# A start

LOCK_NAME: LiteralString = "SELECT pg_try_advisory_xact_lock(hashtextextended(%(lock)s, 0))"

INSERT_CAMPAIGN: LiteralString = """
INSERT INTO {schema}.campaign (name, account, shards, total, limited, server, timeline)
VALUES (%(name)s, %(account)s, %(shards)s, 0, false, %(server)s, %(timeline)s)
ON CONFLICT (name) DO NOTHING RETURNING id
"""

INSERT_SHARDS: LiteralString = (
    "INSERT INTO {schema}.shard (campaign, shard) "
    "SELECT %(campaign)s, n FROM generate_series(0, %(shards)s - 1) AS n"
)

INSERT_RECIPIENTS: LiteralString = (
    "INSERT INTO {schema}.people VALUES (%(campaign)s, %(shard)s, %(first)s, %(value)s)"
)

INSERT_META: LiteralString = (
    "INSERT INTO {schema}.meta VALUES (%(campaign)s, %(shard)s, %(name)s, %(value)s)"
)

PUBLISH: LiteralString = (
    "UPDATE {schema}.campaign SET total = %(total)s, limited = %(limited)s WHERE id = %(campaign)s"
)

PUBLISH_PLACES: LiteralString = (
    "UPDATE {schema}.shard SET places = %(places)s "
    "WHERE campaign = %(campaign)s AND shard = %(shard)s"
)

# A run

FIND: LiteralString = """
SELECT id, account, shards, total, limited, server, timeline,
    EXISTS (SELECT 1 FROM {schema}.claimed WHERE campaign = id)
FROM {schema}.campaign WHERE name = %(name)s
"""

# All shards of a campaign with limits are claimed together: then no other process can close a message
# that the limits of this one do not know of.
HOLD: LiteralString = (
    "SELECT 1 FROM {schema}.shard WHERE campaign = %(campaign)s "
    "AND (%(all)s OR shard = %(shard)s) ORDER BY shard FOR UPDATE"
)

CLAIM: LiteralString = """
WITH free AS (
    SELECT NOT EXISTS (
        SELECT 1 FROM {schema}.claimed
        WHERE campaign = %(campaign)s AND (%(all)s OR shard = %(shard)s)
    ) AS is_free
),
others AS (
    UPDATE {schema}.shard SET epoch = epoch + 1, owner = NULL, lease_until = NULL
    FROM free
    WHERE is_free AND campaign = %(campaign)s AND shard <> %(shard)s AND %(all)s
),
mine AS (
    UPDATE {schema}.shard SET epoch = epoch + 1,
        owner = %(owner)s,
        owner_process = pg_backend_pid(),
        owner_start = (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()),
        lease_until = clock_timestamp() + %(lease)s * interval '1 second'
    FROM free
    WHERE is_free AND campaign = %(campaign)s AND shard = %(shard)s
    RETURNING epoch, last_number
)
SELECT epoch, last_number FROM mine
"""

COMMIT: LiteralString = """
WITH mine AS (
    UPDATE {schema}.shard SET last_number = %(last)s,
        lease_until = clock_timestamp() + %(lease)s * interval '1 second'
    WHERE campaign = %(campaign)s AND shard = %(shard)s AND epoch = %(epoch)s
        AND last_number = %(before)s
    RETURNING 1
),
written AS (
    INSERT INTO {schema}.log
    SELECT %(campaign)s, %(shard)s, number, %(epoch)s, value
    FROM unnest(%(numbers)s::bigint[], %(values)s::bytea[]) AS t (number, value)
    WHERE EXISTS (SELECT 1 FROM mine)
    RETURNING 1
)
SELECT count(*) FROM written
"""

RENEW: LiteralString = """
UPDATE {schema}.shard SET lease_until = clock_timestamp() + %(lease)s * interval '1 second'
WHERE campaign = %(campaign)s AND shard = %(shard)s AND epoch = %(epoch)s RETURNING 1
"""

RELEASE: LiteralString = """
UPDATE {schema}.shard SET owner = NULL, lease_until = NULL
WHERE campaign = %(campaign)s AND shard = %(shard)s AND epoch = %(epoch)s
"""

DELETE: LiteralString = "DELETE FROM {schema}.campaign WHERE id = %(campaign)s RETURNING 1"

# What is read

NAMES: LiteralString = (
    "SELECT name FROM {schema}.campaign WHERE account = %(account)s ORDER BY created, id"
)

META: LiteralString = (
    "SELECT name, value FROM {schema}.meta WHERE campaign = %(campaign)s AND shard = %(shard)s"
)

RECIPIENTS: LiteralString = """
SELECT first, value FROM {schema}.people
WHERE campaign = %(campaign)s AND shard = %(shard)s AND first <= %(ordinal)s
ORDER BY first DESC LIMIT 1
"""

LOG: LiteralString = (
    "SELECT number, value FROM {schema}.log "
    "WHERE campaign = %(campaign)s AND shard = %(shard)s ORDER BY number"
)

SIZE: LiteralString = (
    "SELECT coalesce(sum(octet_length(value)), 0) FROM {schema}.people "
    "WHERE campaign = %(campaign)s AND shard = %(shard)s"
)

READ_PLACES: LiteralString = (
    "SELECT places FROM {schema}.shard WHERE campaign = %(campaign)s AND shard = %(shard)s"
)
