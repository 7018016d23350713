-- What participants and barriers keep of each coordinator, under names of their own. This file
-- never changes either.

-- The fence rows.
CREATE TABLE tripod.{prefix}coordinator (
    id bytea PRIMARY KEY CHECK (octet_length(id) = 16),
    -- The highest seen, and the nonce of that opening.
    epoch bytea NOT NULL CHECK (octet_length(epoch) = 8),
    opening bytea NOT NULL CHECK (octet_length(opening) = 16),
    -- Below it, all is over.
    watermark bytea CHECK (octet_length(watermark) = 16)
);

-- Answers nothing, or the epoch that makes this opening a stale one.
CREATE FUNCTION tripod.{open}(p_id bytea, p_epoch bytea, p_opening bytea) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_seen tripod.{prefix}coordinator;
BEGIN
    PERFORM tripod.{prefix}settle_transaction();
    INSERT INTO tripod.{prefix}coordinator (id, epoch, opening) VALUES (p_id, p_epoch, p_opening)
    ON CONFLICT (id) DO NOTHING;
    -- It waits for those who commit in one phase, and they for it.
    SELECT * INTO STRICT v_seen FROM tripod.{prefix}coordinator WHERE id = p_id FOR UPDATE;
    IF p_epoch < v_seen.epoch OR p_epoch = v_seen.epoch AND p_opening <> v_seen.opening THEN
        RETURN encode(v_seen.epoch, 'hex');
    END IF;
    UPDATE tripod.{prefix}coordinator SET epoch = p_epoch, opening = p_opening WHERE id = p_id;
    RETURN NULL;
END $$;

CREATE FUNCTION tripod.{prefix}raise_watermark(p_id bytea, p_watermark bytea) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM tripod.{prefix}settle_transaction();
    UPDATE tripod.{prefix}coordinator SET watermark = p_watermark
    WHERE id = p_id AND (watermark IS NULL OR watermark < p_watermark);
END $$;

