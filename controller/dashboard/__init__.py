"""The controller's pages for people: server-rendered, with a little script for what moves."""
