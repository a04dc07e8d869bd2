// Commands that an administrator types are filled in while the ids are typed.
"use strict";
(() => {
  const form = document.getElementById("connect");
  if (!form) return;
  const words = [...document.querySelectorAll("[data-of]")];
  function fill(event) {
    for (const word of words) {
      if (word.dataset.of !== event.target.name) continue;
      word.dataset.empty = word.dataset.empty || word.textContent;
      word.textContent = event.target.value.trim() || word.dataset.empty;
    }
  }
  form.addEventListener("input", fill);
  const button = form.querySelector("button[name=fill]");
  if (button) button.hidden = true;
})();
