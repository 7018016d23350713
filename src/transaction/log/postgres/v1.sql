-- Version 1 of the tables of logs. This file never changes once it is released: a later version is a
-- file of its own.
--
-- Numbers of 64 bits without a sign are bytes, big endian: nothing is lost, and they sort as the
-- numbers do. Functions set the search path: whoever may create functions in a schema on the
-- caller's path would else have them run as the caller. They run with the caller's rights, and at
-- READ COMMITTED: each statement sees what was committed before it began.

-- The logs: one row each, which whoever appends holds until it has committed.
CREATE TABLE tripod.log (
    name text COLLATE "C" PRIMARY KEY CHECK (octet_length(name) BETWEEN 1 AND 64),
    coordinator bytea NOT NULL UNIQUE CHECK (octet_length(coordinator) = 16),
    -- The one that may append; 0 before the first.
    epoch bytea NOT NULL CHECK (octet_length(epoch) = 8),
    -- The epoch that this one came after, if its owner had that too.
    came_after bytea CHECK (octet_length(came_after) = 8)
) WITH (fillfactor = 50);

-- Where each log ends. An append replaces the row by the next: one that does not find it has missed
-- something, or the server has lost something.
CREATE TABLE tripod.log_tail (
    log bytea NOT NULL,
    lsn bigint NOT NULL CHECK (lsn >= 0),
    PRIMARY KEY (log, lsn)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- What lives.
CREATE TABLE tripod.log_record (
    log bytea NOT NULL,
    lsn bigint NOT NULL,
    epoch bytea NOT NULL CHECK (octet_length(epoch) = 8),
    -- What it counts for in the log's bound, in bytes.
    space bigint NOT NULL,
    subject bytea NOT NULL,
    payload bytea NOT NULL,
    PRIMARY KEY (log, lsn)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

CREATE INDEX log_record_subject ON tripod.log_record (log, subject);

-- What is answered is durable, whatever the server or the role prefers: for this transaction alone.
CREATE FUNCTION tripod.log_durable() RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_setting('synchronous_commit') IN ('off', 'local', 'remote_write') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
END $$;

-- What a role lacks that opens and appends; null if nothing.
CREATE FUNCTION tripod.log_misfit() RETURNS text LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    lacks record;
BEGIN
    FOR lacks IN SELECT * FROM (VALUES
        ('tripod.log', 'SELECT'), ('tripod.log', 'INSERT'), ('tripod.log', 'UPDATE'),
        ('tripod.log_tail', 'SELECT'), ('tripod.log_tail', 'INSERT'),
        ('tripod.log_tail', 'DELETE'), ('tripod.log_record', 'SELECT'),
        ('tripod.log_record', 'INSERT'), ('tripod.log_record', 'DELETE')
    ) AS needed (relation, privilege)
    WHERE NOT has_table_privilege(relation, privilege) LOOP
        RETURN format('the role %I may not %s on %s', current_user, lacks.privilege,
            lacks.relation);
    END LOOP;
    RETURN NULL;
END $$;

-- Creates a log that nobody has opened, if there is none of this name.
CREATE FUNCTION tripod.log_create(p_name text, p_coordinator bytea) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM tripod.log_durable();
    INSERT INTO tripod.log (name, coordinator, epoch)
        VALUES (p_name, p_coordinator, decode('0000000000000000', 'hex'))
        ON CONFLICT (name) DO NOTHING;
END $$;

-- Raises the epoch from the one that was seen, and answers where the log ends; null if another
-- raised it first. The update waits for an append that has the row.
CREATE FUNCTION tripod.log_raise(p_name text, p_seen bytea, p_epoch bytea, p_after bytea)
RETURNS bigint LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_log bytea;
    v_lsn bigint;
BEGIN
    PERFORM tripod.log_durable();
    UPDATE tripod.log SET epoch = p_epoch, came_after = p_after
        WHERE name = p_name AND epoch = p_seen AND epoch < p_epoch
        RETURNING coordinator INTO v_log;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT greatest(
        (SELECT max(tail.lsn) FROM tripod.log_tail AS tail WHERE tail.log = v_log),
        (SELECT max(record.lsn) FROM tripod.log_record AS record WHERE record.log = v_log),
        0
    ) INTO v_lsn;
    DELETE FROM tripod.log_tail AS tail WHERE tail.log = v_log;
    INSERT INTO tripod.log_tail (log, lsn) VALUES (v_log, v_lsn);
    RETURN v_lsn;
END $$;

-- Appends: drops what lived of the subjects that ended, and adds records. Answers how much space
-- that has freed; `superseded` if another epoch may append, `lost` if the log does not end where it
-- should. The share lock keeps the epoch as it is until this has committed; an update of the row
-- that is under way is waited for, and the epoch is then looked at again.
CREATE FUNCTION tripod.log_append(
    p_log bytea, p_epoch bytea, p_forced boolean, p_tail bigint, p_next bigint,
    p_ended bytea[], p_subjects bytea[], p_payloads bytea[], p_spaces bigint[]
) RETURNS text LANGUAGE plpgsql
-- What was planned while the tables were small must not be slow when they are not.
SET enable_seqscan = off SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_freed bigint := 0;
BEGIN
    IF p_forced THEN
        PERFORM tripod.log_durable();
    ELSE
        -- The log of the server has one order: what is forced later takes this with it.
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
    PERFORM 1 FROM tripod.log AS it WHERE it.coordinator = p_log AND it.epoch = p_epoch FOR SHARE;
    IF NOT FOUND THEN
        RETURN 'superseded';
    END IF;
    DELETE FROM tripod.log_tail AS tail WHERE tail.log = p_log AND tail.lsn = p_tail;
    IF NOT FOUND THEN
        RETURN 'lost';
    END IF;
    INSERT INTO tripod.log_tail (log, lsn) VALUES (p_log, p_next);
    IF cardinality(p_ended) > 0 THEN
        WITH gone AS (
            DELETE FROM tripod.log_record AS record
                WHERE record.log = p_log AND record.subject = ANY (p_ended)
                RETURNING record.space
        )
        SELECT coalesce(sum(gone.space), 0) INTO v_freed FROM gone;
    END IF;
    INSERT INTO tripod.log_record (log, lsn, epoch, space, subject, payload)
        SELECT p_log, p_tail + number, p_epoch, space, subject, payload
        FROM unnest(p_subjects, p_payloads, p_spaces)
            WITH ORDINALITY AS added (subject, payload, space, number);
    RETURN v_freed;
END $$;
