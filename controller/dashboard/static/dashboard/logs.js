/* The live log: lines arrive as events; pausing holds them back, the filter hides what doesn't match. */
"use strict";

const LINES_KEPT = 3000;
const log = document.getElementById("log");
const status = document.getElementById("log-status");
const filter = document.getElementById("log-filter");
const source = document.getElementById("log-source");
const pauseButton = document.getElementById("log-pause");
const held = [];
let paused = false;
let quiet = document.getElementById("log-empty");

function isAtEnd() {
  return log.scrollHeight - log.scrollTop - log.clientHeight < 40;
}

function show(line) {
  const stay = !isAtEnd();
  log.append(render(line));
  quiet?.remove();
  quiet = null;
  while (log.childElementCount > LINES_KEPT) log.firstElementChild.remove();
  if (!stay) log.scrollTop = log.scrollHeight;
}

function render(line) {
  const row = document.createElement("li");
  row.dataset.source = line.source;
  if (line.error) row.className = "error";
  const time = document.createElement("time");
  time.dateTime = line.time;
  time.textContent = line.clock;
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
  if (text.childElementCount || found >= 0) {
    text.textContent = plain;
    if (found >= 0) {
      const mark = document.createElement("mark");
      mark.textContent = plain.slice(found, found + wanted.length);
      text.replaceChildren(plain.slice(0, found), mark, plain.slice(found + wanted.length));
    }
  }
}

function judgeAll() {
  for (const row of log.children) if (row.dataset.source !== undefined) judge(row);
  log.scrollTop = log.scrollHeight;
}

function tell(tone, text) {
  status.className = `state ${tone}`;
  status.querySelector("span:last-child").textContent = text;
}

function pause() {
  paused = !paused;
  pauseButton.setAttribute("aria-pressed", String(paused));
  pauseButton.textContent = paused ? "Resume" : "Pause";
  if (!paused) held.splice(0).forEach(show);
  tell(paused ? "idle" : "good", paused ? "Paused" : "Live");
}

function follow() {
  const events = new EventSource(log.dataset.stream);
  events.addEventListener("open", () => { if (!paused) tell("good", "Live"); });
  events.addEventListener("message", (event) => {
    const line = JSON.parse(event.data);
    if (!paused) {
      show(line);
      return;
    }
    held.push(line);
    if (held.length > LINES_KEPT) held.shift();
    tell("idle", `Paused, ${held.length} waiting`);
  });
  events.addEventListener("error", () => {
    tell("busy", events.readyState === EventSource.CLOSED ? "Ended; reload to follow again" : "Connecting again");
  });
  addEventListener("pagehide", () => events.close());
}

for (const row of log.children) if (row.dataset.source) offer(row.dataset.source);
filter.addEventListener("input", judgeAll);
source.addEventListener("change", judgeAll);
pauseButton.addEventListener("click", pause);
document.getElementById("log-clear").addEventListener("click", () => log.replaceChildren());
document.getElementById("log-tools").hidden = false;
log.scrollTop = log.scrollHeight;
follow();
