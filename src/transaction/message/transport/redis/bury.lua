-- Makes dead letters of entries. KEYS: queue, dead letters. ARGV: ids.
local queue, dead = KEYS[1], KEYS[2]
for _, id in ipairs(ARGV) do
    local entry = redis.call('XRANGE', queue, id, id)[1]
    if entry then
        redis.call('XADD', dead, '*', 'n', 1, unpack(entry[2], 1, math.min(#entry[2], 200)))
    end
    redis.call('XACK', queue, 'tripod', id)
    redis.call('XDEL', queue, id)
end
return #ARGV
