"""A small, fast implementation of the Kubernetes API over Docker nodes."""
