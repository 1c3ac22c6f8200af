/* The controls that a screen reader has no name for. */
[...document.querySelectorAll("input:not([type=hidden]):not([hidden]), select, textarea, button, a, summary")]
  .filter((element) => !element.labels?.length && !element.getAttribute("aria-label") && !element.textContent.trim())
  .map((element) => element.outerHTML)
