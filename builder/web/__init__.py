"""What the builder answers over HTTP: pushes, deploys without git, output of builds, git hosts' webhooks."""
