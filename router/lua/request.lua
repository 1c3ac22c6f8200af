-- One request: whose it is, whether it may pass, and to which Service it goes.

local addresses = require "addresses"
local pages = require "pages"
local routes = require "routes"

local M = {https_port = ""}

local lower = string.lower
local KEPT = {GET = true, HEAD = true, OPTIONS = true}

-- nginx's own order: exact paths and prefixes were sorted by router/table.py, expressions come last.
local function location_of(route, path)
    local prefix
    for _, location in ipairs(route.locations) do
        local kind, value = location.kind, location.value
        if kind == "exact" then
            if path == value then
                return location.key
            end
        elseif kind == "prefix" or kind == "final" then
            if not prefix and string.sub(path, 1, #value) == value then
                if kind == "final" then
                    return location.key
                end
                prefix = location.key
            end
        elseif ngx.re.find(path, value, kind == "iregex" and "ijo" or "jo") then
            return location.key
        end
    end
    return prefix
end

local function to_https(host)
    local bare = string.gsub(host, ":%d+$", "")
    return ngx.redirect("https://" .. bare .. M.https_port .. ngx.var.request_uri, 301)
end

-- `draining`: this is the last request of its connection, because a newer nginx takes the next.
function M.route(draining)
    local var = ngx.var
    routes.refresh()
    if not draining and routes.is_draining() then
        return ngx.exec("@draining")
    end
    local host = lower(var.http_host or var.host)
    local route, key = routes.route_of(host)
    if not route then
        return pages.say("unknown", 404)
    end
    if route.app ~= "" then
        var.app = route.app
    end
    if route.whitelist and not addresses.among(route.whitelist, var.binary_remote_addr) then
        return pages.say("forbidden", 403)
    end
    if route.ssl_enforce and var.forwarded_proto ~= "https" then
        return to_https(host)
    end
    if route.maintenance then
        return pages.say("maintenance", 503)
    end
    local limited = route.platform
    if route.locations then
        local other = location_of(route, var.uri)
        key, limited = other or key, limited and not other
    end
    local peers = routes.peers_of(key)
    if #peers == 0 then
        return pages.say("asleep", 503)
    end
    local ctx = ngx.ctx
    ctx.peers, ctx.platform, ctx.timeout = peers, route.platform, route.timeout
    if limited and tonumber(var.http_content_length or 0) > M.platform_body_limit then
        return pages.say("too_large", 413)
    end
    local upgrade = var.http_upgrade
    if upgrade and lower(upgrade) ~= "h2c" then
        var.upstream_connection, var.upstream_upgrade, var.pool = "upgrade", upgrade, "fresh"
        ctx.upgraded = true
    elseif not KEPT[ngx.req.get_method()] or var.http_transfer_encoding or var.http_content_length then
        -- A kept connection may be closing under us. What cannot be repeated travels on a new one.
        var.upstream_connection, var.pool = "close", "fresh"
    end
end

-- The platform's programs name each other by addresses of their own (the registry says so where the
-- controller gives out tokens); a client knows them under the name that it asked for.
function M.answered()
    if ngx.ctx.platform then
        local wanted = ngx.header["WWW-Authenticate"]
        if type(wanted) == "string" then
            local public = ngx.var.forwarded_proto .. "://" .. ngx.var.http_host
            ngx.header["WWW-Authenticate"] = string.gsub(wanted, 'realm="https?://[^/"]+/', function ()
                return 'realm="' .. public .. "/"
            end)
        end
    end
end

return M
