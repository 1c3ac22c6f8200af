-- Which endpoint gets the request: the one with the fewest of this worker's requests, taking turns among equals,
-- passing over those that lately could not be reached. An endpoint that was tried is not tried again, but for one whose
-- kept connection broke: the app may have closed that just as the request went out, which says nothing about the app.

local balancer = require "ngx.balancer"

local M = {}

-- Seconds to connect. An app whose queue is full drops the first packets, which are sent again after 1 and 3 s: the
-- only endpoint gets time for that; with others at hand it gets less, because it may as well be gone.
local CONNECT_TIMEOUT, LAST_CONNECT_TIMEOUT = 2, 10
local READ_TIMEOUT = 120        -- between two reads from an app
local LONG_TIMEOUT = 3600       -- WebSockets, and the platform's own API, which streams logs
local MOST_TRIES = 4
local NO_MORE = -3              -- nginx's NGX_BUSY: no endpoint is left; the answer is 502, see M.explain
local FIRST_PENALTY, LAST_PENALTY = 1, 8    -- seconds an unreachable endpoint is passed over, doubling

local states = {}   -- "address:port" → {active, failures, until_}
local turn = 0

local function state_of(peer)
    local name = peer.name
    if not name then
        name = peer[1] .. ":" .. peer[2]
        peer.name = name
    end
    local state = states[name]
    if not state then
        state = {active = 0, failures = 0, until_ = 0}
        states[name] = state
    end
    return state
end

local GIVEN_UP, ONCE_MORE = 1, 2    -- what becomes of an endpoint that was tried

local function best(peers, tried, now)
    local count = #peers
    local found, fewest, fallback, fallback_fewest, again
    turn = turn + 1
    for offset = 1, count do
        local peer = peers[(turn + offset) % count + 1]
        local state = state_of(peer)
        local verdict = tried and tried[peer.name]
        if verdict == ONCE_MORE then
            again = peer
        elseif not verdict then
            if state.until_ <= now then
                if not fewest or state.active < fewest then
                    found, fewest = peer, state.active
                end
            elseif not fallback_fewest or state.active < fallback_fewest then
                fallback, fallback_fewest = peer, state.active
            end
        end
    end
    return found or fallback or again
end

-- `failed`: whether the endpoint is to be passed over for a while; nil where the try tells nothing.
local function leave(ctx, failed, now)
    local state = states[ctx.peer]
    ctx.peer = nil
    if not state then
        return
    end
    state.active = math.max(state.active - 1, 0)
    if failed then
        state.failures = state.failures + 1
        state.until_ = now + math.min(FIRST_PENALTY * 2 ^ (state.failures - 1), LAST_PENALTY)
    elseif failed == false and state.failures > 0 then
        state.failures, state.until_ = 0, 0
    end
end

-- Whether the last try got as far as a connection: nginx notes "-" for the time of one that never came about.
local function was_connected()
    local times = ngx.var.upstream_connect_time
    return times and string.match(times, "([^%s,]+)$") ~= "-"
end

function M.pick()
    local ctx, now = ngx.ctx, ngx.now()
    local peers = ctx.peers
    if not peers then
        return ngx.exit(500)
    end
    if ctx.peer then
        -- nginx comes back because the last try failed. One that was accepted and then stayed silent is the app's
        -- own slowness: asking a second process to do the same work helps nobody.
        local _, status = balancer.get_last_failure()
        local connected = was_connected()
        if status == 504 and connected then
            return ngx.exit(NO_MORE)
        end
        ctx.tried = ctx.tried or {}
        if connected and ngx.var.pool == "kept" and not ctx.tried[ctx.peer] then
            ctx.tried[ctx.peer] = ONCE_MORE
            leave(ctx, nil, now)
        else
            ctx.tried[ctx.peer] = GIVEN_UP
            leave(ctx, true, now)
        end
    end
    local peer = best(peers, ctx.tried, now)
    if not peer then
        return ngx.exit(NO_MORE)
    end
    local tries = ctx.tries or 1
    if tries == 1 and #peers > 1 then
        balancer.set_more_tries(math.min(#peers, MOST_TRIES) - 1)
    end
    ctx.tries = tries + 1
    local patience = tries >= math.min(#peers, MOST_TRIES) and LAST_CONNECT_TIMEOUT or CONNECT_TIMEOUT
    local least = (ctx.upgraded or ctx.platform) and LONG_TIMEOUT or 0
    local read_timeout = math.max(least, ctx.timeout or READ_TIMEOUT)
    balancer.set_timeouts(patience, read_timeout, read_timeout)
    local ok, err = balancer.set_current_peer(peer[1], peer[2])
    if not ok then
        ngx.log(ngx.ERR, "cannot use endpoint ", peer.name, ": ", err)
        return ngx.exit(NO_MORE)
    end
    local state = state_of(peer)
    state.active = state.active + 1
    ctx.peer = peer.name
end

-- At the end of every request. An error page loses ngx.ctx, so the endpoint is then read from nginx's own record.
function M.finish()
    local ctx = ngx.ctx
    if ctx.peer then
        leave(ctx, false, 0)
        return
    end
    local addresses = ngx.var.upstream_addr
    if addresses and (ngx.status == 502 or ngx.status == 504) then
        ctx.peer = string.match(addresses, "([^%s,]+)$")
        leave(ctx, ngx.status == 502, ngx.now())
    end
end

-- Which of our pages a 502 or 504 of nginx deserves: (name, status).
function M.explain()
    local var = ngx.var
    local next_time = string.gmatch(var.upstream_connect_time or "", "[^%s,:]+")
    for status in string.gmatch(var.upstream_status or "", "[^%s,:]+") do
        local time = next_time()
        if status == "504" and time and time ~= "-" then
            return "slow", 504
        end
    end
    if var.app == "" then  -- of none: the platform's own addresses
        return "restarting", 503
    end
    return "failed", 502
end

-- Forgets endpoints that have no request and no penalty.
function M.prune()
    local now = ngx.now()
    for name, state in pairs(states) do
        if state.active == 0 and state.until_ <= now then
            states[name] = nil
        end
    end
end

return M
