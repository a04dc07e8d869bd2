// What a browser with scripts adds: the reader's own time zone, pages that stay fresh, the chart, and keys.
"use strict";
(() => {
  const EVERY = 5000; // milliseconds between looks, while the page is seen
  const QUICK = 1000; // of what is under way and over soon
  const CHART_EVERY = 60000;
  const short = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const one = (id) => document.getElementById(id);

  function localize() {
    for (const time of all("time[datetime]")) {
      const when = new Date(time.dateTime);
      if (Number.isNaN(when.getTime())) continue;
      const utc = time.title.endsWith("UTC") ? time.title.split(" · ").pop() : "";
      time.title = `${exact.format(when)} · ${utc}`;
      if (time.dataset.show === "moment") time.textContent = short.format(when);
    }
  }

  // Fresh while it is seen, and never under a choice or a field that is being filled in.
  let paused = false;
  const chosen = () => all("#chosen input[type=checkbox]:checked").length;
  const busy = () => chosen() > 0 || (document.activeElement && document.activeElement.matches("input, select, textarea") && !document.activeElement.matches("[type=checkbox]"));
  function refresh(id, name) {
    const part = one(id);
    if (part && window.htmx && !paused && !document.hidden && !busy()) window.htmx.trigger(part, name);
  }

  function showUpdates() {
    const state = one("updates-state");
    if (!state) return;
    state.textContent = paused ? "Updates are paused." : chosen() ? "Updates wait while messages are chosen." : "Updates by itself.";
    const toggle = one("updates-toggle");
    toggle.textContent = paused ? "Go on" : "Pause";
    toggle.setAttribute("aria-pressed", String(paused));
    const count = one("chosen-count");
    if (count) count.textContent = chosen() ? `${chosen()} chosen:` : "Choose messages, then:";
  }

  let plot = null;
  function draw() {
    const place = one("plot");
    const table = place && one(place.dataset.table);
    if (!table || !window.uPlot) return;
    const rows = all("tbody tr", table).reverse();
    const data = [rows.map((row) => Number(row.dataset.begins))];
    const names = all("thead th", table).slice(1).map((cell) => cell.textContent);
    names.forEach((_, place) => data.push(rows.map((row) => Number(row.cells[place + 1].dataset.count))));
    if (plot && plot.series.length === data.length && plot.width === place.clientWidth) { plot.setData(data); return; }
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const looks = [["--muted", [6, 4]], ["--good", []], ["--wait", [2, 3]], ["--bad", [10, 3, 2, 3]]];
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
    if (plot) plot.destroy();
    plot = new window.uPlot({
      width: place.clientWidth, height: 220, cursor: { drag: { x: false, y: false } },
      scales: { y: { range: (_, least, most) => [0, Math.max(5, most * 1.1)] } },
      series: [{}, ...names.map((label, place) => ({ label, stroke: colour(looks[place][0]), width: 2, dash: looks[place][1], points: { show: false } }))],
      axes: [axis, { ...axis, size: 48 }],
    }, data, place);
  }

  function move(by) {
    const rows = all("tr[data-open]");
    if (!rows.length) return;
    const at = rows.findIndex((row) => row.classList.contains("at"));
    const to = Math.min(rows.length - 1, Math.max(0, at + by));
    rows.forEach((row, place) => row.classList.toggle("at", place === to));
    const link = rows[to].querySelector("a.subject");
    if (link) link.focus();
  }

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.matches("input:not([type=checkbox]), select, textarea");
    if (event.key === "Escape" && typing) { event.target.blur(); return; }
    if (typing || (one("keys") && one("keys").open)) return;
    const row = document.querySelector("tr.at");
    if (event.key === "/" && one("search")) one("search").focus();
    else if (event.key === "/") { const queue = document.querySelector('nav a[href$="/queue"]'); if (queue) location.assign(queue.href); }
    else if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
    else if (event.key === "x" && row && row.querySelector("input")) row.querySelector("input").click();
    else if (event.key === "Enter" && row && event.target === document.body) location.assign(row.dataset.open);
    else if (event.key === "?" && one("keys")) one("keys").showModal();
    else return;
    event.preventDefault();
  }

  function swapped() {
    localize();
    draw();
    showUpdates();
  }

  localize();
  const box = one("numbers-box");
  if (box && window.uPlot) box.open = false;
  draw();
  for (const hidden of all(".js-only")) hidden.hidden = !(hidden.id !== "updates" || one("live"));
  showUpdates();
  document.addEventListener("keydown", onKey);
  document.addEventListener("change", showUpdates);
  document.body.addEventListener("htmx:afterSwap", swapped);
  window.addEventListener("resize", draw);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (plot) plot.destroy(); plot = null; draw(); });
  if (one("updates-toggle")) one("updates-toggle").addEventListener("click", () => { paused = !paused; showUpdates(); });
  if (one("keys-open")) one("keys-open").addEventListener("click", () => one("keys").showModal());
  setInterval(() => refresh("live", "refresh"), EVERY);
  setInterval(() => { if (document.querySelector("#live[data-quick]")) refresh("live", "refresh"); }, QUICK);
  setInterval(() => refresh("numbers", "chart"), CHART_EVERY);
  document.addEventListener("visibilitychange", () => refresh("live", "refresh"));
})();
