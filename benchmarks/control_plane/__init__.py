"""Benchmarks of the operator's control plane: what it and others cost the cluster, on a real API server."""
