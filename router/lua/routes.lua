-- The route table: a shared dictionary that every worker reads, and each worker's decoded copy of what it uses.
--
-- The shared dictionary holds what router/table.py renders (host:, route:, peers:, cert:, pem:) and "version", which
-- changes with every push. A worker keeps decoded values; when the version has changed it compares an entry's text
-- before it uses it again, so a change costs decoding only what changed.

local cjson = require "cjson.safe"

local shared = ngx.shared.routes
local io_open = io.open

local M = {}

local cache = {}        -- key → {version, text, value}
local cached = 0
local CACHE_LIMIT = 20000
local version           -- the version the worker saw last
local NONE = {}

-- The decoded value under `key`, or nil. `decode` may turn the text into something else than its JSON value.
local function read(key, decode)
    local entry = cache[key]
    if entry and entry.version == version then
        return entry.value
    end
    local text = shared:get(key)
    if not text then
        if entry then
            cache[key] = nil
            cached = cached - 1
        end
        return nil
    end
    if entry and entry.text == text then
        entry.version = version
        return entry.value
    end
    if not entry then
        if cached >= CACHE_LIMIT then
            cache, cached = {}, 0
        end
        cached = cached + 1
    end
    local value = decode(text)
    cache[key] = {version = version, text = text, value = value}
    return value
end

local function as_is(text)
    return text
end

local function as_json(text)
    return cjson.decode(text) or NONE
end

-- Call at the start of a request: later reads see the table of this moment or a newer one.
function M.refresh()
    version = shared:get("version")
end

local function without_port(host)
    local bare = host
    if string.byte(host, 1) ~= 91 then  -- "[", an IPv6 literal, is no name of ours
        local colon = string.find(host, ":", 1, true)
        if colon then
            bare = string.sub(host, 1, colon - 1)
        end
    end
    return bare
end

-- The key of what serves `host` (lower case): exact, then the nearest wildcard above it.
local function find(prefix, host)
    local key = read(prefix .. host, as_is)
    if key then
        return key
    end
    local dot = string.find(host, ".", 1, true)
    while dot do
        key = read(prefix .. "*" .. string.sub(host, dot), as_is)
        if key then
            return key
        end
        dot = string.find(host, ".", dot + 1, true)
    end
end

function M.route_of(host)
    local key = find("host:", without_port(host))
    if key then
        return read("route:" .. key, as_json), key
    end
end

function M.peers_of(key)
    return read("peers:" .. key, as_json) or NONE
end

function M.certificate_of(host, decode)
    M.refresh()
    local key = find("cert:", host)
    return key and read("pem:" .. key, decode)
end

function M.is_draining()
    return read("draining", as_is)
end

-- Replaces what differs. `base` must be the version held now, or nil to replace the whole table.
-- Returns true, or nil and a sentence.
function M.apply(change)
    local held = shared:get("version")
    if change.base and change.base ~= held then
        return nil, "the table here is " .. tostring(held) .. ", not " .. tostring(change.base), 409
    end
    local function put(prefix, only)
        for key, value in pairs(change.set) do
            if (string.sub(key, 1, #prefix) == prefix) == only then
                local ok, err = shared:safe_set(key, value)
                if not ok then
                    return nil, "no room for " .. key .. ": " .. err .. "; raise the size of the routes dictionary"
                end
            end
        end
        return true
    end
    -- What a host leads to is there before the host is.
    local ok, err = put("host:", false)
    if ok then
        ok, err = put("host:", true)
    end
    if not ok then
        return nil, err, 507
    end
    if change.base then
        for _, key in ipairs(change.delete) do
            shared:delete(key)
        end
    else
        for _, key in ipairs(shared:get_keys(0)) do
            if not change.set[key] and key ~= "version" and key ~= "draining" then
                shared:delete(key)
            end
        end
    end
    shared:set("version", change.version)
    return true
end

-- In the master, at start: what was served last, so that nginx needs nobody to begin.
function M.load_snapshot(path)
    if shared:get("version") then
        return  -- a reload: the dictionary is still there
    end
    local file = io_open(path, "r")
    if not file then
        shared:set("version", "empty")
        return
    end
    local snapshot = cjson.decode(file:read("*a"))
    file:close()
    if type(snapshot) ~= "table" or type(snapshot.entries) ~= "table" then
        ngx.log(ngx.ERR, path, " is not a snapshot of routes; starting without until router-sync sends them")
        shared:set("version", "empty")
        return
    end
    M.apply({set = snapshot.entries, version = snapshot.version})
end

function M.version()
    return shared:get("version")
end

function M.drain()
    shared:set("draining", "true")
    shared:set("version", tostring(shared:get("version")) .. "+draining")
end

return M
