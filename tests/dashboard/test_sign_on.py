"""Signing in at a provider: a real little one, in this process, that can be made to lie."""

import base64
import hashlib
import json
import threading
import time
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from controller import oidc
from controller.actions import second_factor
from controller.actions.auth import register
from controller.models import Identity, LoginGrant, User
from tests.dashboard.conftest import PASSWORD, text_of

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Provider:
    """Discovery, keys, authorization and token endpoints; `lies` change claims, `key` signs."""

    def __init__(self):
        provider = self
        self.codes, self.lies, self.key, self.kid = {}, {}, KEY, "one"
        self.person = {"sub": "s-1", "preferred_username": "dora", "email": "dora@example.test", "name": "Dora"}
        self.person["email_verified"] = True
        self.userinfo, self.more = None, {}  # what is told at the userinfo endpoint alone; more configuration

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                path = urllib.parse.urlsplit(self.path).path
                if path.endswith("/me"):
                    known = self.headers.get("Authorization") == "Bearer x"
                    self.answer(200 if known else 401, provider.userinfo)
                else:
                    self.answer(200, provider.configuration() if "well-known" in path else provider.keys())

            def do_POST(self):
                form = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
                token = provider.exchange(form, self.headers.get("Authorization", ""))
                self.answer(200 if token else 400, {"id_token": token, "access_token": "x"} if token else {})

            def answer(self, status, body):
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *args):
                """Quiet."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}/realm"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def configuration(self):
        ends = {"authorization_endpoint": "/auth", "token_endpoint": "/token", "jwks_uri": "/keys"}
        ends |= {"userinfo_endpoint": "/me"} if self.userinfo is not None else {}
        return {"issuer": self.issuer, **{name: self.issuer + path for name, path in ends.items()}, **self.more}

    def keys(self):
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key()))
        return {"keys": [{**public, "kid": "one", "alg": "RS256", "use": "sig"}]}

    def authorize(self, url):
        """What the provider does once the person has signed in there: the address it sends the browser to."""
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
        assert query["response_type"] == "code" and query["code_challenge_method"] == "S256"
        code = f"code-{len(self.codes)}"
        self.codes[code] = query
        return f"/login/oidc/callback/?{urllib.parse.urlencode({'code': code, 'state': query['state']})}"

    def exchange(self, form, authorization):
        asked = self.codes.pop(form.get("code"), None)
        pair = base64.b64encode(b"paas-client:s3cret").decode()
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        proof = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        known = authorization == f"Basic {pair}"
        if self.more.get("token_endpoint_auth_methods_supported") == ["client_secret_post"]:
            known = (form.get("client_id"), form.get("client_secret")) == (
                "paas-client",
                "s3cret",
            ) and not authorization
        if asked is None or not known or proof != asked["code_challenge"]:
            return None
        if form["redirect_uri"] != asked["redirect_uri"]:
            return None
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": "paas-client", "iat": now, "exp": now + 60, "nonce": asked["nonce"]}
        claims |= self.person | self.lies
        return jwt.encode({k: v for k, v in claims.items() if v is not None}, self.key, "RS256", {"kid": self.kid})


@pytest.fixture
def provider(settings):
    made = Provider()
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID = made.issuer, "paas-client"
    settings.OIDC_CLIENT_SECRET = "s3cret"
    register(by=None, username="admin", password=PASSWORD)
    yield made
    made.server.shutdown()
    made.server.server_close()
    oidc._discovered.cache_clear()


def sign_on(browser, provider, next_page=""):
    begun = browser.get(f"/login/oidc/?next={next_page}")
    assert begun.status_code == 302, text_of(begun)
    return browser.get(provider.authorize(begun.headers["Location"]))


def test_the_first_sign_in_makes_an_account_and_the_next_finds_it(provider, browser):
    assert "Sign in with single sign-on" in text_of(browser.get("/login/"))
    answer = sign_on(browser, provider, "/keys/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/keys/")
    dora = User.objects.get(username="dora")
    assert (dora.email, dora.is_superuser, dora.has_usable_password()) == ("dora@example.test", False, False)
    assert browser.get("/").status_code == 200
    browser.logout()
    provider.person["preferred_username"] = "renamed"
    sign_on(browser, provider)
    assert User.objects.count() == 2 and Identity.objects.get().user == dora


@pytest.mark.parametrize(
    ("lies", "words"),
    [
        ({"iss": "https://elsewhere.example"}, "issuer"),
        ({"aud": "another-client"}, "udience"),
        ({"aud": ["paas-client", "another"]}, "somebody else"),
        ({"azp": "another-client"}, "somebody else"),
        ({"nonce": "another"}, "another sign-in"),
        ({"nonce": None}, "another sign-in"),
        ({"exp": 1_000_000_000}, "expired"),
        ({"sub": None}, "sub"),
    ],
)
def test_a_token_that_is_wrong_signs_nobody_in(provider, browser, lies, words):
    provider.lies = lies
    answer = sign_on(browser, provider)
    assert answer.status_code == 400 and words in text_of(answer)
    assert browser.get("/").status_code == 302 and User.objects.count() == 1


def test_a_signature_by_another_key_signs_nobody_in(provider, browser):
    provider.key = OTHER_KEY
    assert "ignature" in text_of(sign_on(browser, provider))
    provider.kid = "two"
    assert "no key" in text_of(sign_on(browser, provider))
    assert User.objects.count() == 1


def test_an_unsigned_token_signs_nobody_in(provider, browser, monkeypatch):
    monkeypatch.setattr(jwt, "encode", lambda claims, key, algorithm, headers: _unsigned(claims))
    assert sign_on(browser, provider).status_code == 400
    assert User.objects.count() == 1


def _unsigned(claims):
    parts = ({"alg": "none", "kid": "one"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, ""])


def test_a_code_of_another_browsers_sign_in_is_refused(provider, browser):
    begun = type(browser)().get("/login/oidc/")
    answer = browser.get(provider.authorize(begun.headers["Location"]))
    assert answer.status_code == 400 and "not begun in this browser" in text_of(answer)
    assert "Sign out" not in answer.content.decode() and "/account/" not in answer.content.decode()
    again = sign_on(browser, provider)
    assert again.status_code == 302


def test_a_provider_that_calls_itself_something_else_is_refused(provider, browser, settings):
    settings.OIDC_ISSUER = provider.issuer + "/"
    assert "calls itself" in text_of(browser.get("/login/oidc/"))


def test_a_name_that_somebody_has_is_not_taken_over(provider, browser, sign_in):
    provider.person["preferred_username"] = "admin"
    answer = sign_on(browser, provider)
    assert answer.status_code == 400 and "account named admin already" in text_of(answer)
    owner = type(browser)()
    owner.send("/login/", "/login/", username="admin", password=PASSWORD)
    assert connect(owner, provider).status_code == 302
    assert Identity.objects.get().user.username == "admin"
    sign_on(browser, provider)
    assert browser.get("/").context["request"].user.username == "admin"


def connect(browser, provider):
    """By the form on one's account page."""
    page = browser.send("/account/", "/login/oidc/", next="/account/")
    assert page.status_code == 200 and provider.issuer in page.context["url"]
    return browser.get(provider.authorize(page.context["url"]))


def test_a_link_connects_nothing(provider, browser):
    """Somebody signed in is lured to the sign-in's address while the provider knows the browser as the lurer."""
    browser.send("/login/", "/login/", username="admin", password=PASSWORD)
    begun = browser.get("/login/oidc/")
    assert (begun.status_code, begun.headers["Location"]) == (302, "/")
    assert browser.get("/login/oidc/callback/?state=&code=x").status_code == 400
    assert browser.post("/login/oidc/").status_code == 403
    assert not Identity.objects.exists()


def test_an_identity_is_connected_to_who_asked_for_it(provider, browser):
    browser.send("/login/", "/login/", username="admin", password=PASSWORD)
    page = browser.send("/account/", "/login/oidc/")
    target = provider.authorize(page.context["url"])
    kept = browser.session["oidc"]
    register(by=User.objects.get(), username="eve", password=PASSWORD)
    browser.send("/account/", "/logout/")
    browser.send("/login/", "/login/", username="eve", password=PASSWORD)
    session = browser.session
    session["oidc"] = kept
    session.save()
    assert "no longer signed in" in text_of(browser.get(target))
    assert not Identity.objects.exists()


def test_what_only_the_userinfo_endpoint_tells_counts_as_well(provider, browser):
    """As certified providers have it: with an access token, the ID token says who it is and no more."""
    provider.userinfo = dict(provider.person)
    provider.person = {"sub": "s-1"}
    assert sign_on(browser, provider).status_code == 302
    dora = User.objects.get(username="dora")
    assert (dora.email, dora.first_name) == ("dora@example.test", "Dora")


def test_userinfo_of_somebody_else_is_refused(provider, browser):
    provider.userinfo = provider.person | {"sub": "s-2"}
    provider.person = {"sub": "s-1"}
    answer = sign_on(browser, provider)
    assert answer.status_code == 400 and "somebody else than the ID token" in text_of(answer)
    assert not Identity.objects.exists()


@pytest.mark.parametrize("verified", [None, False, "false"])
def test_an_address_that_the_provider_has_not_verified_is_not_taken(provider, browser, verified):
    provider.lies = {"email_verified": verified}
    assert sign_on(browser, provider).status_code == 302
    assert User.objects.get(username="dora").email == ""


def test_the_secret_goes_the_way_the_provider_takes_it(provider, browser):
    provider.more = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    assert sign_on(browser, provider).status_code == 302


@pytest.mark.parametrize(("iss", "status"), [("", 400), ("https://elsewhere.example", 400), ("right", 302)])
def test_an_answer_of_another_provider_is_refused(provider, browser, iss, status):
    provider.more = {"authorization_response_iss_parameter_supported": True}
    target = provider.authorize(browser.get("/login/oidc/").headers["Location"])
    iss = provider.issuer if iss == "right" else iss
    assert browser.get(f"{target}&{urllib.parse.urlencode({'iss': iss})}").status_code == status


def test_signing_out_offers_to_sign_out_of_the_provider_too(provider, browser):
    provider.more = {"end_session_endpoint": "https://id.example/end"}
    sign_on(browser, provider)
    page = browser.send("/account/", "/logout/")
    url = urllib.parse.urlsplit(page.context["url"])
    query = dict(urllib.parse.parse_qsl(url.query))
    assert (url.netloc, url.path, query["client_id"]) == ("id.example", "/end", "paas-client")
    assert jwt.decode(query["id_token_hint"], options={"verify_signature": False})["sub"] == "s-1"
    assert browser.get("/").status_code == 302
    browser.send("/login/", "/login/", username="admin", password=PASSWORD)
    assert browser.send("/account/", "/logout/").redirect_chain == [("/login/", 302)]


def test_a_second_factor_is_asked_for_here_as_well(provider, browser):
    sign_on(browser, provider)
    dora = User.objects.get(username="dora")
    secret = second_factor.enrol(dora)["secret"]
    recovery, *_ = second_factor.confirm(dora, second_factor.code_at(secret, int(time.time()) // 30))
    browser.logout()
    answer = sign_on(browser, provider, "/keys/")
    assert answer.headers["Location"] == "/login/oidc/code/" and browser.get("/").status_code == 302
    wrong = browser.send("/login/oidc/code/", "/login/oidc/code/", code="000000")
    assert wrong.status_code == 400 and browser.get("/").status_code == 302
    assert browser.send("/login/oidc/code/", "/login/oidc/code/", code=recovery).redirect_chain == [("/keys/", 302)]
    assert browser.get("/").status_code == 200


def test_unknown_people_need_an_invitation_where_the_operator_says_so(provider, browser, settings):
    settings.OIDC_REGISTER = False
    assert "invitation" in text_of(sign_on(browser, provider))


def test_without_a_provider_there_is_no_such_page(browser):
    assert browser.get("/login/oidc/").status_code == 404
    assert "single sign-on" not in text_of(browser.get("/login/"))


# The command line


def challenge(verifier):
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def redeem(browser, code, verifier="v" * 43):
    body = json.dumps({"code": code, "verifier": verifier})
    return browser.post("/v2/auth/cli/", body, content_type="application/json")


def grant(browser, **more):
    fields = {"challenge": challenge("v" * 43), "port": "45678", "state": "s", **more}
    page = f"/login/cli/?{urllib.parse.urlencode(fields)}"
    token = browser.get(page).context["csrf_token"]
    return browser.post("/login/cli/", {**fields, "csrfmiddlewaretoken": str(token)})


def test_the_browser_hands_a_login_to_the_command_line_on_this_machine(admin, browser):
    page = admin.get(f"/login/cli/?challenge={challenge('v' * 43)}&port=45678&state=s")
    assert "form-action 'self' http://127.0.0.1:45678;" in page.headers["Content-Security-Policy"]
    target = urllib.parse.urlsplit(grant(admin).headers["Location"])
    assert target.netloc == "127.0.0.1:45678"
    query = dict(urllib.parse.parse_qsl(target.query))
    assert query["state"] == "s"
    answer = redeem(browser, query["code"])
    assert answer.json() == {"username": "admin", "token": User.objects.get().token()}
    assert redeem(browser, query["code"]).status_code == 400


def test_a_code_is_of_no_use_without_the_verifier(admin, browser):
    code = grant(admin, port="").context["code"]
    assert redeem(browser, code, "w" * 43).status_code == 400
    assert redeem(browser, code).status_code == 400
    assert not LoginGrant.objects.exists()


def test_a_port_that_is_none_leads_nowhere(admin):
    for port in ("22", "99999", "1.example.com", "80@evil.example", ""):
        assert grant(admin, port=port).status_code == 200, port
