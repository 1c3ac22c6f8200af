/* Small comforts over pages that work without them: live parts, busy buttons, steppers, copying, revealing. */
"use strict";

const LIVE_SECONDS = 2.5;
const LIVE_SECONDS_AFTER_ERROR = 10;
const STEPPER_REST_MS = 700;

/* A part marked data-live is fetched again and again, and replaced when it has changed. */
function keepAlive(part) {
  let seen = part.dataset.version || "";
  async function turn() {
    let rest = LIVE_SECONDS;
    if (document.visibilityState === "visible" && !isInUse(part)) {
      try {
        const answer = await fetch(part.dataset.live, { headers: { "X-Seen": seen }, credentials: "same-origin" });
        if (answer.redirected) {
          location.reload();
          return;
        }
        if (answer.status === 200 && !isInUse(part)) {
          seen = answer.headers.get("X-Version") || "";
          replace(part, await answer.text());
        } else if (answer.status >= 400) {
          rest = LIVE_SECONDS_AFTER_ERROR;
        }
      } catch (error) {
        rest = LIVE_SECONDS_AFTER_ERROR;
      }
    }
    setTimeout(turn, rest * 1000);
  }
  setTimeout(turn, LIVE_SECONDS * 1000);
}

/* Someone is deciding something inside: a question is open, a count is being changed, a field is being typed in. */
function isInUse(part) {
  const active = document.activeElement;
  const typing = part.contains(active) && active.matches("input, textarea, select");
  return typing || part.querySelector("details[open], .changed, .busy-now") !== null;
}

function replace(part, html) {
  const scrolled = placeOf(part.querySelector(".output"));
  if (part.contains(document.activeElement)) part.focused = document.activeElement.id;
  else if (document.activeElement !== document.body) part.focused = "";
  const parsed = new DOMParser().parseFromString(html, "text/html");
  part.replaceChildren(...parsed.body.childNodes);
  wire(part);
  scrollOutput(part.querySelector(".output"), scrolled);
  /* A button that is disabled for now gets the focus back once it works again. */
  if (part.focused) document.getElementById(part.focused)?.focus();
}

/* An output is read from its end, where new lines come, until its reader scrolls up. */
function placeOf(output) {
  if (!output) return Infinity;
  return output.scrollHeight - output.scrollTop - output.clientHeight < 40 ? Infinity : output.scrollTop;
}

function scrollOutput(output, place) {
  if (output) output.scrollTop = Math.min(place, output.scrollHeight);
}

/* The button that was pressed turns until the next page is there; a second press does nothing. */
function markBusy(form, submitter) {
  const button = submitter || form.querySelector("button");
  button?.classList.add("busy-now");
  button?.setAttribute("aria-busy", "true");
  setTimeout(() => form.querySelectorAll("button").forEach((one) => { one.disabled = true; }), 0);
}

/* + and - gather presses for a moment, then ask for the final count once. */
function wireStepper(form) {
  const shown = form.querySelector("output");
  const start = Number(shown.value);
  let wanted = start;
  let timer = 0;
  form.addEventListener("submit", (event) => {
    if (form.dataset.sending) return;
    event.preventDefault();
    const step = Number(event.submitter?.dataset.step || 0);
    wanted = Math.max(0, wanted + step);
    shown.value = String(wanted);
    shown.classList.toggle("changed", wanted !== start);
    clearTimeout(timer);
    if (wanted === start) return;
    timer = setTimeout(() => {
      const field = document.createElement("input");
      field.type = "hidden";
      field.name = "count";
      field.value = String(wanted);
      form.append(field);
      form.dataset.sending = "1";
      form.requestSubmit();
    }, STEPPER_REST_MS);
  });
}

async function reveal(link) {
  const cell = document.getElementById(link.getAttribute("aria-controls"));
  const shown = link.getAttribute("aria-expanded") === "true";
  if (shown) {
    cell.textContent = "••••••••";
    cell.classList.add("masked");
  } else {
    const answer = await fetch(link.dataset.reveal, { credentials: "same-origin" });
    if (!answer.ok) {
      location.href = link.href;
      return;
    }
    cell.textContent = (await answer.json()).value;
    cell.classList.remove("masked");
  }
  link.setAttribute("aria-expanded", String(!shown));
  link.textContent = shown ? "Reveal" : "Hide";
}

async function copy(button) {
  const label = button.innerHTML;
  const text = document.getElementById(button.dataset.copy).dataset.text;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch (error) {
    button.textContent = "Press Ctrl-C";
    getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
  }
  setTimeout(() => { button.innerHTML = label; }, 2000);
}

function edit(button) {
  const form = document.getElementById("set-config");
  form.elements.key.value = button.dataset.edit;
  form.elements.value.focus();
  form.scrollIntoView({ block: "nearest" });
}

/* Of a form marked data-shows, the fields that the named choice has no use for are put away. */
function wireChoice(form) {
  const choice = form.elements[form.dataset.shows];
  const show = () => {
    for (const part of form.querySelectorAll("[data-of]")) part.hidden = !part.dataset.of.split(" ").includes(choice.value);
  };
  choice.addEventListener("change", show);
  show();
}

function tellTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    if (!Number.isNaN(moment.valueOf())) time.title = moment.toLocaleString();
  }
}

function wire(root) {
  root.querySelectorAll("form.stepper").forEach(wireStepper);
  root.querySelectorAll("form[data-shows]").forEach(wireChoice);
  root.querySelectorAll("[data-copy], [data-edit]").forEach((one) => { one.hidden = false; });
  tellTimes(root);
}

document.addEventListener("submit", (event) => {
  if (!event.defaultPrevented) markBusy(event.target, event.submitter);
});
document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-reveal], [data-copy], [data-edit], [data-close]");
  if (!target) return;
  if (target.dataset.reveal) {
    event.preventDefault();
    reveal(target);
  } else if (target.dataset.copy) {
    copy(target);
  } else if (target.dataset.edit) {
    edit(target);
  } else {
    target.closest("details").open = false;
  }
});
/* A question takes the place of what opened it, and gives the focus back when it is closed. */
document.addEventListener("toggle", (event) => {
  const asking = event.target;
  if (!asking.matches("details.ask-first")) return;
  if (asking.open) asking.querySelector(".asked select, .asked button")?.focus();
  else if (document.activeElement === document.body || asking.contains(document.activeElement)) asking.querySelector("summary").focus();
}, true);
document.addEventListener("keydown", (event) => {
  const asking = event.key === "Escape" && document.activeElement.closest("details.ask-first[open]");
  if (asking) asking.open = false;
});
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
wire(document);
for (const row of document.querySelectorAll(".tabs, .sections, .bar nav")) {
  row.querySelector("[aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });
}
document.querySelector("[aria-invalid]")?.focus();
scrollOutput(document.querySelector(".output"), Infinity);
document.querySelectorAll("[data-live]").forEach(keepAlive);
