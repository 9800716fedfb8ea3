"""Where each kind of stage stands in the graph: what it is asked, what it reads, where it runs."""
