// What happened: events as they came, newest first, and how long each takeover took.

import { byId, clock, day, duration, make, plain, whenOther } from "/page/build.js";

const MOST = 300;
const SHOWN_TURNS = 9;
const GLYPHS = { info: "●", warning: "▲", critical: "■" };
const LEVELS = { info: "OK", warning: "WARNING", critical: "PROBLEM" };
const SAID = ["reason", "why", "owner", "to", "was", "by", "detail", "verdict"];

export function forget() {
  byId("events").replaceChildren();
}

export function happened(event, fresh) {
  const list = byId("events");
  const head = list.querySelector("li[data-day]");
  const today = day(event.at_unix_ms);
  if (head?.dataset.day !== today) list.prepend(make("li", { class: "day", "data-day": today }, today));
  list.children[0].after(row(event, fresh));
  while (list.children.length > MOST) list.lastElementChild.remove();
}

function row(event, fresh) {
  const level = LEVELS[event.severity];
  const details = SAID.filter((name) => event.fields[name]).map((name) => `${plain(name)} ${plain(String(event.fields[name]))}`);
  const summary = make("summary", {},
    make("time", { datetime: new Date(event.at_unix_ms).toISOString() }, clock(event.at_unix_ms)),
    make("span", { class: level === "OK" ? "info" : level, title: event.severity, "aria-label": event.severity }, GLYPHS[event.severity]),
    make("span", {}, make("b", {}, event.subject), ` ${plain(event.kind.replace(/^(qm|member|cluster)_/, ""))}`,
      make("span", { class: "dim" }, details.length ? `  ${details.join(", ")}` : "")));
  const fields = Object.entries(event.fields).map(([name, value]) => `${name}=${value}`).join("  ");
  const more = make("div", { class: "more" }, make("span", {}, event.meaning), event.action && make("strong", {}, event.action),
    make("code", { class: "dim" }, `${event.kind}  told by ${event.teller}${event.revision ? `  revision ${event.revision}` : ""}  ${fields}`));
  return make("li", { class: fresh ? "new" : "", "data-level": level, hidden: byId("grave").checked && level === "OK" },
    make("details", {}, summary, more));
}

export function sift() {
  for (const one of byId("events").querySelectorAll("li[data-level]")) one.hidden = byId("grave").checked && one.dataset.level === "OK";
}

export function turns(all) {
  const newest = all.slice(-SHOWN_TURNS).reverse();
  whenOther(byId("plot"), newest, () => {
    if (!newest.length) return make("p", { class: "dim" }, "Nothing has been taken over yet.");
    const longest = Math.max(...newest.map((one) => (one.noticed_ms ?? 0) + (one.took_ms ?? 0)), 1);
    const key = make("div", { class: "key" }, make("span", {}, make("i", { class: "noticed" }), "doubt until decision"),
      make("span", {}, make("i", { class: "took" }), "decision until it answers"));
    return [key, ...newest.map((one) => turn(one, longest))];
  });
}

function turn(one, longest) {
  const total = (one.noticed_ms ?? 0) + (one.took_ms ?? 0);
  const width = (ms) => `${((62 * ms) / longest).toFixed(1)}%`;
  const span = (name, ms) => {
    if (!ms) return null;
    const bar = make("i", { class: name, title: duration(ms) });
    bar.style.width = width(ms);
    return bar;
  };
  const way = one.was && one.was !== one.owner ? `${one.was} → ${one.owner}` : one.was ? `again on ${one.owner}` : `on ${one.owner}`;
  return make("div", { class: "turn" },
    make("time", { class: "dim", title: day(one.at_unix_ms) }, clock(one.at_unix_ms)),
    make("div", {}, make("b", {}, one.qm), ` ${way} `, make("span", { class: "dim" }, plain(one.why))),
    make("div", { class: "spans" }, span("noticed", one.noticed_ms), span("took", one.took_ms),
      make("b", {}, one.took_ms === null ? "does not answer yet" : duration(total))));
}
