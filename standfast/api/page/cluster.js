// Verdict, queue managers, members with their leases, the store: renewed in place with every look.

import { byId, coded, dress, duration, keyed, make, plain, say } from "/page/build.js";

const MANY = 12;
// Intervals of silence from which figures are shown: while all is well they would only flicker.
const LATE = 3;
const MOST_AHEAD_MS = 400;
const tenths = (ms) => (ms < 60000 ? `${(ms / 1000).toFixed(1)} s` : duration(ms));
let look = null;
let lookedAt = 0;

export function show(newest, acts) {
  look = newest;
  lookedAt = performance.now();
  const report = look.report;
  byId("top").dataset.level = look.verdict.level;
  say(byId("level"), look.verdict.level);
  say(byId("sentence"), look.verdict.sentence);
  say(byId("cluster"), report.cluster);
  document.title = `${look.verdict.level === "OK" ? "" : `${look.verdict.level}: `}${report.cluster}`;
  say(byId("seen"), `as ${report.answered_by} sees it`);
  keyed(byId("remarks"), look.remarks, (one) => `${one.subject} ${one.meaning}`, remark, () => {});
  queueManagers(report, acts);
  keyed(byId("member-rows"), report.members, (one) => one.name, (one) => memberRow(one, acts), (row, one) => member(row, one, report));
  facts(report);
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

function remark(one) {
  const action = one.action ? make("span", { class: "dim" }, ...coded(`${capital(one.action)}.`)) : null;
  return {
    node: make("li", {}, make("b", { class: one.level }, one.level),
      make("span", {}, make("span", { class: "what" }, make("strong", {}, one.subject), ...coded(`: ${one.meaning}.`)), action)),
  };
}

// ---------------------------------------------------------------- queue managers

const rankOf = { PROBLEM: 0, WARNING: 1, NOTE: 2, OK: 3 };

function queueManagers(report, acts) {
  const all = report.queue_managers;
  byId("sieve").hidden = all.length <= MANY;
  const wanted = byId("sieve").value.trim().toLowerCase();
  const words = (qm) => look.queue_managers[qm.name];
  const found = all
    .filter((qm) => !wanted || `${qm.name} ${qm.owner} ${words(qm).name} ${qm.kind}`.toLowerCase().includes(wanted))
    .sort((a, b) => rankOf[words(a).level] - rankOf[words(b).level] || (a.name < b.name ? -1 : 1));
  keyed(byId("qms"), found, (qm) => qm.name, (qm) => qmRow(qm, acts), (row, qm) => queueManager(row, qm, report));
}

function qmRow(qm, acts) {
  const cell = (name) => make("div", { class: name });
  const row = { name: cell("name"), where: make("b"), sub: cell("sub"), state: make("span"), ready: cell("ready") };
  row.synced = make("i");
  row.sync = make("div", { class: "sync", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100, "aria-label": `Resynchronisation of ${qm.name}`, hidden: true }, row.synced);
  row.copies = cell("copies");
  const move = make("button", { type: "button", class: "operator", onclick: () => acts.move(qm.name) }, "Move …");
  row.node = make("div", { class: "row qm" }, row.name, make("div", { class: "where" }, row.where, row.state),
    make("div", { class: "acts" }, move), row.sub, row.ready, row.copies, row.sync);
  say(row.name, qm.name);
  return row;
}

function queueManager(row, qm, report) {
  const words = look.queue_managers[qm.name];
  say(row.where, qm.target ? `${qm.owner ?? "–"} → ${qm.target}` : (qm.owner ?? "nowhere"));
  say(row.state, words.name);
  dress(row.state, `state ${words.level}`);
  const place = qm.address ? `${qm.address.includes(":") ? `[${qm.address}]` : qm.address}:${qm.port}` : "no address";
  say(row.sub, `${qm.kind} · ${place} · epoch ${qm.epoch}`);
  const others = report.members.filter((one) => one.role === "data" && one.name !== qm.owner);
  const parts = others.map((one) => `${one.name} ${readiness(one, qm, report)}`);
  const safe = qm.durability && qm.durability !== "synced" ? ` · acknowledged is not safe: ${qm.durability}` : "";
  say(row.ready, (parts.length ? `standby: ${parts.join(", ")}` : "no other data member") + safe);
  copies(row, qm, report);
}

// The other half of replicated data: in detail where this member has one, else what the store knows.
function copies(row, qm, report) {
  const { copy } = qm;
  const outdated = qm.outdated.length ? `outdated on ${qm.outdated.join(", ")}` : "";
  const percent = copy?.percent ?? null;
  const here = copy && `${plain(copy.situation)}${percent === null ? "" : ` ${Math.round(percent)} %`}, as ${report.answered_by} sees it`
    + (copy.disk ? ` (here ${copy.disk}, there ${copy.peer_disk})` : "");
  row.copies.hidden = !qm.replicated;
  say(row.copies, `copies: ${[here ?? (outdated ? "" : "none is outdated"), outdated].filter(Boolean).join("; ")}`);
  dress(row.copies, outdated || (copy && copy.situation !== "in_sync") ? "copies WARNING" : "copies");
  row.sync.hidden = percent === null;
  row.sync.setAttribute("aria-valuenow", Math.round(percent ?? 0));
  row.synced.style.transform = `scaleX(${((percent ?? 0) / 100).toFixed(3)})`;
}

// Whether a member could take it over now, in a word or two.
export function readiness(member, qm, report) {
  if (member.state !== "online" || look.members[member.name].level !== "OK") return look.members[member.name].name;
  if (report.orders.drained.includes(member.name)) return "drained";
  if (member.quarantined) return "in quarantine";
  if (qm.failed_on.includes(member.name)) return "could not start it";
  if (member.unfit.includes("*") || member.unfit.includes(qm.name)) return "not fit";
  if ((qm.outdated ?? []).includes(member.name)) return "outdated";
  return member.leased ? "ready" : "without a lease";
}

// ---------------------------------------------------------------- members

function memberRow(one, acts) {
  const cell = (name) => make("div", { class: name });
  const row = { name: cell("name"), state: cell("state"), sub: cell("sub"), notes: cell("sub") };
  row.fill = make("i");
  row.mark = make("u", { title: "Here it begins to stop what it runs" });
  row.lease = make("div", { class: "lease", role: "meter", "aria-label": `Lease of ${one.name}`, "aria-valuemin": 0 }, row.fill, row.mark);
  row.act = make("button", { type: "button", class: "operator", onclick: () => acts.drain(one.name, row.drained) }, "");
  row.clear = make("button", { type: "button", class: "operator", hidden: true, onclick: () => acts.clear(one.name) }, "Clear …");
  row.node = make("div", { class: "row member" },
    make("div", {}, row.name), make("div", {}, row.lease), make("div", { class: "acts" }, row.clear, row.act),
    make("div", {}, row.state), make("div", {}, row.sub), make("div", {}));
  row.node.append(row.notes);
  row.notes.classList.add("notes");
  say(row.name, one.name);
  return row;
}

function member(row, one, report) {
  const words = look.members[one.name];
  row.drained = report.orders.drained.includes(one.name);
  say(row.state, words.name);
  dress(row.state, `state ${words.level}`);
  say(row.act, row.drained ? "Undrain …" : "Drain …");
  row.clear.hidden = !one.quarantined;
  row.one = one;
  const notes = [one.role, one.address];
  if (one.coordinator) notes.push("coordinator");
  if (one.store_leader) notes.push("store leader");
  if (row.drained) notes.push("drained");
  if (one.quarantined) notes.push("in quarantine");
  if (one.isolated_by.length) notes.push("alive on the shared disk");
  if (one.disk_ms !== null) notes.push(`on the disk ${duration(one.disk_ms)} ago`);
  if (one.watchdog && one.watchdog !== "off") notes.push(`watchdog ${plain(one.watchdog)}`);
  say(row.notes, notes.join(" · "));
  row.notes.style.gridColumn = "1 / -1";
}

// What is left of a lease. Of another member's it is known when it spoke last and that it held one: the most that can
// be left is a whole term after that. So a bar drains from the moment at which its member falls silent.
function leaseLeft(one, term, since) {
  if (one.lease_left_ms !== null) return one.lease_left_ms - since;
  if (one.heard_ms === null) return 0;
  return one.leased || one.heard_ms > 0 ? term - one.heard_ms - since : 0;
}

export function drain() {
  if (!look) return;
  const { timing, answered_by: here } = look.report;
  const term = timing.interval_ms * timing.evict_after;
  const since = Math.min(performance.now() - lookedAt, MOST_AHEAD_MS); // a late look is no silence of a member
  for (const row of byId("member-rows").kept?.values() ?? []) {
    const one = row.one;
    const silent = one.heard_ms === null ? Infinity : one.heard_ms + since;
    const late = one.name !== here && silent > timing.interval_ms * LATE;
    const heard = one.name === here ? "this one" : late ? (silent === Infinity ? "never heard" : `silent ${tenths(silent)}`) : "heard";
    if (one.role === "witness") {
      dress(row.lease, "lease none");
      say(row.sub, `${heard} · votes only`);
      continue;
    }
    const left = Math.max(0, Math.min(term, leaseLeft(one, term, since)));
    const stop = timing.graceful_ms + timing.kill_ms;
    dress(row.lease, left <= 0 ? "lease out" : left < stop ? "lease short" : "lease");
    row.fill.style.transform = `scaleX(${(left / term).toFixed(3)})`;
    row.mark.style.left = `${((100 * stop) / term).toFixed(1)}%`;
    row.lease.setAttribute("aria-valuemax", term);
    row.lease.setAttribute("aria-valuenow", Math.round(left));
    const lease = left <= 0 ? "no lease" : late || left < stop ? `lease ${one.name === here ? "" : "at most "}${tenths(left)}` : "lease held";
    say(row.sub, `${heard} · ${lease}`);
  }
}

// ---------------------------------------------------------------- store and timing

function facts(report) {
  const { store, disk, timing, sinks } = report;
  const serving = store.serving ? `${store.serving.length} of ${store.listed || report.members.length} serve` : "";
  const rows = [
    ["Store", [store.reachable ? "answers" : "does not answer", serving, store.leader && `leader ${store.leader}`,
      store.latency_ms !== null && `${store.latency_ms.toFixed(1)} ms`, `revision ${store.revision}`, store.version && `etcd ${store.version}`]],
    ["Timing", [`heartbeat ${timing.interval_ms} ms`, `lease ${timing.interval_ms * timing.evict_after} ms`,
      `in doubt after ${timing.interval_ms * timing.in_doubt_after} ms`]],
  ];
  if (sinks.length) {
    rows.push(["Alerts", sinks.map((one) => `${one.name} ${one.state === "new" ? "had nothing yet" : one.state}${one.waiting ? `, ${one.waiting} wait` : ""}`)]);
  }
  if (disk) rows.push(["Disk", [`reading ${plain(disk.reading)}`, `writing ${plain(disk.writing)}`, disk.path]]);
  const cells = rows.flatMap(([name, values]) => [["dt", name], ["dd", values.filter(Boolean).join(" · ")]]);
  keyed(byId("facts"), cells.map((cell, place) => [...cell, place]), (cell) => cell[2],
    ([tag]) => ({ node: make(tag) }), (row, [, text]) => say(row.node, text));
}
