/* The texts whose contrast with what is behind them is under 4.5 to 1 (WCAG 2.1, 1.4.3). */
(() => {
  function parts(colour) {
    const numbers = colour.match(/[\d.]+/g).map(Number);
    return colour.startsWith("color(") ? numbers.map((value, at) => (at < 3 ? value * 255 : value)) : numbers;
  }
  function luminance(colour) {
    const [red, green, blue] = parts(colour).slice(0, 3).map((value) => value / 255)
      .map((value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  }
  function behind(element) {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if ((parts(colour)[3] ?? 1) > 0.99) return colour;
    }
    return "rgb(255, 255, 255)";
  }
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode.textContent.trim();
    const element = texts.currentNode.parentElement;
    if (!text || !element.checkVisibility() || element.closest(".visually-hidden, .skip, :disabled, option")) continue;
    const [one, other] = [luminance(getComputedStyle(element).color), luminance(behind(element))];
    if ((Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05) < 4.5) found.push(text.slice(0, 30));
  }
  return found;
})()
