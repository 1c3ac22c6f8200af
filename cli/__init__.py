"""`paas`: the user's hands. Speaks the Deis Workflow API to a controller, and git to the folder it stands in."""

VERSION = "0.1.0"
