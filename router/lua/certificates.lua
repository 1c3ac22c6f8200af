-- The certificate of a TLS connection, by the name the client asks for; the default one where there is none.

local ssl = require "ngx.ssl"
local cjson = require "cjson.safe"
local routes = require "routes"

local M = {}

local BAD = {}

local function parse(text)
    local pem = cjson.decode(text)
    local chain, chain_error = ssl.parse_pem_cert(pem.crt)
    local key, key_error = ssl.parse_pem_priv_key(pem.key)
    if not chain or not key then
        ngx.log(ngx.ERR, "a certificate cannot be used: ", chain_error or key_error)
        return BAD
    end
    return {chain = chain, key = key}
end

function M.choose()
    local name = ssl.server_name()
    local certificate = name and routes.certificate_of(string.lower(name), parse)
    if not certificate or certificate == BAD then
        return
    end
    ssl.clear_certs()
    local ok, err = ssl.set_cert(certificate.chain)
    if ok then
        ok, err = ssl.set_priv_key(certificate.key)
    end
    if not ok then
        ngx.log(ngx.ERR, "the certificate of ", name, " cannot be used: ", err)
        return ngx.exit(ngx.ERROR)
    end
end

return M
