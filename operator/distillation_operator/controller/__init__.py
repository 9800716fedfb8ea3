"""I/O only: kopf's watches feed a cache and a queue; one worker per job reads the cache, decides, acts and tells."""
