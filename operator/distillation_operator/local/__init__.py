"""A DistillationJob on this machine, without Kubernetes."""
