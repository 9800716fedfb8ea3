"""The audit log as tests read it, while the API server writes it."""

import json
from pathlib import Path

from chaos.audit import creations
from support.audit import events


def test_a_line_that_is_not_written_to_its_end_is_left_out(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    first, second = ({"verb": verb, "user": "j\u00fcrgen \u2028 \x85"} for verb in ("list", "watch"))
    whole = "".join(f"{json.dumps(event, ensure_ascii=False)}\n" for event in (first, second)).encode()
    for cut in range(len(whole)):
        log.write_bytes(whole[:cut])
        assert list(events(log)) == [first, second][: whole[:cut].count(b"\n")]
    log.write_bytes(whole)
    assert list(events(log)) == [first, second]


def test_a_child_whose_creation_was_never_answered_counts_once_when_it_is_there(tmp_path: Path) -> None:
    def event(name: str, verb: str, code: int, agent: str, subresource: str | None = None) -> str:
        reference = {"resource": "jobs", "namespace": "ns", "name": name}
        reference |= {"subresource": subresource} if subresource else {}
        said = {"verb": verb, "userAgent": agent, "objectRef": reference, "responseStatus": {"code": code}}
        return json.dumps(said, separators=(",", ":")) + "\n"

    operator, controller = "distillation-operator/a", "kube-controller-manager/1"
    log = tmp_path / "audit.log"
    log.write_text(
        event("answered", "create", 201, operator)
        + event("refused", "create", 403, operator)
        + event("unanswered", "create", 500, operator)
        + event("unanswered", "create", 409, operator)
        + event("twice", "create", 201, operator) * 2
        + event("refused", "update", 404, controller, "status")
        + "".join(event(name, "update", 200, controller, "status") for name in ("answered", "unanswered", "twice"))
        + event("foreign", "create", 201, controller)
    )
    assert creations(log) == {("ns", "answered"): 1, ("ns", "unanswered"): 1, ("ns", "twice"): 2}
