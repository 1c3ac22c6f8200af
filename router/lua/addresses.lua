-- Whether an address is inside one of several networks.

local M = {}

local function parse(network)
    local hex, bits = network[1], network[2]
    local bytes = string.gsub(hex, "..", function(pair)
        return string.char(tonumber(pair, 16))
    end)
    network.length = #bytes
    network.whole = math.floor(bits / 8)
    network.head = string.sub(bytes, 1, network.whole)
    local rest = bits % 8
    if rest > 0 then
        network.step = 2 ^ (8 - rest)
        network.last = math.floor(string.byte(bytes, network.whole + 1) / network.step)
    end
end

-- `networks` is a list of {hex, bits} (router/table.py: parse_networks); `address` is $binary_remote_addr.
function M.among(networks, address)
    for _, network in ipairs(networks) do
        if not network.length then
            parse(network)
        end
        if #address == network.length and string.sub(address, 1, network.whole) == network.head then
            if not network.step then
                return true
            end
            if math.floor(string.byte(address, network.whole + 1) / network.step) == network.last then
                return true
            end
        end
    end
    return false
end

return M
