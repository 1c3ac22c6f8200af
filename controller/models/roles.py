"""What a person may do with an app: roles, in ascending order, each including those before it.

| role | may |
| --- | --- |
| viewer | see the app, its processes, releases and log; never its config |
| developer | push, deploy, roll back, scale, restart; read and change config |
| collaborator | what Deis lets one do: also run commands, add domains, change settings; removes nothing |
| operator | also remove domains, paths and addresses |
| owner | also say who may do what, hand the app over, destroy it |
"""

VIEWER, DEVELOPER, COLLABORATOR, OPERATOR, OWNER = "viewer", "developer", "collaborator", "operator", "owner"
LEVELS = {VIEWER: 10, DEVELOPER: 20, COLLABORATOR: 30, OPERATOR: 40, OWNER: 50}
ROLES = tuple(LEVELS)
