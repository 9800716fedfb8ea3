"""The audit log as tests read it, while the API server writes it."""

import json
from pathlib import Path

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
