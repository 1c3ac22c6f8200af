-- What the router itself says to a client: a page (pages/page.html) to browsers, JSON or a line to programs.

local cjson = require "cjson.safe"

local M = {}

-- name → heading for people, and the sentence for everybody.
local TEXTS = {
    unknown = {"Nothing here", "No app answers to this host name. Check the address; an app's owner adds a name to it with paas domains:add."},
    asleep = {"Not running", "This app has no process that could answer right now. Try again in a moment."},
    maintenance = {"Back soon", "This app is being looked after and will be back shortly."},
    failed = {"No answer", "The app did not answer this request properly. Its logs say why."},
    restarting = {"Back in a moment", "The platform doesn't answer right now; it may just be restarting. Apps run on. Try again in a few seconds."},
    slow = {"Too slow", "The app took too long to answer this request."},
    forbidden = {"Not allowed", "Your address is not on this app's list of allowed addresses."},
    too_large = {"Too large", "The request's body is larger than the platform takes."},
}
local template

-- In the master, at start, which may read files that workers may not.
function M.load(folder)
    local file = assert(io.open(folder .. "/page.html", "r"))
    template = file:read("*a")
    file:close()
end

local function render(status, text)
    local values = {status = status, title = text[1], text = text[2]}
    return (string.gsub(template, "{{(%a+)}}", values))
end

function M.say(name, status)
    local text = TEXTS[name]
    local accept = ngx.var.http_accept or ""
    local header = ngx.header
    ngx.status = status
    header["Cache-Control"] = "no-store"
    if status == 503 then
        header["Retry-After"] = name == "maintenance" and "60" or "5"
    end
    if name == "restarting" and ngx.req.get_method() == "GET" then
        header["Refresh"] = "5"  -- whoever looks at the dashboard sees it come back
    end
    local body
    if string.find(accept, "text/html", 1, true) then
        header["Content-Type"] = "text/html; charset=utf-8"
        body = render(status, text)
    elseif string.find(accept, "json", 1, true) then
        header["Content-Type"] = "application/json"
        body = cjson.encode({detail = text[2]})
    else
        header["Content-Type"] = "text/plain; charset=utf-8"
        body = text[2] .. "\n"
    end
    header["Content-Length"] = #body
    ngx.print(body)
    return ngx.exit(ngx.HTTP_OK)
end

return M
