"""Every refusal is one sentence with a stable exit code."""

from __future__ import annotations

import pytest

from cli.refusals import not_found_text

pytestmark = pytest.mark.usefixtures("logged_in")


@pytest.mark.parametrize(
    ("status", "body", "code", "text"),
    [
        (
            400,
            {"detail": "No build associated with this release"},
            1,
            "release. Push code first: `git push deis master`.\n",
        ),
        (400, {"detail": "web crashed with exit code 1:\nTraceback\n  boom"}, 1, "exit code 1:\nTraceback\n  boom\n"),
        (
            400,
            {"id": ["Application with this id already exists."]},
            1,
            "Error: Application with this id already exists. C",
        ),
        (400, {"web": ["must be a number"], "x": ["is odd"]}, 1, "web: must be a number; x: is odd."),
        (400, ["not an address"], 1, "not an address."),
        (400, {"memory": ["Memory limit format: <n><unit>"]}, 1, "Error: Memory limit format: <n><unit>.\n"),
        (400, {"scopes": {"0": ["zz is no scope; the scopes are read, deploy"]}}, 1, "Error: zz is no scope; the"),
        (400, {"detail": "Release matching query does not exist."}, 4, "There is no such release; `paas releases`"),
        (401, {"detail": "Invalid token."}, 3, "log in again with `paas login http"),
        (403, {"detail": "You do not have permission to perform this action."}, 5, "You have no permission"),
        (404, "No App matches the given query.", 4, "There is no app hello; `paas apps` lists yours"),
        (404, {"detail": "Container type x does not exist in application"}, 4, "Container type x does not exist"),
        (404, "<html>404</html>", 4, "does not know this command's route"),
        (404, "<h1>Not Found</h1>", 4, "does not know this command's route"),
        (409, {"detail": "bob changed nothing - release stopped"}, 6, "bob changed nothing - release stopped."),
        (422, {"detail": "K does not exist under values"}, 1, "Unable to process your request: K does not exist"),
        (500, {"detail": "Server Error"}, 1, "The controller failed (500)"),
        (503, {"detail": "(scale): no node fits"}, 1, "(scale): no node fits."),
    ],
)
def test_refusals_become_sentences(platform, paas, status, body, code, text):
    platform.on("POST /v2/apps/hello/scale/", body, status)
    result = paas("scale", "web=1", "-a", "hello")
    assert result.code == code
    assert text in result.err
    assert "most recent call last" not in result.err


def test_a_refusal_names_whom_the_owner_is_to_let_in(platform, paas):
    platform.on("POST /v2/apps/hello/scale/", {"detail": "You do not have permission to perform this action."}, 403)
    told = paas("scale", "web=1", "-a", "hello").err
    assert "owner can give it with `paas perms:create bob -a hello`." in told


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("ps:scal",), "Found no command 'ps:scal'; did you mean `paas ps:scale`?"),
        (("ps", "scal"), "did you mean `paas ps:scale`?"),
        (("relases",), "did you mean `paas releases`?"),
        (("zzzzzz",), "`paas help` lists the commands."),
        (("ps:zzzzzz",), "`paas help ps` lists the commands."),
        (("apps:nosuch",), "`paas help apps` lists the commands."),
        (("config", "groups:atach"), "did you mean `paas config:groups:attach`?"),
        (("ps", "--colour"), "ps:list has no option --colour"),
        (("domains:add",), "domains:add needs <domain>, for example: paas domains:add www.example.com"),
        (("domains:add", "a", "b"), "has no use for 'b'"),
        (("releases", "--limit=ten"), "--limit takes a whole number, not 'ten'."),
        (("releases", "--limit"), "--limit needs a value"),
        (("releases", "--limit=1", "--limit", "2"), "--limit is there twice, as '1' and '2'"),
        (("rollback", "latest"), "'latest' is no release"),
        (("ps", "-a", "../etc"), "'../etc' can't be an app's name"),
        (("config:set", "1X=2"), "'1X=2' is no variable"),
    ],
)
def test_wrong_usage_is_code_2_with_the_way_out(platform, paas, words, text):
    result = paas(*words)
    assert result.code == 2
    assert text in result.err
    assert platform.asked == []


@pytest.mark.parametrize("served", ["2.2", "3.0", None])
def test_another_api_version_is_warned_of_and_work_goes_on(platform, paas, served):
    platform.headers = {"DEIS_API_VERSION": served} if served else {}
    platform.page("/v2/apps/", [])
    result = paas("apps")
    assert result.code == 0
    assert f"speaks API {served or 'unknown'}, this client 2.3" in result.err


def test_a_newer_minor_version_is_no_matter(platform, paas):
    platform.headers = {"DEIS_API_VERSION": "2.10"}
    platform.page("/v2/apps/", [{"id": "hello"}])
    assert paas("apps").err == ""


def test_help_of_a_bare_topic_lists_its_verbs_too(platform, paas):
    text = paas("ps", "--help").out
    assert "Usage: paas ps:list" in text and "ps:scale" in text


def test_answers_of_something_else_than_a_controller_are_no_traceback(platform, paas):
    platform.on("GET /v2/apps/", {"surprise": True})
    platform.on("GET /v2/apps/hello/", ["no object"])
    assert "is it a controller?" in paas("apps").err
    odd = paas("ps:scale", "-a", "hello")
    assert odd.code == 1
    assert odd.err.startswith("Error: An answer was not what this command expects")


def test_who_may_do_it_depends_on_what_was_asked(platform, paas):
    refused = {"detail": "You do not have permission to perform this action."}
    platform.on("GET /v2/users/", refused, 403)
    assert paas("users").err == (
        "Error: You have no permission to do that; an administrator of the platform can do it.\n"
    )
    platform.on("GET /v2/apps/hello/config/", refused, 403)
    assert "the app's owner can give it" in paas("config", "-a", "hello").err


def test_taking_a_permission_away_that_is_not_there(platform, paas):
    platform.on("DELETE /v2/apps/hello/perms/carol", {"detail": "You do not have permission."}, 403)
    platform.on("GET /v2/apps/hello/perms/", {"users": ["bob"]})
    result = paas("perms:delete", "carol", "-a", "hello")
    assert (result.code, result.err) == (4, "Error: carol is no collaborator of hello; `paas perms` lists them.\n")
    platform.on("DELETE /v2/apps/hello/perms/bob", {"detail": "You do not have permission."}, 403)
    assert paas("perms:delete", "bob", "-a", "hello").code == 5


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("OneOff", "There is no such one-off command; `paas run:list` lists them."),
        ("Service", "There is no such service; `paas services` lists them."),
        ("Whatever", "No Whatever matches the given query."),
    ],
)
def test_what_is_not_there_is_called_what_people_call_it(kind, text):
    assert not_found_text(f"No {kind} matches the given query.") == text


def test_a_field_that_says_nothing_is_left_out(platform, paas):
    """A deploy that the platform itself began has nobody's name."""
    platform.on(
        "POST /v2/apps/hello/scale/", {"detail": "It is already in progress", "holder": None, "since": "x"}, 409
    )
    assert "in progress; since: x" in paas("scale", "web=2", "-a", "hello").err
