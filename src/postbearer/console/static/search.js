// Words that may be meant, below the search, while somebody types one: a combobox (WAI-ARIA 1.2) whose list stands in the page.
"use strict";
(() => {
  const MOST = 8;
  const field = document.getElementById("search");
  const list = document.getElementById("suggestions");
  if (!field || !list) return;
  const options = [...list.children];
  options.forEach((option, place) => { option.id = `suggestion-${place}`; });
  field.setAttribute("role", "combobox");
  field.setAttribute("aria-controls", "suggestions");
  field.setAttribute("aria-autocomplete", "list");
  field.setAttribute("aria-expanded", "false");
  let shown = [];
  let at = -1;

  // The word that ends where the caret is: what is in quotes is one word.
  function word() {
    const before = field.value.slice(0, field.selectionStart);
    let start = 0;
    let inside = false;
    for (let place = 0; place < before.length; place += 1) {
      if (before[place] === '"') inside = !inside;
      else if (before[place] === " " && !inside) start = place + 1;
    }
    return [start, before.slice(start)];
  }

  function choose(place) {
    at = place;
    options.forEach((option) => option.setAttribute("aria-selected", String(option === shown[at])));
    if (shown[at]) { field.setAttribute("aria-activedescendant", shown[at].id); shown[at].scrollIntoView({ block: "nearest" }); }
    else field.removeAttribute("aria-activedescendant");
  }

  function show() {
    const typed = word()[1].toLowerCase();
    const fits = (option) => option.dataset.word.toLowerCase().startsWith(typed) && option.dataset.word.toLowerCase() !== typed;
    shown = document.activeElement === field && typed ? options.filter(fits).slice(0, MOST) : [];
    options.forEach((option) => { option.hidden = !shown.includes(option); });
    list.hidden = !shown.length;
    field.setAttribute("aria-expanded", String(shown.length > 0));
    choose(-1);
  }

  function take(option) {
    const [start, typed] = word();
    const after = field.value.slice(start + typed.length);
    const taken = option.dataset.word + (option.dataset.word.endsWith(":") || after.startsWith(" ") ? "" : " ");
    field.value = field.value.slice(0, start) + taken + after;
    field.focus();
    field.setSelectionRange(start + taken.length, start + taken.length);
    show();
  }

  field.addEventListener("input", show);
  field.addEventListener("focus", show);
  field.addEventListener("blur", () => { list.hidden = true; field.setAttribute("aria-expanded", "false"); });
  field.addEventListener("keydown", (event) => {
    if (list.hidden) return;
    if (event.key === "ArrowDown") choose(Math.min(at + 1, shown.length - 1));
    else if (event.key === "ArrowUp") choose(Math.max(at - 1, -1));
    else if ((event.key === "Enter" || event.key === "Tab") && shown[at]) take(shown[at]);
    else if (event.key === "Escape") { list.hidden = true; field.setAttribute("aria-expanded", "false"); }
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  list.addEventListener("mousedown", (event) => event.preventDefault());
  list.addEventListener("click", (event) => { const option = event.target.closest("li"); if (option) take(option); });
})();
