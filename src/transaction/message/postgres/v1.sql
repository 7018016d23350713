-- Who has an effect writes a row here, in the effect's own transaction.
CREATE TABLE tripod.inbox (
    queue bytea NOT NULL,
    key bytea NOT NULL,
    digest bytea NOT NULL,
    reply bytea NOT NULL DEFAULT '',
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (queue, key)
);
CREATE INDEX inbox_by_age ON tripod.inbox (queue, at);

-- Whether this is the first, and if it is not, what the first has left. Waits for one that is under
-- way. Drops two rows past their time for each that comes, so that there are never many of them.
CREATE FUNCTION tripod.enter_inbox(p_queue bytea, p_key bytea, p_digest bytea, p_retention_us bigint)
RETURNS TABLE (is_first boolean, known_digest bytea, known_reply bytea)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    FOR i IN 1..8 LOOP
        INSERT INTO tripod.inbox (queue, key, digest) VALUES (p_queue, p_key, p_digest)
        ON CONFLICT DO NOTHING;
        IF FOUND THEN
            PERFORM tripod.sweep_inbox(p_queue, p_retention_us, 2);
            RETURN QUERY SELECT true, p_digest, ''::bytea;
            RETURN;
        END IF;
        RETURN QUERY SELECT false, b.digest, b.reply FROM tripod.inbox AS b
        WHERE b.queue = p_queue AND b.key = p_key;
        IF FOUND THEN
            RETURN;
        END IF;
        -- It was dropped meanwhile.
    END LOOP;
    RAISE EXCEPTION 'the inbox''s row comes and goes' USING ERRCODE = 'lock_not_available';
END $$;

-- Drops rows past their time, the oldest first, and answers how many.
CREATE FUNCTION tripod.sweep_inbox(p_queue bytea, p_retention_us bigint, p_rows integer)
RETURNS bigint LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_rows bigint;
BEGIN
    DELETE FROM tripod.inbox WHERE ctid = ANY (ARRAY(
        SELECT b.ctid FROM tripod.inbox AS b
        WHERE b.queue = p_queue
            AND b.at < clock_timestamp() - p_retention_us * interval '1 microsecond'
        ORDER BY b.at LIMIT p_rows FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    RETURN v_rows;
END $$;

-- Messages that are to be sent, by whoever has committed them.
CREATE TABLE tripod.outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue text NOT NULL,
    message bytea NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Why it will never be sent as it is.
    fault text
);
CREATE INDEX outbox_to_send ON tripod.outbox (id) WHERE fault IS NULL;

CREATE FUNCTION tripod.send_by_outbox(p_queue text, p_message bytea, p_notify boolean)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO tripod.outbox (queue, message) VALUES (p_queue, p_message);
    IF p_notify THEN
        PERFORM pg_notify('tripod_outbox', '');
    END IF;
END $$;
