"""Decisions, pure: a spec becomes a graph of stages; the graph and what is observed become what to do and to tell."""
