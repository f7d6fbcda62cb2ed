"""The tables of journals in PostgreSQL, and every statement on them.

A shard has an epoch. Only a claim raises it, and each commit writes under the epoch that it claimed: so
a process that was paused while another one took over writes nothing more, whatever its clock says. The
lease decides only how soon another process may take over.

A process that ends lets go of its shard, and one that lives renews its claim. What does neither within a
minute has died at once: a shard at which that happens again and again is set aside.
"""

from __future__ import annotations

from typing import LiteralString

__all__ = [
    "ADOPT_SERVER",
    "CLAIM",
    "COMMIT",
    "CREATE",
    "DELETE",
    "EXCHANGE",
    "FIND",
    "FORMAT",
    "GO_ON",
    "HOLD",
    "INSERT_CAMPAIGN",
    "INSERT_META",
    "INSERT_RECIPIENTS",
    "INSERT_SHARDS",
    "LEARNED",
    "LISTED",
    "LOCK_NAME",
    "LOCK_SHARDS",
    "LOG",
    "META",
    "MOST_ATTEMPTS",
    "PUBLISH",
    "PUBLISH_PLACES",
    "PURGE",
    "RAISE_LIMIT",
    "READ_PLACES",
    "RECIPIENTS",
    "REFUSAL",
    "RELEASE",
    "RENEW",
    "SERVER",
    "SIZE",
    "SUSPECT",
    "TAKE_BACK",
    "VERSION",
    "WAITING",
]

MOST_ATTEMPTS = 5
"""How many processes in a row may die in their first minute at a shard, until it is set aside."""


SUSPECT = 2
"""How many of them, until a process runs nothing beside it."""


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
    held text,
    held_at_limit boolean NOT NULL DEFAULT false,
    careful boolean NOT NULL DEFAULT false,
    closures bigint NOT NULL DEFAULT 0,
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
    claimed_at timestamptz,
    worker text,
    attempts integer NOT NULL DEFAULT 0,
    last_number bigint NOT NULL DEFAULT 0,
    finished boolean NOT NULL DEFAULT false,
    places bytea,
    PRIMARY KEY (campaign, shard)
);
-- `held`: why nothing more is sent until the campaign is let go on. `careful`, `closures`: the news that
-- its processes tell each other. `attempts`: how many processes in a row have died within
-- their first minute at a shard, `worker` the last one. `finished`: its log ends with that record, too.

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
# timeline. That is the one which is written now: the control file has that of the last checkpoint, which a
# promotion changes only minutes later. A standby writes none, so the function is not called there.
SERVER: LiteralString = """
SELECT system_identifier::text,
    CASE WHEN pg_is_in_recovery() THEN 0
        ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::integer END,
    pg_backend_pid(), pg_is_in_recovery()
FROM pg_control_system()
"""

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
    CASE WHEN EXISTS (
        SELECT 1 FROM {schema}.shard WHERE campaign = id AND NOT finished
    ) THEN held END,
    EXISTS (SELECT 1 FROM {schema}.claimed WHERE campaign = id)
FROM {schema}.campaign WHERE name = %(name)s
"""

# All shards of a campaign with limits are claimed together: then no other process can close a message
# that the limits of this one do not know of.
LOCK_SHARDS: LiteralString = (
    "SELECT 1 FROM {schema}.shard WHERE campaign = %(campaign)s "
    "AND (%(all)s OR shard = %(shard)s) ORDER BY shard FOR UPDATE"
)

# Why a shard is not claimed at all: its campaign is held, or it is set aside.
REFUSAL: LiteralString = """
SELECT CASE WHEN NOT finished THEN held END, attempts >= %(most)s AND NOT finished, careful FROM {schema}.campaign JOIN {schema}.shard ON campaign = id
WHERE campaign = %(campaign)s AND shard = %(shard)s
"""

CLAIM: LiteralString = """
WITH free AS (
    SELECT NOT EXISTS (
        SELECT 1 FROM {schema}.claimed
        WHERE campaign = %(campaign)s AND (%(all)s OR shard = %(shard)s)
    ) AND NOT EXISTS (
        -- A shard at which two have died is run alone: else those beside it would be blamed as well.
        SELECT 1 FROM {schema}.claimed JOIN {schema}.shard AS other USING (campaign, shard)
        WHERE other.worker = %(worker)s AND (
            other.attempts > %(suspect)s OR (
                SELECT attempts >= %(suspect)s FROM {schema}.shard AS this
                WHERE this.campaign = %(campaign)s AND this.shard = %(shard)s
            )
        )
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
        lease_until = clock_timestamp() + %(lease)s * interval '1 second',
        claimed_at = clock_timestamp(),
        -- A process that claims it again has not died, but lost its connection.
        attempts = CASE WHEN worker = %(worker)s THEN attempts ELSE attempts + 1 END,
        worker = %(worker)s
    FROM free
    WHERE is_free AND campaign = %(campaign)s AND shard = %(shard)s
    RETURNING epoch, last_number
)
SELECT epoch, last_number FROM mine
"""

COMMIT: LiteralString = """
WITH mine AS (
    UPDATE {schema}.shard SET last_number = %(last)s, finished = finished OR %(finished)s,
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

# Returns why nothing more is sent, NULL if the campaign is not held.
RENEW: LiteralString = """
UPDATE {schema}.shard SET lease_until = clock_timestamp() + %(lease)s * interval '1 second',
    attempts = CASE WHEN claimed_at < clock_timestamp() - interval '1 minute' THEN 0
        ELSE attempts END
WHERE campaign = %(campaign)s AND shard = %(shard)s AND epoch = %(epoch)s
RETURNING (SELECT held FROM {schema}.campaign WHERE id = %(campaign)s)
"""

RELEASE: LiteralString = """
UPDATE {schema}.shard SET owner = NULL, lease_until = NULL, attempts = 0
WHERE campaign = %(campaign)s AND shard = %(shard)s AND epoch = %(epoch)s
"""

DELETE: LiteralString = "DELETE FROM {schema}.campaign WHERE id = %(campaign)s RETURNING 1"

# Only a campaign that is finished and that no process runs.
PURGE: LiteralString = """
DELETE FROM {schema}.campaign WHERE id = %(campaign)s
    AND NOT EXISTS (SELECT 1 FROM {schema}.shard WHERE campaign = id AND NOT finished)
    AND NOT EXISTS (SELECT 1 FROM {schema}.claimed WHERE campaign = id)
RETURNING 1
"""

# What the processes that run a campaign tell each other, and what they are told

EXCHANGE: LiteralString = """
UPDATE {schema}.campaign SET careful = careful OR %(careful)s, closures = closures + %(closures)s
WHERE id = %(campaign)s
"""

LEARNED: LiteralString = "SELECT careful, closures FROM {schema}.campaign WHERE id = %(campaign)s"

# The first reason stays, unless it was a limit: a new limit would undo that.
HOLD: LiteralString = """
UPDATE {schema}.campaign SET held = %(reason)s, held_at_limit = %(at_limit)s
WHERE id = %(campaign)s AND (held IS NULL OR held_at_limit)
"""

GO_ON: LiteralString = "UPDATE {schema}.campaign SET held = NULL WHERE id = %(campaign)s"

RAISE_LIMIT: LiteralString = (
    "UPDATE {schema}.campaign SET held = NULL WHERE id = %(campaign)s AND held_at_limit"
)

TAKE_BACK: LiteralString = (
    "UPDATE {schema}.shard SET attempts = 0 WHERE campaign = %(campaign)s AND attempts >= %(most)s"
)

# Some of what was written may be missing: from now on each message is one POST and one close.
ADOPT_SERVER: LiteralString = """
UPDATE {schema}.campaign SET server = %(server)s, timeline = %(timeline)s, careful = true
WHERE id = %(campaign)s
"""

# What is read

LISTED: LiteralString = """
SELECT name, CASE WHEN bool_and(finished) THEN NULL
        WHEN server <> %(server)s OR timeline <> %(timeline)s THEN
            'the database is a copy, or a standby has taken over; see Campaigns.go_on'
        ELSE held END, count(*), count(*) FILTER (WHERE finished),
    count(*) FILTER (WHERE claimed.shard IS NOT NULL),
    count(*) FILTER (WHERE NOT finished AND claimed.shard IS NULL AND attempts >= %(most)s)
FROM {schema}.campaign JOIN {schema}.shard ON shard.campaign = id
LEFT JOIN {schema}.claimed ON claimed.campaign = id AND claimed.shard = shard.shard
WHERE account = %(account)s GROUP BY id ORDER BY created, id
"""

WAITING: LiteralString = """
SELECT name, shard.shard FROM {schema}.campaign JOIN {schema}.shard ON shard.campaign = id
WHERE account = %(account)s AND held IS NULL AND NOT finished AND attempts < %(most)s
    AND server = %(server)s AND timeline = %(timeline)s
    AND NOT EXISTS (
        SELECT 1 FROM {schema}.claimed
        WHERE claimed.campaign = id AND (limited OR claimed.shard = shard.shard)
    )
ORDER BY created, id, shard.shard
"""

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
