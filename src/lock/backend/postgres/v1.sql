-- Version 1 of the schema. Once released, it never changes: a later version is another file.
--
-- A verb of LockBackend is one call of one function here, in a transaction of its own. It begins by
-- tripod.enter, which locks the name, and only then looks: each statement of a volatile function
-- sees what was committed before that statement began. A statement that both waited and looked
-- would see what was there before it waited.
--
-- Each verb sets the search path: whoever may create functions in a schema on the caller's path
-- would else have them run as the caller.
--
-- Only tripod.renew does without the name's lock: it moves the end of a lease that is not over, in
-- one row, and whoever takes a lease to be over proves it by removing that row.

CREATE SEQUENCE tripod.fencing_token AS bigint MINVALUE 1 NO CYCLE CACHE 1;

CREATE TABLE tripod.entry (
    name bytea NOT NULL,
    holder bytea NOT NULL,
    -- x: exclusive, s: shared, p: permits
    mode "char" NOT NULL,
    -- How many permits, of how many; both 0 in the other modes.
    permits bigint NOT NULL,
    permits_of bigint NOT NULL,
    priority smallint NOT NULL,
    -- Within the name.
    arrival bigint NOT NULL,
    -- The fencing token, and the lowest of those who held then. A waiter has neither.
    token bigint,
    floor bigint,
    ttl_us bigint NOT NULL,
    expires timestamptz NOT NULL,
    -- Where its client listens, if it does.
    channel text,
    metadata bytea NOT NULL,
    PRIMARY KEY (name, holder)
) WITH (fillfactor = 70, vacuum_truncate = false);

-- Settings for this transaction alone, so that they hold behind a pooler too.
CREATE FUNCTION tripod.settle() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    -- What is assigned is reckoned at once; what is performed is a query of its own.
    v_done text;
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'locks need the isolation level read committed'
            USING ERRCODE = 'active_sql_transaction',
            HINT = 'ALTER ROLE ... SET default_transaction_isolation = ''read committed''';
    END IF;
    -- What is answered is durable, whatever the server or the role is set to.
    IF current_setting('synchronous_commit') IN ('off', 'local', 'remote_write') THEN
        v_done := set_config('synchronous_commit', 'on', true);
    END IF;
    -- Nobody waits for a lock for longer than the client does for an answer. A plan that reads a
    -- small table whole would still be in use when it has grown; and where it is all there is, its
    -- cost would have it compiled, which takes far longer.
    v_done := set_config('lock_timeout', '1000', true)
        || set_config('enable_seqscan', 'off', true) || set_config('jit', 'off', true);
END $$;

-- Begins a step on this name, and answers its time. Names of one hash only wait for each other.
CREATE FUNCTION tripod.enter(p_name bytea) RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE
    v_done text := tripod.settle();
BEGIN
    v_done := pg_advisory_xact_lock(
        hashtextextended(encode(p_name, 'hex') COLLATE "C", 8389765494828724836));
    RETURN clock_timestamp();
END $$;

-- Removes what is over, and answers whether anything was. A renewal that was under way wins: the
-- row is looked at again when it is free.
CREATE FUNCTION tripod.expire(p_name bytea, p_now timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM tripod.entry WHERE name = p_name AND expires <= p_now;
    RETURN FOUND;
END $$;

-- What a candidate finds: what the name is used as, if not as it asks; whether it has to wait; the
-- lowest fencing token of a holder; the last arrival; the first end of a lease in its way.
CREATE FUNCTION tripod.look(
    p_name bytea, p_holder bytea, p_mode "char", p_permits bigint, p_of bigint,
    p_priority smallint, p_arrival bigint, p_waits boolean, p_now timestamptz,
    OUT other bigint, OUT waits boolean, OUT lowest bigint, OUT latest bigint, OUT ends timestamptz
) LANGUAGE plpgsql AS $$
BEGIN
    SELECT
        min(e.permits_of) FILTER (WHERE e.permits_of <> p_of),
        coalesce(bool_or(CASE
            WHEN e.token IS NOT NULL THEN NOT e.together
            WHEN p_waits THEN e.ahead AND (p_mode = 'p' OR NOT e.together)
            ELSE true
        END), false) OR p_permits > 0
            AND p_permits + coalesce(sum(e.permits) FILTER (WHERE e.token IS NOT NULL), 0) > p_of,
        min(e.token),
        max(e.arrival),
        min(e.expires) FILTER (WHERE e.token IS NOT NULL OR e.ahead)
    INTO other, waits, lowest, latest, ends
    FROM (
        SELECT *,
            mode = p_mode AND mode <> 'x' AS together,
            (-priority, arrival, holder) < (-p_priority, p_arrival, p_holder) AS ahead
        FROM tripod.entry
        WHERE name = p_name AND holder <> p_holder AND expires > p_now
    ) AS e;
END $$;

-- Tells those who may hold now: the first of the queue, up to the first who may not. One who may
-- hold with others of its mode does not keep the next of that mode waiting; permits go one by one,
-- for each claim tells the next.
CREATE FUNCTION tripod.tell(p_name bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_held bigint;
    v_unshared bigint;
    v_taken bigint;
    v_waiter tripod.entry;
    v_before "char";
BEGIN
    SELECT count(*), count(*) FILTER (WHERE mode <> 's'), coalesce(sum(permits), 0)
    INTO v_held, v_unshared, v_taken
    FROM tripod.entry WHERE name = p_name AND token IS NOT NULL;
    FOR v_waiter IN
        SELECT * FROM tripod.entry WHERE name = p_name AND token IS NULL
        ORDER BY priority DESC, arrival, holder
    LOOP
        EXIT WHEN v_before IS NOT NULL AND (v_before <> 's' OR v_waiter.mode <> 's');
        EXIT WHEN NOT CASE v_waiter.mode
            WHEN 'x' THEN v_held = 0
            WHEN 's' THEN v_unshared = 0
            ELSE v_waiter.permits + v_taken <= v_waiter.permits_of
        END;
        IF v_waiter.channel IS NOT NULL THEN
            PERFORM pg_notify(v_waiter.channel, encode(v_waiter.holder, 'hex'));
        END IF;
        v_before := v_waiter.mode;
    END LOOP;
END $$;

-- The end of a step that removed an entry, if it did.
CREATE FUNCTION tripod.settle_up(p_name bytea, p_removed boolean, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM tripod.entry WHERE name = p_name) THEN
        IF tripod.expire(p_name, p_now) OR p_removed THEN
            PERFORM tripod.tell(p_name);
        END IF;
    END IF;
END $$;

-- Removes what is over under names that nobody touches, as every 1024th fencing token is drawn. It
-- looks at about 128 pages, at random, which have room for several times as many entries: so those
-- that are over do not become more and more, and a step that sweeps is not much longer than
-- others. An index on the end of the lease would cost each entry more, and each renewal: without
-- one, a renewal rewrites its row within the page.
--
-- It tells nobody: a waiter looks by itself when a lease in its way may be over, for time alone may
-- end one.
CREATE FUNCTION tripod.sweep(p_now timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_pages bigint := pg_relation_size('tripod.entry') / current_setting('block_size')::bigint;
    v_percent real := least(100, 12800.0 / greatest(v_pages, 1));
BEGIN
    -- One that is renewed meanwhile is passed over, or looked at again.
    DELETE FROM tripod.entry WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM tripod.entry TABLESAMPLE SYSTEM (v_percent)
        WHERE expires <= p_now FOR UPDATE SKIP LOCKED
    ));
END $$;

-- Answers are a code and numbers:
-- 1 granted: fencing token, floor, TTL; 2 waiting: TTL, when to look again; 3 held; 4 foreign: permits of
-- how many, or 0; 5 the id has an entry in another mode; 6 gone. Times are in microseconds.

-- Claims for an entry that is there.
CREATE FUNCTION tripod.claim_entry(p_entry tripod.entry, p_now timestamptz) RETURNS bigint[]
LANGUAGE plpgsql AS $$
DECLARE
    v_seen record;
    v_expires timestamptz := p_now + p_entry.ttl_us * interval '1 microsecond';
    v_grants boolean := false;
BEGIN
    IF p_entry.token IS NULL THEN
        v_seen := tripod.look(p_entry.name, p_entry.holder, p_entry.mode, p_entry.permits,
            p_entry.permits_of, p_entry.priority, p_entry.arrival, true, p_now);
        v_grants := NOT v_seen.waits AND v_seen.other IS NULL;
        IF v_grants THEN
            p_entry.token := nextval('tripod.fencing_token');
            p_entry.floor := coalesce(v_seen.lowest, p_entry.token);
        END IF;
    END IF;
    -- A renewal since p_now may have proved a later end.
    UPDATE tripod.entry
    SET expires = greatest(expires, v_expires), token = p_entry.token, floor = p_entry.floor
    WHERE name = p_entry.name AND holder = p_entry.holder;
    IF NOT FOUND THEN
        -- Swept away since it was read.
        RETURN '{6}';
    END IF;
    IF v_grants AND p_entry.mode = 'p' THEN
        -- The next in line may fit too.
        PERFORM tripod.tell(p_entry.name);
    END IF;
    IF p_entry.token IS NOT NULL THEN
        RETURN ARRAY[1, p_entry.token, p_entry.floor, p_entry.ttl_us];
    END IF;
    RETURN ARRAY[2, p_entry.ttl_us,
        (extract(epoch FROM least(v_seen.ends, v_expires) - p_now) * 1000000)::bigint];
END $$;

-- Enters a name that others use.
CREATE FUNCTION tripod.join_queue(p_new tripod.entry, p_waits boolean, p_now timestamptz)
RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    v_mine tripod.entry;
    v_seen record;
    v_answer bigint[];
BEGIN
    SELECT * INTO v_mine FROM tripod.entry WHERE name = p_new.name AND holder = p_new.holder;
    IF FOUND THEN
        IF (v_mine.mode, v_mine.permits, v_mine.permits_of)
            <> (p_new.mode, p_new.permits, p_new.permits_of) THEN
            RETURN '{5}';
        END IF;
        v_answer := tripod.claim_entry(v_mine, p_now);
        IF v_answer <> '{6}' THEN
            RETURN v_answer;
        END IF;
    END IF;
    -- It arrives last.
    v_seen := tripod.look(p_new.name, p_new.holder, p_new.mode, p_new.permits, p_new.permits_of,
        p_new.priority, 9223372036854775807, p_waits, p_now);
    IF v_seen.other IS NOT NULL THEN
        RETURN ARRAY[4, v_seen.other];
    ELSIF v_seen.waits AND NOT p_waits THEN
        RETURN '{3}';
    ELSIF v_seen.waits THEN
        p_new.arrival := coalesce(v_seen.latest, 0) + 1;
        p_new.token := NULL;
        p_new.floor := NULL;
        INSERT INTO tripod.entry SELECT p_new.*;
        RETURN ARRAY[2, p_new.ttl_us,
            (extract(epoch FROM least(v_seen.ends, p_new.expires) - p_now) * 1000000)::bigint];
    END IF;
    p_new.floor := coalesce(v_seen.lowest, p_new.token);
    INSERT INTO tripod.entry SELECT p_new.*;
    RETURN ARRAY[1, p_new.token, p_new.floor, p_new.ttl_us];
END $$;

CREATE FUNCTION tripod.enqueue(
    p_name bytea, p_holder bytea, p_mode "char", p_permits bigint, p_of bigint,
    p_priority smallint, p_ttl_us bigint, p_waits boolean, p_channel text, p_metadata bytea
) RETURNS bigint[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_now timestamptz := tripod.enter(p_name);
    v_expires timestamptz := v_now + p_ttl_us * interval '1 microsecond';
    v_token bigint := nextval('tripod.fencing_token');
    v_answer bigint[];
    v_freed boolean;
BEGIN
    INSERT INTO tripod.entry
    SELECT p_name, p_holder, p_mode, p_permits, p_of, p_priority, 0::bigint, v_token, v_token,
        p_ttl_us, v_expires, p_channel, p_metadata
    WHERE NOT EXISTS (SELECT FROM tripod.entry WHERE name = p_name);
    IF FOUND THEN
        v_answer := ARRAY[1, v_token, v_token, p_ttl_us];
    ELSE
        v_freed := tripod.expire(p_name, v_now);
        v_answer := tripod.join_queue(
            (p_name, p_holder, p_mode, p_permits, p_of, p_priority, 0, v_token, v_token, p_ttl_us,
                v_expires, p_channel, p_metadata)::tripod.entry,
            p_waits, v_now);
        IF v_freed THEN
            PERFORM tripod.tell(p_name);
        END IF;
    END IF;
    IF v_token % 1024 = 0 THEN
        PERFORM tripod.sweep(v_now);
    END IF;
    RETURN v_answer;
END $$;

CREATE FUNCTION tripod.claim(p_name bytea, p_holder bytea) RETURNS bigint[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_now timestamptz := tripod.enter(p_name);
    v_freed boolean := tripod.expire(p_name, v_now);
    v_answer bigint[] := '{6}';
    v_mine tripod.entry;
BEGIN
    SELECT * INTO v_mine FROM tripod.entry WHERE name = p_name AND holder = p_holder;
    IF FOUND THEN
        v_answer := tripod.claim_entry(v_mine, v_now);
    END IF;
    IF v_freed THEN
        PERFORM tripod.tell(p_name);
    END IF;
    IF v_answer[1] = 1 AND v_answer[2] % 1024 = 0 THEN
        PERFORM tripod.sweep(v_now);
    END IF;
    RETURN v_answer;
END $$;

-- Answers, for each, its TTL; or -1 for one that is gone; or -2 for one whose row is locked, for
-- which none waits.
CREATE FUNCTION tripod.renew(p_names bytea[], p_holders bytea[]) RETURNS bigint[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_answers bigint[] := array_fill(-1::bigint, ARRAY[cardinality(p_names)]);
    v_ttl_us bigint;
BEGIN
    PERFORM tripod.settle();
    FOR v_at IN 1 .. cardinality(p_names) LOOP
        PERFORM FROM tripod.entry WHERE name = p_names[v_at] AND holder = p_holders[v_at]
        FOR UPDATE SKIP LOCKED;
        IF FOUND THEN
            UPDATE tripod.entry SET expires = clock_timestamp() + ttl_us * interval '1 microsecond'
            WHERE name = p_names[v_at] AND holder = p_holders[v_at] AND expires > clock_timestamp()
            RETURNING ttl_us INTO v_ttl_us;
            v_answers[v_at] := coalesce(v_ttl_us, -1);
        ELSIF EXISTS (
            SELECT FROM tripod.entry WHERE name = p_names[v_at] AND holder = p_holders[v_at]
        ) THEN
            v_answers[v_at] := -2;
        END IF;
    END LOOP;
    RETURN v_answers;
END $$;

CREATE FUNCTION tripod.release(p_name bytea, p_holder bytea) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_now timestamptz := tripod.enter(p_name);
    v_done text;
    v_held boolean;
BEGIN
    DELETE FROM tripod.entry WHERE name = p_name AND holder = p_holder AND token IS NOT NULL
    RETURNING expires > v_now INTO v_held;
    v_done := tripod.settle_up(p_name, FOUND, v_now);
    RETURN coalesce(v_held, false);
END $$;

CREATE FUNCTION tripod.leave(p_name bytea, p_holder bytea) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_now timestamptz := tripod.enter(p_name);
BEGIN
    DELETE FROM tripod.entry WHERE name = p_name AND holder = p_holder;
    PERFORM tripod.settle_up(p_name, FOUND, v_now);
    RETURN true;
END $$;

CREATE FUNCTION tripod.force_release(p_name bytea, p_token bigint) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_now timestamptz := tripod.enter(p_name);
    v_held boolean;
BEGIN
    DELETE FROM tripod.entry WHERE name = p_name AND token = p_token
    RETURNING expires > v_now INTO v_held;
    PERFORM tripod.settle_up(p_name, FOUND, v_now);
    RETURN coalesce(v_held, false);
END $$;

-- Whether a claim would answer something else than waiting. It changes nothing, and locks nothing.
CREATE FUNCTION tripod.peek(p_name bytea, p_holder bytea) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_mine tripod.entry;
    v_seen record;
BEGIN
    PERFORM tripod.settle();
    SELECT * INTO v_mine FROM tripod.entry
    WHERE name = p_name AND holder = p_holder AND token IS NULL AND expires > v_now;
    IF NOT FOUND THEN
        RETURN true;
    END IF;
    v_seen := tripod.look(p_name, p_holder, v_mine.mode, v_mine.permits, v_mine.permits_of,
        v_mine.priority, v_mine.arrival, true, v_now);
    RETURN NOT v_seen.waits;
END $$;

-- Who holds and who waits. The clock is read before the entries are: one that was over then is no
-- holder, whatever renewed it since.
CREATE FUNCTION tripod.inspect(
    p_name bytea, OUT holder bytea, OUT mode "char", OUT permits bigint, OUT permits_of bigint,
    OUT priority smallint, OUT arrival bigint, OUT token bigint, OUT floor bigint,
    OUT remaining_us bigint, OUT metadata bytea
) RETURNS SETOF record LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
BEGIN
    PERFORM tripod.settle();
    RETURN QUERY
    SELECT e.holder, e.mode, e.permits, e.permits_of, e.priority, e.arrival, e.token, e.floor,
        (extract(epoch FROM e.expires - v_now) * 1000000)::bigint, e.metadata
    FROM tripod.entry AS e WHERE e.name = p_name AND e.expires > v_now;
END $$;
