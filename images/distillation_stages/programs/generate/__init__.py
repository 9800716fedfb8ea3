"""The teacher's answers to one shard of the prompts."""
