"""Chaos on a real API server: many jobs, operators that are killed, an API server that restarts, pods that fail.

``make chaos`` prints one JSON object as its last line. What each pod does is written in a script beforehand, so how
each job must end is known; what the operators did stands in the API server's audit log.
"""
