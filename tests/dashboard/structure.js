/* What a screen reader or a keyboard would stumble over in how the page is built. */
(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const told = [];
  const tell = (what, elements) => elements.forEach((one) => told.push(`${what}: ${one.outerHTML.slice(0, 120)}`));
  if (!document.documentElement.lang || !document.title.trim()) told.push("no language or title");
  for (const one of ["main", "h1"]) if (all(one).length !== 1) told.push(`${all(one).length} of ${one}`);
  let level = 0;
  for (const heading of all("h1, h2, h3, h4, h5, h6")) {
    const next = Number(heading.tagName[1]);
    if (next > level + 1) tell(`heading leaves out a level after h${level}`, [heading]);
    level = next;
  }
  tell("landmark without a name", all("nav, form[role=search]").filter((one) => !one.getAttribute("aria-label")));
  tell("field without a label", all("input:not([type=hidden]):not([hidden]), select, textarea")
    .filter((one) => !one.labels?.length && !one.getAttribute("aria-label")));
  const ids = all("[id]").map((one) => one.id);
  tell("id twice", all("[id]").filter((one) => ids.indexOf(one.id) !== ids.lastIndexOf(one.id)));
  for (const name of ["aria-describedby", "aria-controls", "aria-labelledby", "list"]) {
    tell(`${name} of nothing`, all(`[${name}]`).filter((one) => !document.getElementById(one.getAttribute(name))));
  }
  tell("not an item", all("ul > :not(li), ol > :not(li)"));
  tell("item of no list", all("li").filter((one) => !one.parentElement.matches("ul, ol")));
  tell("picture without words", all("img:not([alt])"));
  tell("out of the order of the page", all("[tabindex]").filter((one) => one.tabIndex > 0));
  tell("control in a control", all("a a, a button, button a, button button, label button, summary a, summary button"));
  tell("time without a date", all("time:not([datetime])"));
  return told;
})()
