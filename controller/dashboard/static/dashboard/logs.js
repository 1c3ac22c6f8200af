/* The live log: lines arrive as events, the filter hides what doesn't match, pausing lets go of the connection. */
"use strict";

const LINES_KEPT = 3000;
const log = document.getElementById("log");
const status = document.getElementById("log-status");
const filter = document.getElementById("log-filter");
const source = document.getElementById("log-source");
const pauseButton = document.getElementById("log-pause");
let paused = false;
let events = null;

function isAtEnd() {
  return log.scrollHeight - log.scrollTop - log.clientHeight < 40;
}

function show(line) {
  const follow = isAtEnd();
  log.append(render(line));
  while (log.childElementCount > LINES_KEPT) log.firstElementChild.remove();
  if (follow) log.scrollTop = log.scrollHeight;
}

function render(line) {
  const row = document.createElement("li");
  row.dataset.source = line.source;
  if (line.error) row.className = "error";
  const time = document.createElement("time");
  time.dateTime = line.time;
  time.textContent = clockOf(line);
  time.title = line.time;
  const from = document.createElement("span");
  from.className = `from from-${line.colour}`;
  from.textContent = line.source;
  from.title = line.source;
  const text = document.createElement("span");
  text.className = "text";
  text.textContent = line.text;
  row.append(time, from, text);
  offer(line.source);
  judge(row);
  return row;
}

/* The reader's own time of day; the server only knows UTC. */
function clockOf(line) {
  const moment = new Date(line.time);
  return Number.isNaN(moment.valueOf()) ? line.clock : moment.toLocaleTimeString("en-GB");
}

/* A process type that has spoken can be chosen. */
function offer(name) {
  const kind = name.split(".")[0];
  if (!kind || [...source.options].some((option) => option.value === kind)) return;
  source.append(new Option(kind, kind));
}

function judge(row) {
  const wanted = filter.value.toLowerCase();
  const kind = source.value;
  const text = row.querySelector(".text");
  const plain = text.textContent;
  const found = wanted ? plain.toLowerCase().indexOf(wanted) : -1;
  row.hidden = (wanted !== "" && found < 0) || (kind !== "" && row.dataset.source.split(".")[0] !== kind);
  if (found >= 0) {
    const mark = document.createElement("mark");
    mark.textContent = plain.slice(found, found + wanted.length);
    text.replaceChildren(plain.slice(0, found), mark, plain.slice(found + wanted.length));
  } else if (text.childElementCount) {
    text.textContent = plain;
  }
}

function rows() {
  return [...log.children].filter((row) => row.dataset.source !== undefined);
}

function judgeAll() {
  rows().forEach(judge);
  log.scrollTop = log.scrollHeight;
}

function tell(tone, text) {
  status.className = `state ${tone}`;
  status.querySelector("span:last-child").textContent = text;
}

/* Every connection begins with the last lines again: the first event of each takes the place of what is shown. */
function follow() {
  let fresh = true;
  events = new EventSource(log.dataset.stream);
  events.addEventListener("open", () => {
    fresh = true;
    tell("good", "Live");
  });
  events.addEventListener("message", (event) => {
    if (fresh) log.replaceChildren();
    fresh = false;
    show(JSON.parse(event.data));
  });
  events.addEventListener("error", () => {
    const over = events?.readyState === EventSource.CLOSED;
    tell("busy", over ? "Ended; reload to follow again" : "Connecting again");
  });
}

function leave() {
  events?.close();
  events = null;
}

function pause() {
  paused = !paused;
  pauseButton.setAttribute("aria-pressed", String(paused));
  pauseButton.textContent = paused ? "Resume" : "Pause";
  if (paused) {
    leave();
    tell("idle", "Paused");
  } else {
    tell("busy", "Connecting");
    follow();
  }
}

/* A page nobody looks at holds no connection. */
function attend() {
  if (document.visibilityState === "hidden") leave();
  else if (events === null && !paused) follow();
}

rows().forEach((row) => offer(row.dataset.source));
filter.addEventListener("input", judgeAll);
source.addEventListener("change", judgeAll);
pauseButton.addEventListener("click", pause);
document.getElementById("log-clear").addEventListener("click", () => log.replaceChildren());
document.addEventListener("visibilitychange", attend);
addEventListener("pagehide", leave);
document.getElementById("log-tools").hidden = false;
log.scrollTop = log.scrollHeight;
follow();
