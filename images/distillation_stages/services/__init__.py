"""The Hub and buckets."""
