-- Takes what is due again, then what is new: {id, deliveries, body} each. Buries what was delivered
-- too often. KEYS: queue, dead letters. ARGV: lease in ms, most deliveries, count.
local queue, dead = KEYS[1], KEYS[2]
local lease, most, count = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local taken = {}
if count == 0 then
    return taken
end
local due = redis.pcall('XPENDING', queue, 'tripod', 'IDLE', lease, '-', '+', count)
if due.err then
    if not string.find(due.err, 'NOGROUP', 1, true) then
        return due
    end
    -- From the beginning: what is in the stream was not acknowledged.
    redis.call('XGROUP', 'CREATE', queue, 'tripod', '0', 'MKSTREAM')
    due = {}
end
for _, pending in ipairs(due) do
    local id, deliveries = pending[1], tonumber(pending[4])
    if deliveries >= most then
        local entry = redis.call('XRANGE', queue, id, id)[1]
        if entry then
            redis.call('XADD', dead, '*', 'n', deliveries, unpack(entry[2], 1, math.min(#entry[2], 200)))
        end
        redis.call('XACK', queue, 'tripod', id)
        redis.call('XDEL', queue, id)
    else
        local entry = redis.call('XCLAIM', queue, 'tripod', 'tripod', lease, id)[1]
        -- One that is no more in the stream is dropped by the server.
        if entry then
            taken[#taken + 1] = {id, deliveries + 1, entry[2][2] or ''}
        end
    end
end
if #taken < count then
    local read = redis.call('XREADGROUP', 'GROUP', 'tripod', 'tripod', 'COUNT', count - #taken,
        'STREAMS', queue, '>')
    if read then
        for _, entry in ipairs(read[1][2]) do
            taken[#taken + 1] = {entry[1], 1, entry[2][2] or ''}
        end
    end
end
return taken
