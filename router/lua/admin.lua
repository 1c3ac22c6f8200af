-- The admin socket: router/proxy.py pushes routes here; Prometheus and the launcher read.

local cjson = require "cjson.safe"
local metrics = require "metrics"
local routes = require "routes"

local M = {}

local state = ngx.shared.state
local SYNC_LATE = 15    -- seconds without a word from router-sync, which calls every second

local function answer(status, value)
    ngx.status = status
    ngx.header["Content-Type"] = "application/json"
    ngx.print(cjson.encode(value))
    return ngx.exit(ngx.HTTP_OK)
end

-- PUT {base, version, set, delete}: see routes.apply.
function M.table()
    ngx.req.read_body()
    local change = cjson.decode(ngx.req.get_body_data() or "")
    if type(change) ~= "table" or type(change.set) ~= "table" or type(change.version) ~= "string" then
        return answer(400, {error = "the body is not a change of the table"})
    end
    if change.base == cjson.null then
        change.base = nil
    end
    local ok, err, status = routes.apply(change)
    if ok then
        state:set("synced", ngx.time())
        return answer(200, {version = routes.version()})
    end
    return answer(status, {error = err, version = routes.version()})
end

function M.version()
    return answer(200, {version = routes.version()})
end

function M.drain()
    routes.drain()
    return answer(200, {version = routes.version()})
end

-- {active: clients' connections including this one}
function M.connections()
    return answer(200, {active = tonumber(ngx.var.connections_active)})
end

-- Each worker at its start; a new one takes the place of the one that died.
function M.register_worker()
    state:set("worker:" .. ngx.worker.id(), ngx.worker.pid())
end

function M.workers()
    local pids = {}
    for id = 0, ngx.worker.count() - 1 do
        pids[#pids + 1] = state:get("worker:" .. id)
    end
    return answer(200, {pids = pids})
end

local function sync_age()
    local synced = state:get("synced")
    return synced and ngx.time() - synced
end

function M.health()
    local age = sync_age()
    return answer(200, {
        status = "ok",
        version = routes.version(),
        sync = age and age <= SYNC_LATE and "ok" or "late",
    })
end

-- 200 once router-sync has given us routes, and speaks still: before, every host is unknown here.
function M.ready()
    local age = sync_age()
    local ready = age and age <= SYNC_LATE
    return answer(ready and 200 or 503, {ready = ready or false})
end

function M.metrics()
    ngx.header["Content-Type"] = "text/plain; version=0.0.4"
    ngx.print(metrics.render())
    ngx.print(
        "# HELP router_connections Client connections, by state.\n# TYPE router_connections gauge\n",
        'router_connections{state="active"} ', ngx.var.connections_active, "\n",
        'router_connections{state="waiting"} ', ngx.var.connections_waiting, "\n"
    )
    local age = sync_age()
    if age then
        ngx.print("# HELP router_sync_age_seconds Time since router-sync last spoke to nginx.\n",
            "# TYPE router_sync_age_seconds gauge\nrouter_sync_age_seconds ", age, "\n")
    end
end

return M
