"""Builds as Jobs of a Kubernetes cluster, where no Docker Engine is at hand."""
