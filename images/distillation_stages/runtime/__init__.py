"""What every program stands on: the storage, messages, failures, the pod's environment."""
