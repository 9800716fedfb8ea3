"""Conversations, the tables that stages hand to each other, and where datasets come from."""
