"""Keeps nginx in step with the routes that a Kubernetes API describes."""
