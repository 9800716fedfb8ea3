"""The operator for an hour behind an API server that fails in every way, one after the other."""
