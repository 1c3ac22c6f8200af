"""From `git push` to an image in the registry: see README.md."""
