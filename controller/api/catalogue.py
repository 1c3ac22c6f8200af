"""The words of the API's description: its sections, and a sentence for each operation.

A sentence is the operation's summary; what follows it is its description, beside what the view's docstring says.
Paths are below `/v2`, as the description has them.
"""

from __future__ import annotations

from typing import NamedTuple


class Section(NamedTuple):
    name: str
    about: str
    operations: dict[str, str]


ACCOUNT = Section(
    "Account",
    "Signing in, who you are, your keys and tokens.",
    {
        "GET /": "Test the connection. 401 without a valid token, which is how clients know a controller.",
        "POST /auth/register/": "Make an account. The very first user administers the platform.",
        "POST /auth/login/": "Get your token. The same each time, until it is made anew; a form is taken too.",
        "POST /auth/cli/": "Get a token for the command line after signing in with a browser.",
        "GET /auth/whoami/": "Show who is asking.",
        "POST /auth/passwd/": "Change a password. An administrator names the user and needs no old one.",
        "POST /auth/tokens/": "Make a token anew. The old one is void; `username` and `all` are for administrators.",
        "DELETE /auth/cancel/": "Delete an account. 409 while it owns apps, certificates or records of others' apps.",
        "GET /auth/totp/": "Show whether two-factor is on.",
        "POST /auth/totp/": "Begin to turn two-factor on.",
        "DELETE /auth/totp/": "Turn two-factor off.",
        "POST /auth/totp/confirm/": "Turn two-factor on with a first code. The recovery codes are told this once.",
        "GET /keys/": "List your SSH keys, sorted by their text.",
        "POST /keys/": "Add an SSH key. Its name and the key itself are unique over all users.",
        "GET /keys/{name}": "Show one of your SSH keys.",
        "DELETE /keys/{name}": "Remove one of your SSH keys.",
        "GET /tokens/": "List your personal tokens.",
        "POST /tokens/": "Make a personal token with scopes and an end. Its text is told this once.",
        "GET /tokens/{name}/": "Show a personal token, without its text.",
        "DELETE /tokens/{name}/": "Revoke a personal token.",
        "GET /notifications/": "List what you get mail about.",
        "POST /notifications/": "Get mail about an app, or about all of yours.",
        "DELETE /notifications/": "Get no more mail.",
        "POST /notifications/address/": "Say where mail to you goes.",
        "POST /notifications/test/": "Send yourself a mail to try it.",
        "GET /notifications/deliveries/": "List what was mailed to you, newest first.",
    },
)

APPS = Section(
    "Apps",
    "What is deployed, and who may work on it.",
    {
        "GET /apps/": "List the apps you may work on, by name.",
        "POST /apps/": "Make an app. Without a name it gets one of two words; it begins with release v1 and a domain.",
        "GET /apps/{app}/": "Show an app.",
        "POST /apps/{app}/": "Give an app to another owner. The old one keeps no access.",
        "DELETE /apps/{app}/": "Remove an app with all that is its own. Answers once it is gone.",
        "GET /apps/{app}/perms/": "List an app's collaborators.",
        "POST /apps/{app}/perms/": "Let somebody work on an app.",
        "DELETE /apps/{app}/perms/{username}/": "Take a collaborator out. 403 for who is none.",
        "GET /apps/{app}/access/": "List who may do what with an app, teams included.",
        "POST /apps/{app}/access/": "Give a user or a team a role on an app.",
        "DELETE /apps/{app}/access/users/{username}/": "Take a user's role on an app away.",
        "DELETE /apps/{app}/access/teams/{team}/": "Take a team's role on an app away.",
        "GET /apps/{app}/audit/": "List who did what to an app, from where, newest first.",
        "GET /apps/{app}/explain/": "Say why something isn't as wished, with evidence and the command to fix it.",
    },
)

BUILDS = Section(
    "Builds",
    "Images: brought from a registry, or made from source.",
    {
        "GET /apps/{app}/builds/": "List an app's builds, newest first.",
        "POST /apps/{app}/builds/": "Release an image. Answers when its processes are up, or why they aren't.",
        "GET /apps/{app}/builds/{uuid}/": "Show a build.",
        "GET /apps/{app}/build-runs/": "List every attempt to build, those that failed too.",
        "POST /apps/{app}/build-runs/": "Build from the connected git host.",
        "GET /apps/{app}/build-runs/{number}/": "Show who built what, how long it took, and why it failed.",
        "POST /apps/{app}/build-runs/{number}/cancel/": "Call off a build that waits.",
        "GET /apps/{app}/build-settings/": "Show how source is built.",
        "POST /apps/{app}/build-settings/": "Change how source is built. null takes a setting back to its default.",
        "GET /apps/{app}/git/": "Show the git host an app is built from.",
        "POST /apps/{app}/git/": "Connect a repository of a git host.",
        "DELETE /apps/{app}/git/": "Build no longer from the git host.",
    },
)

RELEASES = Section(
    "Releases",
    "Each build, change of config and rollback is a numbered release.",
    {
        "GET /apps/{app}/releases/": "List an app's releases, newest first. Failed ones keep their number.",
        "GET /apps/{app}/releases/v{version}/": "Show a release.",
        "POST /apps/{app}/releases/rollback/": "Go back to an earlier release. Without a version: to the one before.",
        "GET /apps/{app}/releases/v{version}/diff/v{other}/": "Show what differs between two releases.",
        "GET /apps/{app}/releases/v{version}/output/": "Show what was said while a release went live.",
        "POST /apps/{app}/promote/": "Release an app's exact image in other apps.",
        "GET /apps/{app}/deploy/": "Show the rules by which an app's releases go live.",
        "POST /apps/{app}/deploy/": "Change the rules by which releases go live. null takes one back to its default.",
        "POST /apps/{app}/deploy/cancel/": "Cancel the release that is going live.",
    },
)

CONFIG = Section(
    "Config",
    "Environment variables, limits, health checks and the other sections; shared groups and links between apps.",
    {
        "GET /apps/{app}/config/": "Show an app's config. Write-only values are masked.",
        "POST /apps/{app}/config/": (
            "Change config, and release the change. Sections are merged key by key; null removes a key, 422 when it "
            "isn't there; 409 when nothing would change."
        ),
        "GET /apps/{app}/config-groups/": "List the config groups attached to an app.",
        "POST /apps/{app}/config-groups/": "Attach a config group to an app.",
        "DELETE /apps/{app}/config-groups/{group}/": "Detach a config group from an app.",
        "GET /apps/{app}/config-links/": "List the variables an app takes from other apps.",
        "POST /apps/{app}/config-links/": "Take a variable from another app.",
        "DELETE /apps/{app}/config-links/{key}/": "Take a variable from another app no longer.",
        "GET /config-groups/": "List your config groups.",
        "POST /config-groups/": "Make a config group.",
        "GET /config-groups/{group}/": "Show a config group.",
        "POST /config-groups/{group}/": "Change a config group. Apps that have it are released anew.",
        "DELETE /config-groups/{group}/": "Remove a config group. 409 while it is attached.",
    },
)

PROCESSES = Section(
    "Processes",
    "What runs: counted, sized, restarted, joined, scheduled.",
    {
        "POST /apps/{app}/scale/": "Set how many processes of each type run. Types not named stay as they are.",
        "GET /apps/{app}/pods/": "List an app's processes, newest first. Not paged.",
        "GET /apps/{app}/pods/{type}/": "List the processes of a type.",
        "GET /apps/{app}/pods/{type}/{name}/": "List one process.",
        "POST /apps/{app}/pods/restart/": "Restart every process. Answers with the fresh ones.",
        "POST /apps/{app}/pods/{type}/restart/": "Restart the processes of a type.",
        "POST /apps/{app}/pods/{type}/{name}/restart/": "Restart one process. Its name may leave the app out.",
        "POST /apps/{app}/ps/stop/": "Stop process types. How many ran is remembered.",
        "POST /apps/{app}/ps/start/": "Start what was stopped, with as many processes as before.",
        "GET /apps/{app}/ps/sizes/": "Show the size of each process type.",
        "POST /apps/{app}/ps/sizes/": "Change the size of process types: memory and CPU together.",
        "GET /sizes/": "List the sizes there are.",
        "POST /apps/{app}/run/": "Run a command to its end, and get its code and output.",
        "GET /apps/{app}/run/attach/": "Run a command joined to your terminal. A WebSocket.",
        "GET /apps/{app}/runs/": "List one-off commands.",
        "POST /apps/{app}/runs/": "Begin a command that goes on without you.",
        "GET /apps/{app}/runs/{name}/": "Show a one-off command.",
        "DELETE /apps/{app}/runs/{name}/": "Stop a one-off command.",
        "GET /apps/{app}/exec/": "Run a command in a running process. A WebSocket.",
        "GET /apps/{app}/portforward/": "Reach a port of a process. A WebSocket.",
        "GET /apps/{app}/cron/": "List what runs on a schedule.",
        "POST /apps/{app}/cron/": "Run a command on a schedule.",
        "GET /apps/{app}/cron/{name}/": "Show a scheduled command.",
        "DELETE /apps/{app}/cron/{name}/": "Remove a scheduled command.",
        "POST /apps/{app}/cron/{name}/{deed}/": "Run a scheduled command now, pause or resume it.",
        "GET /apps/{app}/cron/{name}/history/": "List how a scheduled command's runs went.",
    },
)

ROUTING = Section(
    "Routing",
    "How an app is reached: domains, certificates, paths, addresses, maintenance.",
    {
        "GET /apps/{app}/domains/": "List an app's domains, by name.",
        "POST /apps/{app}/domains/": "Add a domain. Unique over all apps; other scripts are kept in their ASCII form.",
        "DELETE /apps/{app}/domains/{domain}/": "Remove a domain.",
        "GET /apps/{app}/settings/": "Show an app's settings.",
        "POST /apps/{app}/settings/": "Change maintenance, routing, the whitelist, autoscale rules or labels.",
        "GET /apps/{app}/whitelist/": "List the addresses that may reach an app.",
        "POST /apps/{app}/whitelist/": "Add addresses that may reach an app.",
        "DELETE /apps/{app}/whitelist/": "Remove addresses that may reach an app.",
        "GET /apps/{app}/tls/": "Show whether HTTPS is enforced.",
        "POST /apps/{app}/tls/": "Enforce HTTPS, or no longer.",
        "GET /apps/{app}/services/": "List the paths that other process types serve, newest first.",
        "POST /apps/{app}/services/": "Let a process type serve paths. 201 when made or changed, 204 when it was so.",
        "DELETE /apps/{app}/services/": "Serve paths by a process type no longer.",
        "GET /certs/": "List your certificates.",
        "POST /certs/": "Add a certificate and its key, as PEM. The key is never shown again.",
        "GET /certs/{name}/": "Show a certificate.",
        "DELETE /certs/{name}/": "Remove a certificate, and detach it from its domains.",
        "POST /certs/{name}/domain/": "Use a certificate for a domain.",
        "DELETE /certs/{name}/domain/{domain}": "Use a certificate for a domain no longer.",
    },
)

LOGS = Section(
    "Logs and notices",
    "The log of an app, where else it goes, and who is told of what happens.",
    {
        "GET /apps/{app}/logs/": "Read an app's log, oldest line first. 204 when there is none.",
        "GET /apps/{app}/logs/drains/": "List where an app's log also goes.",
        "POST /apps/{app}/logs/drains/": "Send an app's log to syslog or HTTP as well.",
        "DELETE /apps/{app}/logs/drains/{drain}/": "Send an app's log there no longer.",
        "GET /apps/{app}/logs/retention/": "Show how much of an app's log is kept.",
        "POST /apps/{app}/logs/retention/": "Change how much of an app's log is kept.",
        "GET /apps/{app}/webhooks/": "List an app's webhooks.",
        "POST /apps/{app}/webhooks/": "Add a webhook. The secret that signs its deliveries is told this once.",
        "GET /apps/{app}/webhooks/{number}/": "Show a webhook.",
        "DELETE /apps/{app}/webhooks/{number}/": "Remove a webhook.",
        "POST /apps/{app}/webhooks/{number}/test/": "Send a webhook a delivery to try it.",
        "GET /apps/{app}/webhooks/{number}/deliveries/": "List a webhook's deliveries, newest first.",
        "POST /apps/{app}/webhooks/{number}/deliveries/{delivery}/redeliver/": "Send a delivery again.",
    },
)

PEOPLE = Section(
    "People and pipelines",
    "Teams, invitations, and the way of an image through stages.",
    {
        "GET /teams/": "List your teams.",
        "POST /teams/": "Make a team.",
        "GET /teams/{team}/": "Show a team: its members, and its roles on apps.",
        "DELETE /teams/{team}/": "Remove a team.",
        "POST /teams/{team}/members/": "Add somebody to a team.",
        "DELETE /teams/{team}/members/{username}/": "Take somebody out of a team.",
        "GET /invitations/": "List your invitations.",
        "POST /invitations/": "Invite somebody. The link is told this once.",
        "DELETE /invitations/{number}/": "Withdraw an invitation.",
        "POST /invitations/accept/": "Make the account one is invited to.",
        "GET /pipelines/": "List your pipelines.",
        "POST /pipelines/": "Make a pipeline of stages.",
        "GET /pipelines/{name}/": "Show a pipeline.",
        "DELETE /pipelines/{name}/": "Remove a pipeline. Its apps stay.",
        "POST /pipelines/{name}/apps/": "Put an app into a stage.",
        "DELETE /pipelines/{name}/apps/{app}/": "Take an app out of a pipeline.",
        "GET /pipelines/{name}/diff/": "Show what differs between two stages.",
    },
)

PLATFORM = Section(
    "Platform",
    "For who runs it, and what it says of itself.",
    {
        "GET /info/": "Show what clients must know of this platform. Open to everybody.",
        "GET /schema/": "Get this description, as JSON or YAML.",
        "GET /docs/": "Read this description.",
        "GET /users/": "List the users. For administrators.",
        "GET /admin/perms/": "List the administrators.",
        "POST /admin/perms/": "Make somebody an administrator.",
        "DELETE /admin/perms/{username}/": "Make an administrator a user like others.",
        "GET /audit/": "List who did what, from where, newest first. For administrators.",
        "GET /doctor/": "Say what is wrong with the platform. For administrators.",
        "POST /gc/": "Remove images and build files that nobody keeps. For administrators.",
        "GET /registry/token/": "Get a token for the image registry.",
    },
)

HOOKS = Section(
    "Builder hooks",
    "What the builder, the log store and the registry ask; opened by the builder's key alone.",
    {
        "GET /hooks/key/{fingerprint}": "Say whose a key is.",
        "GET /hooks/keys/{app}/": "List the keys that may push to an app.",
        "GET /hooks/keys/{app}/{username}": "List a user's keys, if they may push to an app.",
        "GET /hooks/push/{app}/": "Say who asks, and that they may deploy.",
        "POST /hooks/config/": "Give the config that a build needs.",
        "POST /hooks/build/": "Release what was built.",
        "POST /hooks/build-runs/": "Write down a build that begins.",
        "POST /hooks/build-runs/claim/": "Give the next build that nobody waits for.",
        "POST /hooks/build-runs/{uuid}/": "Write down how a build goes on.",
        "POST /hooks/build-runs/abandoned/": "Give up what was being built before a builder began anew.",
        "POST /hooks/webhook/{app}/": "Pass on a git host's delivery.",
        "POST /hooks/registry/": "Take the registry's notification.",
        "GET /hooks/logs/": "Give the log store its apps.",
    },
)

SECTIONS = (ACCOUNT, APPS, BUILDS, RELEASES, CONFIG, PROCESSES, ROUTING, LOGS, PEOPLE, PLATFORM, HOOKS)
SENTENCES = {name: text for section in SECTIONS for name, text in section.operations.items()}
SECTION_OF = {name: section.name for section in SECTIONS for name in section.operations}

PARAMETERS = {
    "app": "the app's name",
    "deed": "run, pause or resume",
    "delivery": "the delivery's number",
    "domain": "as it was added, or in its ASCII form",
    "drain": "its id or address",
    "fingerprint": "MD5 of the key, in hex pairs with colons",
    "group": "the config group's name",
    "key": "the variable's name",
    "name": "its name",
    "number": "its number",
    "other": "the number of the release to compare with",
    "team": "the team's name",
    "type": "a process type, such as web",
    "username": "the user's name",
    "uuid": "its id",
    "version": "the release's number",
}


def key_of(method: str, path: str) -> str:
    """What the tables call an operation: `GET /apps/` for a GET of `/v2/apps/`."""
    return f"{method.upper()} {path.removeprefix('/v2')}"


def split(text: str) -> tuple[str, str]:
    """The first sentence without its full stop, and the rest."""
    first, stop, rest = text.partition(". ")
    return first.removesuffix("."), rest if stop else ""
