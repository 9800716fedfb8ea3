"""What ten thousand jobs cost one operator, on the real control plane of the testbed.

``python -m benchmarks.control_plane`` (``make bench``) writes jobs that have finished and jobs that run, ends the pods
in place of a kubelet, and measures the operator from outside: its process, its metrics, and the API server's audit log.
One JSON comes of it; ``python -m benchmarks.control_plane.page`` makes docs/performance.md of a committed one.
"""
