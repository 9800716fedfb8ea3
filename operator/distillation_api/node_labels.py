"""GKE's labels of nodes, which are also the keys of their taints.

Source: labels.go of GKE's published cluster autoscaler, cluster-toolkit and xpk, as of 2026-11.
"""

SPOT = "cloud.google.com/gke-spot"
FLEX_START = "cloud.google.com/gke-flex-start"
"""Of DWS flex-start; its taint is optional."""
QUEUED = "cloud.google.com/gke-queued"
"""Of nodes that come by a ProvisioningRequest only."""
RESERVATION = "cloud.google.com/reservation-name"
COMPUTE_CLASS = "cloud.google.com/compute-class"
"""A pod that selects a class leaves the choice of accelerator and topology to it."""
NODE_POOL = "cloud.google.com/gke-nodepool"
