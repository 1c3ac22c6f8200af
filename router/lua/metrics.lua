-- Per-app figures: counted in the worker's own tables, added to the shared ones once a second, rendered on request.

local shared = ngx.shared.metrics

local M = {}

local BOUNDS = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
local FLUSH_EVERY = 1   -- seconds; what a killed worker can lose

local counts = {}       -- app → {classes = {status class → n}, buckets = {i → n}, seconds, bytes}

function M.count()
    local var = ngx.var
    local app = var.app
    local entry = counts[app]
    if not entry then
        entry = {classes = {0, 0, 0, 0, 0}, buckets = {}, seconds = 0, bytes = 0}
        for i = 1, #BOUNDS + 1 do
            entry.buckets[i] = 0
        end
        counts[app] = entry
    end
    local class = math.floor(ngx.status / 100)
    if class < 1 or class > 5 then
        class = 5
    end
    entry.classes[class] = entry.classes[class] + 1
    if ngx.status == 101 then
        return  -- a WebSocket's length is no latency
    end
    local seconds = ngx.now() - ngx.req.start_time()
    local bucket = #BOUNDS + 1
    for i = 1, #BOUNDS do
        if seconds <= BOUNDS[i] then
            bucket = i
            break
        end
    end
    entry.buckets[bucket] = entry.buckets[bucket] + 1
    entry.seconds = entry.seconds + seconds
    entry.bytes = entry.bytes + (tonumber(var.bytes_sent) or 0)
end

local function add(key, amount)
    if amount > 0 then
        shared:incr(key, amount, 0)
    end
end

function M.flush()
    local pending = counts
    counts = {}
    for app, entry in pairs(pending) do
        for class, amount in ipairs(entry.classes) do
            add("class|" .. app .. "|" .. class, amount)
        end
        for i, amount in ipairs(entry.buckets) do
            add("bucket|" .. app .. "|" .. i, amount)
        end
        add("seconds|" .. app .. "|", entry.seconds)
        add("bytes|" .. app .. "|", entry.bytes)
    end
end

function M.start()
    ngx.timer.every(FLUSH_EVERY, function()
        M.flush()
    end)
end

local function by_app()
    local apps, names = {}, {}
    for _, key in ipairs(shared:get_keys(0)) do
        local what, app, index = string.match(key, "^(%a+)|(.*)|(%d*)$")
        if what then
            if not apps[app] then
                apps[app] = {class = {}, bucket = {}}
                names[#names + 1] = app
            end
            if index == "" then
                apps[app][what] = shared:get(key)
            else
                apps[app][what][tonumber(index)] = shared:get(key)
            end
        end
    end
    table.sort(names)
    return apps, names
end

local HEADERS = [[
# HELP router_requests_total Requests answered, by app and status class; app is "" for the platform and unknown hosts.
# TYPE router_requests_total counter
%s# HELP router_response_bytes_total Bytes sent to clients.
# TYPE router_response_bytes_total counter
%s# HELP router_request_seconds Time from the first byte of a request to the last of its answer.
# TYPE router_request_seconds histogram
%s]]

-- Prometheus' text format.
function M.render()
    M.flush()
    local requests, bytes, histogram = {}, {}, {}
    local apps, names = by_app()
    for _, app in ipairs(names) do
        local figures = apps[app]
        local label = 'app="' .. app .. '"'
        for class = 1, 5 do
            if figures.class[class] then
                requests[#requests + 1] =
                    string.format('router_requests_total{%s,class="%dxx"} %d\n', label, class, figures.class[class])
            end
        end
        bytes[#bytes + 1] = string.format("router_response_bytes_total{%s} %d\n", label, figures.bytes or 0)
        local total = 0
        for i = 1, #BOUNDS + 1 do
            total = total + (figures.bucket[i] or 0)
            local bound = BOUNDS[i] and tostring(BOUNDS[i]) or "+Inf"
            histogram[#histogram + 1] =
                string.format('router_request_seconds_bucket{%s,le="%s"} %d\n', label, bound, total)
        end
        histogram[#histogram + 1] = string.format("router_request_seconds_sum{%s} %.3f\n", label, figures.seconds or 0)
        histogram[#histogram + 1] = string.format("router_request_seconds_count{%s} %d\n", label, total)
    end
    return string.format(HEADERS, table.concat(requests), table.concat(bytes), table.concat(histogram))
end

return M
