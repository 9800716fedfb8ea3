"""A real single-node Kubernetes on one Linux machine, as root, without Docker and without pulling an image.

Everything runs in one private network, mount and process namespace, so several testbeds live side by side and
ending one process ends a testbed whole. There are two depths: the control plane (etcd, API server, controller
manager, scheduler, JobSet controller) comes up in seconds and runs no pod; the full depth adds the kubelet,
kube-proxy, containerd and DNS, and runs pods with the stage images of this checkout.

`python -m testbed --help` is the way in for people, `testbed.cluster.Testbed` for tests.
"""
