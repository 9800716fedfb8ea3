"""``compare``: several runs in one table and on one page.

A run is read from the cluster, from what ``local`` has left, from a status file or from a report's folder
(``sources``); ``run`` is what all of these become. What differs in the specs is found by ``differences``, what there is
to say of scores, tokens and cost by ``figures``; ``terminal``, ``page`` and ``as_json`` show both.
"""
