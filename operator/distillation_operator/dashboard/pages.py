"""The pages as HTML. Everything is escaped by the templates' engine; nothing of a job is ever marked as safe."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

import jinja2
from markupsafe import Markup, escape

from distillation_operator.dashboard.board import Health
from distillation_operator.dashboard.details import Details, details
from distillation_operator.dashboard.layout import NODE_HEIGHT, NODE_WIDTH
from distillation_operator.dashboard.lenient import Object, text
from distillation_operator.dashboard.row import PHASES, UNSEEN, UNSEEN_TEXT, Key, Row, row

FOLDER = Path(__file__).parent

_ICONS = {
    "Complete": "check", "Failed": "cross", "Running": "play", "Suspended": "pause", "Queued": "queue",
    "Pending": "clock", "Waiting": "dots", UNSEEN: "question",
}  # fmt: skip


class _Rendered(NamedTuple):
    job: Object
    row: Row
    html: str


class Pages:
    """Makes pages and parts of them. ``has_reports``: whether reports can be opened from here."""

    def __init__(self, server: str, place: str, has_reports: bool) -> None:
        """``server``: a name of this run; ``place``: where the jobs are, for people."""
        self._engine = jinja2.Environment(
            loader=jinja2.FileSystemLoader(FOLDER / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._engine.filters |= {"code": _code, "moment": _moment, "icon": _icon, "duration": _duration}
        self._engine.globals |= {
            "server": server,
            # A file's name may be any bytes.
            "place": text(place),
            "group": "Folder" if has_reports else "Namespace",
            "job_link": _job_link,
            "report_link": _report_link,
        }
        self._has_reports = has_reports
        self._rows: dict[Key, _Rendered] = {}

    def jobs(self, jobs: Iterable[tuple[Key, Object]], health: Health, mark: str) -> str:
        """The list of all jobs."""
        rows = sorted((self._row(key, job) for key, job in jobs), key=lambda one: one.row.order, reverse=True)
        self._rows = {one.row.key: one for one in rows}
        return self._engine.get_template("jobs.html").render(
            rows=[Markup(one.html) for one in rows],
            namespaces=sorted({one.row.key[0] for one in rows}),
            phases=[(phase, UNSEEN_TEXT if phase == UNSEEN else phase) for phase in PHASES],
            health=health,
            mark=mark,
        )

    def row(self, key: Key, job: Object) -> str:
        """A row of the list."""
        return self._row(key, job).html

    def forget(self, key: Key) -> None:
        """Forget the row of a job that is gone."""
        self._rows.pop(key, None)

    def job(self, key: Key, job: Object | None, health: Health, mark: str) -> str:
        """The page of a job, also of one that isn't known."""
        return self._engine.get_template("job.html").render(
            key=key, body=Markup(self.body(key, job, health)), health=health, mark=mark
        )

    def body(self, key: Key, job: Object | None, health: Health) -> str:
        """What changes of the page of a job."""
        shown: Details | None = details(key, job) if job is not None else None
        return self._engine.get_template("body.html").render(
            key=key,
            job=shown,
            health=health,
            has_reports=self._has_reports,
            node_width=NODE_WIDTH,
            node_height=NODE_HEIGHT,
            stages={stage.name: stage for stage in shown.stages} if shown else {},
        )

    def error(self, title: str, message: str) -> str:
        """A page of one message."""
        return self._engine.get_template("error.html").render(title=title, message=message)

    def _row(self, key: Key, job: Object) -> _Rendered:
        """A row, made once for all who look."""
        known = self._rows.get(key)
        if known is None or known.job is not job:
            made = row(key, job)
            known = _Rendered(job, made, self._engine.get_template("row.html").render(row=made))
            self._rows[key] = known
        return known


def _job_link(key: Key) -> str:
    return "/job?" + urlencode({"namespace": key[0], "name": key[1]}, errors="replace")


def _report_link(key: Key) -> str:
    return "/report?" + urlencode({"namespace": key[0], "name": key[1]}, errors="replace")


def _code(told: str) -> Markup:
    """Markdown's `code` as HTML, of the operator's own texts."""
    parts = told.split("`")
    code = Markup("<code>{}</code>")
    return Markup("").join(code.format(part) if number % 2 else escape(part) for number, part in enumerate(parts))


def _moment(time: datetime | None) -> Markup:
    """A time that the page's script shows as so long ago or ahead."""
    if time is None:
        return Markup("")
    return Markup('<time datetime="{}">{}</time>').format(_iso(time), time.strftime("%Y-%m-%d %H:%M UTC"))


def _duration(start: datetime | None, end: datetime | None, is_running: bool) -> Markup:
    """How long something took, or takes so far: the page's script counts on. A dash where nobody knows."""
    if start is None or (end is None and not is_running):
        return Markup("\N{EN DASH}")
    if end is None:
        return Markup('<time data-since="{}">since {}</time>').format(_iso(start), start.strftime("%Y-%m-%d %H:%M UTC"))
    return escape(_words(max(0.0, (end - start).total_seconds())))


def _words(seconds: float) -> str:
    minutes = int(seconds) // 60
    if minutes < 1:
        return f"{int(seconds)} s"
    hours, minutes = divmod(minutes, 60)
    days, hours_left = divmod(hours, 24)
    return f"{days} d {hours_left} h" if days else f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _iso(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _icon(state: str) -> str:
    return _ICONS.get(state, "question")
