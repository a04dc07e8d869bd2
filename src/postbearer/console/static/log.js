// Lines of the log as they come, on top of those that are there; a hidden tab asks for none.
"use strict";
(() => {
  const MOST = 500;
  const list = document.getElementById("lines");
  const button = document.getElementById("follow");
  const state = document.getElementById("follow-state");
  if (!list || !window.EventSource) return;
  const short = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
  let source = null;
  let paused = false;
  let last = list.dataset.last;

  function part(name, kind, text) {
    const made = document.createElement(name);
    if (kind) made.className = kind;
    made.textContent = text;
    return made;
  }

  function add(event) {
    const line = JSON.parse(event.data);
    last = event.lastEventId;
    const item = part("li", line.level, "");
    const time = part("time", "", short.format(new Date(line.at * 1000)));
    time.dateTime = new Date(line.at * 1000).toISOString();
    time.title = time.dateTime;
    item.append(time, " ", part("span", "level", list.getAttribute("data-word-" + line.level)), " ");
    if (line.account) item.append(part("strong", "", line.account), " ");
    item.append(part("span", "text", line.text));
    for (const none of list.querySelectorAll(".none")) none.remove();
    list.prepend(item);
    while (list.children.length > MOST) list.lastElementChild.remove();
  }

  function follow() {
    if (source) source.close();
    source = null;
    if (!paused && !document.hidden) {
      const address = new URL(list.dataset.stream, location.href);
      address.searchParams.set("after", last);
      source = new EventSource(address);
      source.onmessage = add;
      source.onerror = () => { if (source && source.readyState === EventSource.CLOSED) { paused = true; show("The relay does not answer, or you were logged out. Load the page anew."); } };
    }
    show(paused ? "Paused." : "Lines come as they are said.");
  }

  function show(text) {
    state.textContent = text;
    button.textContent = paused ? "Go on" : "Pause";
    button.setAttribute("aria-pressed", String(!paused));
  }

  button.addEventListener("click", () => { paused = !paused; follow(); });
  document.addEventListener("visibilitychange", follow);
  window.addEventListener("pagehide", () => { if (source) source.close(); });
  follow();
})();
