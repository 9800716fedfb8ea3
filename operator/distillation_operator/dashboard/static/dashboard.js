// Keeps an open page as the jobs are: rows and parts that changed are taken over, all else stays as it is.
"use strict";

const page = document.body.dataset;
const SILENCE = 25_000; // Without a sign of life for so long the dashboard counts as gone; it gives one every 10 s.
const AGAIN = 3_000;

const byId = (id) => document.getElementById(id);

// ---- Times: what the server writes in UTC is shown as so long ago, ahead, or lasting.

function words(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60), hours = Math.floor(minutes / 60), days = Math.floor(hours / 24);
  if (days) return `${days} d ${hours % 24} h`;
  return hours ? `${hours} h ${minutes % 60} min` : `${minutes} min`;
}

function showTime(element) {
  const { since } = element.dataset;
  const moment = new Date(since ?? element.dateTime);
  if (Number.isNaN(moment.getTime())) return;
  const passed = Date.now() - moment.getTime();
  const text = since ? words(passed) : passed >= 0 ? `${words(passed)} ago` : `in ${words(-passed)}`;
  if (element.textContent !== text) element.textContent = text;
  const title = moment.toLocaleString();
  if (element.title !== title) element.title = title;
}

function showTimes(within) {
  for (const element of within.querySelectorAll("time")) showTime(element);
}

// ---- Taking over what changed, so that focus, open details and the place on the page stay.

function parsed(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE && node.id) || null;

function same(old, next) {
  return old.nodeType === next.nodeType && old.nodeName === next.nodeName && keyOf(old) === keyOf(next);
}

function takeOver(old, next) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== next.nodeValue) old.nodeValue = next.nodeValue;
    return;
  }
  if (old.nodeName === "TIME") {
    // Its text is this script's.
    for (const { name, value } of next.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    for (const name of ["datetime", "data-since"]) if (!next.hasAttribute(name)) old.removeAttribute(name);
    return;
  }
  for (const { name, value } of next.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) {
    // What the user has opened stays open.
    if (!next.hasAttribute(name) && !(old.nodeName === "DETAILS" && name === "open")) old.removeAttribute(name);
  }
  takeOverChildren(old, next);
}

function takeOverChildren(old, next) {
  let place = old.firstChild;
  for (const child of [...next.childNodes]) {
    let match = place;
    if (!match || !same(match, child)) {
      match = null;
      for (let other = place; other && keyOf(child); other = other.nextSibling) if (same(other, child)) { match = other; break; }
    }
    if (match) {
      if (match !== place) old.insertBefore(match, place);
      else place = place.nextSibling;
      takeOver(match, child);
    } else {
      old.insertBefore(child, place);
    }
  }
  while (place) {
    const after = place.nextSibling;
    place.remove();
    place = after;
  }
}

// ---- Whether what is shown is what is.

let state = { loaded: page.loaded !== "no", problem: "", since: "", note: "" };
let reached = false;
let lastSign = Date.now();

function showState() {
  const live = byId("live"), banner = byId("banner");
  let kind = "live", text = "Live", why = "";
  if (!reached) {
    const waited = Date.now() - lastSign > AGAIN * 2;
    kind = waited ? "stale" : "start";
    text = waited ? "Disconnected" : "Connecting";
    if (waited) why = `The dashboard doesn't answer: has it been ended? What is shown is from ${new Date(lastSign).toLocaleTimeString()}.`;
  } else if (state.problem) {
    kind = "stale";
    text = "Stale";
    const since = state.since ? ` since ${new Date(state.since).toLocaleTimeString()}` : "";
    why = `Not up to date${since}: ${state.problem}. It is tried again.`;
  } else if (!state.loaded) {
    kind = "start";
    text = "Reading the jobs";
  }
  if (live.dataset.state !== kind) live.dataset.state = kind;
  if (byId("live-text").textContent !== text) byId("live-text").textContent = text;
  if (banner) {
    if (banner.textContent !== why) banner.textContent = why;
    banner.hidden = !why;
  }
  const note = byId("note");
  if (note) {
    note.textContent = state.note;
    note.hidden = !state.note;
  }
}

// ---- The list.

const rows = new Map();
const rowKey = (data) => JSON.stringify([data.namespace, data.name]);

function matches(row) {
  const { q, namespace, phase } = filters();
  const data = row.dataset;
  if (namespace && data.namespace !== namespace) return false;
  if (phase && data.phase !== phase) return false;
  return q.every((word) => data.text.includes(word));
}

function filters() {
  return {
    q: byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean),
    namespace: byId("namespace").value,
    phase: byId("phase").value,
  };
}

function showRows(changed) {
  for (const row of changed) {
    const hidden = !matches(row);
    if (row.hidden !== hidden) row.hidden = hidden;
  }
  let shown = 0;
  for (const row of rows.values()) if (!row.hidden) shown += 1;
  const all = rows.size;
  const count = shown === all ? `${all} ${all === 1 ? "job" : "jobs"}` : `${shown} of ${all} jobs`;
  if (byId("count").textContent !== count) byId("count").textContent = count;
  byId("jobs").hidden = !shown;
  byId("empty").hidden = shown > 0;
  const none = all ? "No job fits the filter." : state.loaded ? "There are no DistillationJobs here." : "The jobs are being read.";
  if (byId("empty-text").textContent !== none) byId("empty-text").textContent = none;
}

function showNamespaces() {
  const select = byId("namespace");
  const names = new Set();
  for (const row of rows.values()) names.add(row.dataset.namespace);
  if (select.value) names.add(select.value);
  const wanted = ["", ...[...names].sort()];
  if (wanted.length === select.options.length && wanted.every((name, i) => select.options[i].value === name)) return;
  const chosen = select.value;
  select.replaceChildren(...wanted.map((name) => new Option(name || "all", name, false, name === chosen)));
}

function place(row) {
  const body = byId("rows");
  let after = body.firstElementChild;
  while (after && after.dataset.order > row.dataset.order) after = after.nextElementSibling;
  body.insertBefore(row, after);
}

function takeRows(told) {
  const changed = [], kept = new Set();
  for (const row of parsed(`<table><tbody>${told.rows.join("")}</tbody></table>`).querySelectorAll("tr")) {
    showTimes(row);
    const key = rowKey(row.dataset), known = rows.get(key);
    kept.add(key);
    if (known) {
      const moved = known.dataset.order !== row.dataset.order;
      const hidden = known.hidden;
      takeOver(known, row);
      known.hidden = hidden;
      showTimes(known);
      if (moved) place(known);
    } else {
      rows.set(key, row);
      place(row);
    }
    changed.push(rows.get(key));
  }
  const gone = told.whole ? [...rows.keys()].filter((key) => !kept.has(key)) : told.gone.map(([namespace, name]) => rowKey({ namespace, name }));
  for (const key of gone) {
    rows.get(key)?.remove();
    rows.delete(key);
  }
  showNamespaces();
  showRows(changed);
}

function keepFilters() {
  const asked = new URLSearchParams();
  for (const id of ["filter", "namespace", "phase"]) if (byId(id).value) asked.set(byId(id).name, byId(id).value);
  history.replaceState(null, "", asked.size ? `?${asked}` : "/");
}

function startList() {
  for (const row of byId("rows").children) rows.set(rowKey(row.dataset), row);
  const asked = new URLSearchParams(location.search);
  for (const id of ["filter", "namespace", "phase"]) {
    const element = byId(id), value = asked.get(element.name);
    if (value === null) continue;
    if (id === "namespace" && ![...element.options].some((option) => option.value === value)) element.add(new Option(value, value));
    element.value = value;
  }
  const filter = () => {
    keepFilters();
    showRows(rows.values());
  };
  for (const id of ["filter", "namespace", "phase"]) byId(id).addEventListener("input", filter);
  document.querySelector(".filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filter").addEventListener("keydown", (event) => {
    if (event.key === "Escape" && event.target.value) {
      event.preventDefault();
      event.target.value = "";
      filter();
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea")) return;
    event.preventDefault();
    byId("filter").focus();
    byId("filter").select();
  });
  showRows(rows.values());
}

// ---- The connection. A page that isn't seen gives it back: a browser has six for one address.

let source = null;
let mark = page.mark;

function connect() {
  if (source || document.hidden) return;
  const asked = new URLSearchParams({ since: mark });
  if (page.page === "job") {
    asked.set("namespace", page.namespace);
    asked.set("name", page.name);
  }
  source = new EventSource(`/events?${asked}`);
  const sign = (event) => {
    const told = JSON.parse(event.data);
    reached = true;
    lastSign = Date.now();
    state = told;
    if (event.lastEventId) mark = event.lastEventId;
    return told;
  };
  source.addEventListener("change", (event) => {
    const told = sign(event);
    if (told.rows) takeRows(told);
    if (told.body !== undefined) {
      takeOverChildren(byId("body"), parsed(told.body));
      showTimes(byId("body"));
    }
    showState();
    if (page.page === "jobs") showRows([]);
  });
  source.addEventListener("beat", (event) => {
    sign(event);
    showState();
    if (page.page === "jobs") showRows([]);
  });
  source.addEventListener("error", () => {
    reached = false;
    if (source?.readyState === EventSource.CLOSED) disconnect();
    showState();
  });
}

function disconnect() {
  source?.close();
  source = null;
}

function watchConnection() {
  if (document.hidden) return;
  if (Date.now() - lastSign > SILENCE) {
    reached = false;
    disconnect();
  }
  connect();
  showState();
}

function start() {
  showTimes(document);
  setInterval(() => showTimes(document), 15_000);
  if (page.page === "error") {
    byId("live").hidden = true;
    return;
  }
  if (page.page === "jobs") startList();
  const away = () => {
    disconnect();
    reached = false;
  };
  const back = () => {
    lastSign = Date.now();
    watchConnection();
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? away() : back()));
  addEventListener("pagehide", away);
  addEventListener("pageshow", (event) => event.persisted && back());
  setInterval(watchConnection, AGAIN);
  connect();
  showState();
}

start();
