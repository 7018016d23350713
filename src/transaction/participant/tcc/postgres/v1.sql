-- Version 1 of the tables of barriers. This file never changes once it is released: a later version
-- is a file of its own.
--
-- Numbers of 64 bits and more are bytes, big endian: nothing is lost, and they sort as the numbers
-- do. Where a branch's transaction stands among those of its coordinator, its epoch and its
-- sequence, are 16 bytes here, called `at`.
--
-- Functions set the search path: whoever may create functions in a schema on the caller's path
-- would else have them run as the caller. They run with the caller's rights. The three verbs of the
-- barrier run in the user's transaction, at any level of isolation. At READ COMMITTED each
-- statement sees what was committed before it began. Above it the snapshot may be older: whatever
-- an effect depends on is inserted or locked, which fails with 40001 if it has changed since.

-- What became of each branch: up to three rows, each inserted once. The key makes sure of that:
-- who inserts waits for a writer in flight. The first one is locked before the others are written
-- or dropped.
CREATE TABLE tripod.tcc_branch (
    coordinator bytea NOT NULL CHECK (octet_length(coordinator) = 16),
    at bytea NOT NULL CHECK (octet_length(at) = 16),
    number integer NOT NULL CHECK (number BETWEEN 0 AND 65535),
    place smallint NOT NULL,
    mark text NOT NULL,
    note bytea NOT NULL DEFAULT '',
    PRIMARY KEY (coordinator, at, number, place),
    CHECK ((place, mark) IN (
        (1, 'tried'), (1, 'never'), (2, 'promised'), (3, 'confirmed'), (3, 'cancelled')
    ))
);

-- What is answered is durable, whatever the server, the role or the user's code has set: for this
-- transaction alone.
CREATE FUNCTION tripod.tcc_durable() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('synchronous_commit') IN ('off', 'local', 'remote_write') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
END $$;

-- The participant's own transactions wait for less time than it waits for an answer.
CREATE FUNCTION tripod.tcc_settle_transaction() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('lock_timeout', '2000', true);
    PERFORM tripod.tcc_durable();
END $$;

-- The present fence row, whatever the snapshot shows: above read committed a row that has changed
-- since cannot be locked. The lock holds openings and watermarks up until the transaction ends.
CREATE FUNCTION tripod.tcc_seen(p_id bytea, p_hold boolean) RETURNS tripod.tcc_coordinator
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_seen tripod.tcc_coordinator;
BEGIN
    IF p_hold OR current_setting('transaction_isolation') <> 'read committed' THEN
        SELECT * INTO v_seen FROM tripod.tcc_coordinator AS c WHERE c.id = p_id FOR SHARE;
    ELSE
        SELECT * INTO v_seen FROM tripod.tcc_coordinator AS c WHERE c.id = p_id;
    END IF;
    RETURN v_seen;
END $$;

-- Why this role cannot take part here: reasons, or nothing.
CREATE FUNCTION tripod.tcc_misfits() RETURNS SETOF text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT format('the role may not %s %s', need.what, need.tab)
    FROM (VALUES
        ('tripod.tcc_coordinator', 'SELECT'), ('tripod.tcc_coordinator', 'INSERT'),
        ('tripod.tcc_coordinator', 'UPDATE'), ('tripod.tcc_branch', 'SELECT'),
        ('tripod.tcc_branch', 'INSERT'), ('tripod.tcc_branch', 'DELETE'),
        ('tripod.tcc_branch', 'UPDATE')
    ) AS need (tab, what)
    WHERE NOT has_table_privilege(need.tab, need.what);
END $$;

-- The first statement of a try. Answers what it is, and the note of the first one.
CREATE FUNCTION tripod.tcc_try(
    p_coordinator bytea, p_at bytea, p_number integer, INOUT note bytea, OUT entry text
) LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_begun tripod.tcc_branch;
    v_end text;
    v_seen tripod.tcc_coordinator;
BEGIN
    PERFORM tripod.tcc_durable();
    INSERT INTO tripod.tcc_branch VALUES (p_coordinator, p_at, p_number, 1, 'tried', note)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        -- Nothing depends on these but the answer.
        SELECT * INTO v_begun FROM tripod.tcc_branch AS b
        WHERE b.coordinator = p_coordinator AND b.at = p_at AND b.number = p_number AND b.place = 1;
        SELECT b.mark INTO v_end FROM tripod.tcc_branch AS b
        WHERE b.coordinator = p_coordinator AND b.at = p_at AND b.number = p_number AND b.place = 3;
        note := coalesce(v_begun.note, '');
        entry := CASE
            WHEN v_end = 'cancelled' THEN 'cancelled'
            WHEN v_begun.mark = 'tried' THEN 'again'
            -- It was forgotten meanwhile, or ended without a try.
            ELSE 'over'
        END;
        RETURN;
    END IF;
    -- Looked at after the insertion, for rows go after the watermark has risen.
    v_seen := tripod.tcc_seen(p_coordinator, false);
    entry := CASE
        WHEN v_seen.watermark > p_at THEN 'over'
        WHEN v_seen.epoch > substr(p_at, 1, 8) THEN 'fenced'
        ELSE 'first'
    END;
    IF entry <> 'first' THEN
        DELETE FROM tripod.tcc_branch AS b
        WHERE b.coordinator = p_coordinator AND b.at = p_at AND b.number = p_number AND b.place = 1;
    END IF;
END $$;

-- The first statement of a confirm.
CREATE FUNCTION tripod.tcc_confirm(
    p_coordinator bytea, p_at bytea, p_number integer, OUT note bytea, OUT entry text
) LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_begun tripod.tcc_branch;
    v_end text;
    v_seen tripod.tcc_coordinator;
BEGIN
    PERFORM tripod.tcc_durable();
    -- From here on its rows stay.
    SELECT * INTO v_begun FROM tripod.tcc_branch AS b
    WHERE b.coordinator = p_coordinator AND b.at = p_at AND b.number = p_number AND b.place = 1
    FOR KEY SHARE;
    note := coalesce(v_begun.note, '');
    IF v_begun.mark IS NULL THEN
        PERFORM FROM tripod.tcc_coordinator AS c
        WHERE c.id = p_coordinator AND c.watermark > p_at;
        -- Only a repeat can ask.
        entry := CASE WHEN FOUND THEN 'again' ELSE 'untried' END;
        RETURN;
    END IF;
    IF v_begun.mark = 'tried' THEN
        PERFORM FROM tripod.tcc_branch AS b
        WHERE b.coordinator = p_coordinator AND b.at = p_at AND b.number = p_number AND b.place = 2;
        IF NOT FOUND THEN
            -- It is confirmed without having been prepared: it waits for a successor that takes
            -- over, and the successor for it.
            v_seen := tripod.tcc_seen(p_coordinator, true);
        END IF;
        IF v_seen.epoch IS NULL OR v_seen.epoch <= substr(p_at, 1, 8) THEN
            INSERT INTO tripod.tcc_branch VALUES (p_coordinator, p_at, p_number, 3, 'confirmed')
            ON CONFLICT DO NOTHING;
            IF FOUND THEN
                entry := 'first';
                RETURN;
            END IF;
        END IF;
    END IF;
    SELECT b.mark INTO v_end FROM tripod.tcc_branch AS b
    WHERE b.coordinator = p_coordinator AND b.at = p_at AND b.number = p_number AND b.place = 3;
    entry := CASE
        WHEN v_end = 'confirmed' THEN 'again'
        WHEN v_end = 'cancelled' THEN 'cancelled'
        ELSE 'fenced'
    END;
END $$;

-- The first statement of a cancel.
CREATE FUNCTION tripod.tcc_cancel(
    p_coordinator bytea, p_at bytea, p_number integer, OUT note bytea, OUT entry text
) LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_begun tripod.tcc_branch;
    v_end text;
    v_seen tripod.tcc_coordinator;
BEGIN
    PERFORM tripod.tcc_durable();
    note := '';
    -- It waits for a try in flight, and keeps out whichever comes later.
    INSERT INTO tripod.tcc_branch VALUES (p_coordinator, p_at, p_number, 1, 'never')
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        v_seen := tripod.tcc_seen(p_coordinator, false);
        IF v_seen.watermark > p_at THEN
            DELETE FROM tripod.tcc_branch AS b
            WHERE b.coordinator = p_coordinator AND b.at = p_at AND b.number = p_number
                AND b.place = 1;
            entry := 'again';
            RETURN;
        END IF;
        INSERT INTO tripod.tcc_branch VALUES (p_coordinator, p_at, p_number, 3, 'cancelled');
        entry := 'empty';
        RETURN;
    END IF;
    -- From here on its rows stay.
    SELECT * INTO v_begun FROM tripod.tcc_branch AS b
    WHERE b.coordinator = p_coordinator AND b.at = p_at AND b.number = p_number AND b.place = 1
    FOR KEY SHARE;
    IF v_begun.mark IS NULL THEN
        -- It was forgotten meanwhile.
        entry := 'again';
        RETURN;
    END IF;
    note := v_begun.note;
    INSERT INTO tripod.tcc_branch VALUES (p_coordinator, p_at, p_number, 3, 'cancelled')
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        entry := CASE WHEN v_begun.mark = 'tried' THEN 'first' ELSE 'empty' END;
        RETURN;
    END IF;
    SELECT b.mark INTO v_end FROM tripod.tcc_branch AS b
    WHERE b.coordinator = p_coordinator AND b.at = p_at AND b.number = p_number AND b.place = 3;
    entry := CASE WHEN v_end = 'confirmed' THEN 'confirmed' ELSE 'again' END;
END $$;

-- What is known of a branch. Whoever calls this and what follows sees to it that the isolation is
-- read committed.
CREATE FUNCTION tripod.tcc_look(p_coordinator bytea, p_at bytea, p_number integer) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_marks text[];
    v_seen tripod.tcc_coordinator;
BEGIN
    -- In this order: rows go once the watermark is there.
    v_marks := ARRAY(
        SELECT b.mark FROM tripod.tcc_branch AS b
        WHERE b.coordinator = p_coordinator AND b.at = p_at AND b.number = p_number
    );
    SELECT * INTO v_seen FROM tripod.tcc_coordinator AS c WHERE c.id = p_coordinator;
    RETURN CASE
            WHEN 'confirmed' = ANY (v_marks) THEN 'confirmed'
            WHEN 'cancelled' = ANY (v_marks) THEN 'cancelled'
            WHEN v_marks @> ARRAY['tried', 'promised'] THEN 'prepared'
            WHEN 'tried' = ANY (v_marks) THEN 'tried'
            ELSE 'nothing'
        END
        || CASE WHEN v_seen.watermark > p_at THEN ' over' ELSE '' END
        || CASE WHEN v_seen.epoch > substr(p_at, 1, 8) THEN ' fenced' ELSE '' END;
END $$;

CREATE FUNCTION tripod.tcc_promise(p_coordinator bytea, p_at bytea, p_number integer) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM tripod.tcc_settle_transaction();
    PERFORM FROM tripod.tcc_branch AS b
    WHERE b.coordinator = p_coordinator AND b.at = p_at AND b.number = p_number AND b.place = 1
        AND b.mark = 'tried'
    FOR KEY SHARE;
    IF FOUND THEN
        INSERT INTO tripod.tcc_branch VALUES (p_coordinator, p_at, p_number, 2, 'promised')
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN tripod.tcc_look(p_coordinator, p_at, p_number);
END $$;

CREATE FUNCTION tripod.tcc_confirm_empty(p_coordinator bytea, p_at bytea, p_number integer)
RETURNS text LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_seen tripod.tcc_coordinator;
BEGIN
    PERFORM tripod.tcc_settle_transaction();
    v_seen := tripod.tcc_seen(p_coordinator, true);
    INSERT INTO tripod.tcc_branch VALUES (p_coordinator, p_at, p_number, 1, 'never')
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        INSERT INTO tripod.tcc_branch VALUES (p_coordinator, p_at, p_number, 3,
            CASE WHEN v_seen.epoch > substr(p_at, 1, 8) THEN 'cancelled' ELSE 'confirmed' END);
    END IF;
    RETURN tripod.tcc_look(p_coordinator, p_at, p_number);
END $$;

-- Coordinator, position and number of each prepared branch of earlier epochs, as digits.
CREATE FUNCTION tripod.tcc_in_doubt(p_id bytea, p_before bytea) RETURNS SETOF text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT encode(b.at, 'hex') || ' ' || b.number FROM tripod.tcc_branch AS b
    WHERE b.coordinator = p_id AND substr(b.at, 1, 8) < p_before
    GROUP BY b.at, b.number
    HAVING array_agg(b.mark) @> ARRAY['tried', 'promised'] AND max(b.place) = 2
    ORDER BY b.at, b.number;
END $$;

-- Drops the rows of some branches below the watermark that have ended, and answers of how many.
CREATE FUNCTION tripod.tcc_forget(p_id bytea, p_branches integer) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_at bytea[];
    v_number integer[];
BEGIN
    PERFORM tripod.tcc_settle_transaction();
    -- Whoever is at a branch holds its first row.
    SELECT array_agg(old.at), array_agg(old.number) INTO v_at, v_number FROM (
        SELECT b.at, b.number FROM tripod.tcc_branch AS b
        WHERE b.coordinator = p_id AND b.place = 1
            AND b.at < (SELECT c.watermark FROM tripod.tcc_coordinator AS c WHERE c.id = p_id)
            AND EXISTS (
                SELECT FROM tripod.tcc_branch AS e
                WHERE e.coordinator = b.coordinator AND e.at = b.at AND e.number = b.number
                    AND e.place = 3
            )
        ORDER BY b.coordinator, b.at, b.number LIMIT p_branches FOR UPDATE OF b SKIP LOCKED
    ) AS old;
    DELETE FROM tripod.tcc_branch AS b USING unnest(v_at, v_number) AS old (at, number)
    WHERE b.coordinator = p_id AND b.at = old.at AND b.number = old.number;
    RETURN coalesce(array_length(v_at, 1), 0);
END $$;
