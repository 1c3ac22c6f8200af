"""The image registry: the Distribution server, configured and looked after by us. See README.md."""
