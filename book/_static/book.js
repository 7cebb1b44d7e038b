// A box that scrolls sideways can be reached, and then scrolled, with the keyboard.
(() => {
  const boxes = document.querySelectorAll(".pst-scrollable-table-container, .text_html, .katex-display");
  const names = { "katex-display": "formula" };
  const reach = () => {
    const wide = [...boxes].map((box) => box.scrollWidth > box.clientWidth); // measured before anything changes
    boxes.forEach((box, i) => {
      if (!wide[i]) return box.removeAttribute("tabindex");
      box.tabIndex = 0;
      box.setAttribute("role", "group");
      box.setAttribute("aria-label", names[box.className] ?? "table");
    });
  };
  let waiting;
  window.addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(reach, 200); });
  reach();
})();
