"""The operator next to Argo Workflows: the same graph of pods that end at once, on one API server, in one run, in turn.

From the checkout's root (the first time Argo's controller is compiled, two minutes of a processor)::

    PYTHONPATH=operator:images:tests:. python -m benchmarks.control_plane.argo \
        --jobs 100 --active 20 --with-operator --out argo.json

**What runs.** A testbed's control plane (etcd, API server, Job and JobSet controllers). Each contestant in turn gets
``--jobs`` jobs, ``--active`` of them at once, of the graph of ``tests/support/small_job.py``: 13 stages in 15 pods.
For the operator these are DistillationJobs; for Argo they are Workflows whose DAG has a task for each pod with the
same dependencies. The benchmark ends each pod through its status as soon as it sees it. No scheduler runs: there is
no node.

**Argo without its executor.** Argo's controller takes a node for done when its pod has succeeded, unless a
WorkflowTaskResult says that outputs are still to come. The executor that would write those (two writes for each pod)
isn't there, so Argo's figures leave out what it costs the API server and the controller: they favour Argo.

**Two ways to run Argo.** ``argo-default`` is its own installation (full CRDs, no flags). ``argo-best`` has what its
documentation and sources offer for speed: see `contestants.ARGO_BEST`. An ``instanceID`` separates the two: each sees
its own Workflows and pods alone, and nothing has to be deleted between turns.

**What is measured.** Hand-offs from the API server's audit log: from the answer to the last status that ended a needed
pod to the answer to the creation of the next child (the operator's Job or JobSet, Argo's pod). ``handOffToPod`` is the
same up to the pod, as the benchmark's watch shows it: the operator leaves pods to the Job controllers. Writes and CPU
are those of the controller alone, and beside them those of the whole cluster. Memory is the resident set. The cold
start is a kill and a start with all jobs finished: seconds until the controller has come to rest, its CPU time and its
API calls.
"""
