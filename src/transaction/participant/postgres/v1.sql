-- Version 1 of the tables of transactions. This file never changes once it is released: a later
-- version is a file of its own.
--
-- Numbers of 64 bits and more are bytes, big endian: nothing is lost, and they sort as the numbers
-- do. Where a branch's transaction stands among those of its coordinator, its epoch and its
-- sequence, are 16 bytes here, called `at`.
--
-- Functions set the search path: whoever may create functions in a schema on the caller's path
-- would else have them run as the caller. They run with the caller's rights. But for
-- tripod.record_branch, whoever calls them sees to it that the isolation is read committed: each
-- statement of a volatile function then sees what was committed before that statement began.

-- Outcome rows, which a branch writes in its own transaction, and tombstones. The key makes sure
-- that a branch has one of them: who inserts waits for a writer in flight.
CREATE TABLE tripod.branch (
    coordinator bytea NOT NULL CHECK (octet_length(coordinator) = 16),
    at bytea NOT NULL CHECK (octet_length(at) = 16),
    number integer NOT NULL CHECK (number BETWEEN 0 AND 65535),
    committed boolean NOT NULL,
    PRIMARY KEY (coordinator, at, number)
);

-- Settings for this transaction alone, so that they hold behind a pooler too.
CREATE FUNCTION tripod.settle_transaction() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- Shorter than the client waits for an answer.
    PERFORM set_config('lock_timeout', '2000', true);
    -- What is answered is durable, whatever the server, the role or the user's code has set.
    IF current_setting('synchronous_commit') IN ('off', 'local', 'remote_write') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
END $$;

CREATE FUNCTION tripod.is_over(p_coordinator bytea, p_at bytea) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM tripod.coordinator WHERE id = p_coordinator AND watermark > p_at
    );
END $$;

CREATE FUNCTION tripod.is_fenced(p_coordinator bytea, p_at bytea) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM tripod.coordinator WHERE id = p_coordinator AND epoch > substr(p_at, 1, 8)
    );
END $$;

-- Why this role cannot take part here: reasons, or nothing.
CREATE FUNCTION tripod.misfits() RETURNS SETOF text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT format('the role may not %s %s', need.what, need.tab)
    FROM (VALUES
        ('tripod.coordinator', 'SELECT'), ('tripod.coordinator', 'INSERT'),
        ('tripod.coordinator', 'UPDATE'), ('tripod.branch', 'SELECT'),
        ('tripod.branch', 'INSERT'), ('tripod.branch', 'DELETE'), ('tripod.branch', 'UPDATE')
    ) AS need (tab, what)
    WHERE NOT has_table_privilege(need.tab, need.what);
    IF current_setting('max_prepared_transactions') = '0' THEN
        RETURN NEXT 'max_prepared_transactions is 0';
    END IF;
END $$;

-- One row if it is prepared in this database.
CREATE FUNCTION tripod.prepared_branch(p_gid text) RETURNS SETOF integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_prepared_xacts WHERE gid = p_gid AND database = current_database())
    THEN
        RETURN NEXT 1;
    END IF;
END $$;

-- What is known of a branch.
CREATE FUNCTION tripod.read_branch(
    p_gid text, p_coordinator bytea, p_at bytea, p_number integer
) RETURNS text LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_committed boolean;
    v_seen tripod.coordinator;
BEGIN
    -- In this order: when it is prepared no more, its row is seen; and rows go once the watermark
    -- is there.
    IF EXISTS (SELECT FROM tripod.prepared_branch(p_gid)) THEN
        RETURN 'prepared';
    END IF;
    SELECT * INTO v_seen FROM tripod.coordinator WHERE id = p_coordinator;
    SELECT committed INTO v_committed FROM tripod.branch
    WHERE coordinator = p_coordinator AND at = p_at AND number = p_number;
    IF FOUND THEN
        RETURN CASE WHEN v_committed THEN 'committed' ELSE 'aborted' END;
    ELSIF v_seen.watermark > p_at THEN
        RETURN 'over';
    ELSIF v_seen.epoch > substr(p_at, 1, 8) THEN
        RETURN 'fenced';
    END IF;
    RETURN 'nothing';
END $$;

-- Puts a tombstone where there is no row and nothing is prepared, and answers what is there then. It
-- waits for a writer in flight. Below the watermark none is left: it only waits.
CREATE FUNCTION tripod.exclude_branch(
    p_gid text, p_coordinator bytea, p_at bytea, p_number integer
) RETURNS text LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_committed boolean;
BEGIN
    PERFORM tripod.settle_transaction();
    IF EXISTS (SELECT FROM tripod.prepared_branch(p_gid)) THEN
        RETURN 'prepared';
    END IF;
    -- A row that is in the way may be forgotten before it is read, once.
    FOR v_try IN 1 .. 3 LOOP
        INSERT INTO tripod.branch VALUES (p_coordinator, p_at, p_number, false)
        ON CONFLICT DO NOTHING;
        IF FOUND AND tripod.is_over(p_coordinator, p_at) THEN
            DELETE FROM tripod.branch
            WHERE coordinator = p_coordinator AND at = p_at AND number = p_number;
            RETURN 'over';
        ELSIF FOUND THEN
            RETURN 'aborted';
        END IF;
        SELECT committed INTO v_committed FROM tripod.branch
        WHERE coordinator = p_coordinator AND at = p_at AND number = p_number;
        IF FOUND THEN
            RETURN CASE WHEN v_committed THEN 'committed' ELSE 'aborted' END;
        END IF;
    END LOOP;
    RAISE EXCEPTION 'the branch''s row comes and goes' USING ERRCODE = 'lock_not_available';
END $$;

-- Writes the outcome row of the branch whose transaction this is, and answers one row; or none if
-- it has changed nothing and does not commit alone. Fails where it may not be prepared, or, if it
-- commits alone, committed.
CREATE FUNCTION tripod.record_branch(
    p_gid text, p_coordinator bytea, p_at bytea, p_number integer, p_role bytea, p_alone boolean
) RETURNS SETOF integer LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_seen tripod.coordinator;
BEGIN
    -- The setting went with the transaction that began the branch.
    IF current_setting('tripod.branch', true) IS DISTINCT FROM p_gid THEN
        RAISE EXCEPTION 'the transaction of the branch was ended by other means'
            USING ERRCODE = 'invalid_transaction_state';
    END IF;
    -- What it prepares could not be finished by the participant.
    IF convert_to(current_user::text, 'UTF8') <> p_role THEN
        RAISE EXCEPTION 'the branch acts as another role than its participant'
            USING ERRCODE = 'invalid_transaction_state';
    END IF;
    IF p_alone THEN
        -- It waits for a successor that takes over, and the successor for it.
        SELECT * INTO v_seen FROM tripod.coordinator WHERE id = p_coordinator FOR SHARE;
        IF v_seen.epoch > substr(p_at, 1, 8) THEN
            RAISE EXCEPTION 'the coordinator was opened in a later epoch'
                USING ERRCODE = 'invalid_transaction_state';
        END IF;
    ELSIF txid_current_if_assigned() IS NULL THEN
        RETURN;
    ELSE
        SELECT * INTO v_seen FROM tripod.coordinator WHERE id = p_coordinator;
    END IF;
    IF v_seen.watermark > p_at THEN
        RAISE EXCEPTION 'the transaction of the branch is over'
            USING ERRCODE = 'invalid_transaction_state';
    END IF;
    PERFORM tripod.settle_transaction();
    INSERT INTO tripod.branch VALUES (p_coordinator, p_at, p_number, true);
    RETURN NEXT 1;
EXCEPTION WHEN unique_violation THEN
    RAISE EXCEPTION 'the branch is settled' USING ERRCODE = 'invalid_transaction_state';
END $$;

-- One row if it is prepared in this database, and its transaction is not over.
CREATE FUNCTION tripod.standing_branch(p_gid text, p_coordinator bytea, p_at bytea)
RETURNS SETOF integer LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT * FROM tripod.prepared_branch(p_gid)
    WHERE NOT tripod.is_over(p_coordinator, p_at);
END $$;

-- Tells servers, databases and roles apart: whose prepared transactions may be finished where.
CREATE FUNCTION tripod.home() RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN encode(convert_to(current_database() || chr(10) || current_user, 'UTF8'), 'hex')
        || '-' || (date_part('epoch', pg_postmaster_start_time()) * 1000000)::bigint;
END $$;

-- One row if that is where this session is.
CREATE FUNCTION tripod.at_home(p_home text) RETURNS SETOF integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF tripod.home() = p_home THEN
        RETURN NEXT 1;
    END IF;
END $$;

-- What is prepared in this database under names that begin so.
CREATE FUNCTION tripod.prepared_branches(p_prefix text) RETURNS SETOF text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT gid FROM pg_prepared_xacts
    WHERE database = current_database() AND starts_with(gid, p_prefix);
END $$;

-- Drops some rows below the watermark, and answers how many. Those of prepared branches are not
-- seen.
CREATE FUNCTION tripod.forget_branches(p_id bytea, p_rows integer) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_rows bigint;
BEGIN
    PERFORM tripod.settle_transaction();
    DELETE FROM tripod.branch WHERE ctid = ANY (ARRAY(
        SELECT b.ctid FROM tripod.branch AS b
        WHERE b.coordinator = p_id
            AND b.at < (SELECT c.watermark FROM tripod.coordinator AS c WHERE c.id = p_id)
        ORDER BY b.coordinator, b.at LIMIT p_rows FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    RETURN v_rows;
END $$;
