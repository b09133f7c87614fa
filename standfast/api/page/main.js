// Login, the stream, and what is shown when it falls silent.

import { acts, ask, seen, toast } from "/page/actions.js";
import { byId, duration, make, say } from "/page/build.js";
import { drain, show } from "/page/cluster.js";
import { graph } from "/page/graph.js";
import { forget, happened, sift, turns } from "/page/history.js";

const SILENT_MS = 3000;
const FRAME_MS = 100;
let source = null;
let heardAt = performance.now();
let trouble = "";
let look = null;

async function begin() {
  let session;
  try {
    session = await ask("GET", "/session");
  } catch {
    setTimeout(begin, 1000);
    return;
  }
  say(byId("login-cluster"), session.cluster);
  byId("login").hidden = Boolean(session.right);
  byId("board").hidden = !session.right;
  document.body.dataset.right = session.right;
  if (!session.right) {
    document.title = session.cluster;
    byId("token").focus();
    return;
  }
  say(byId("who"), `${session.name}, ${session.right}`);
  follow();
}

function follow() {
  source?.close();
  source = new EventSource("/api/v1/stream");
  source.addEventListener("look", (message) => {
    look = JSON.parse(message.data);
    heardAt = performance.now();
    trouble = "";
    seen(look);
    show(look, acts);
    graph(look);
    drain();
    say(byId("freeze"), look.report.orders.frozen ? "Thaw …" : "Freeze …");
  });
  source.addEventListener("happened", (message) => {
    const event = JSON.parse(message.data);
    happened(event, event.at_unix_ms > Date.now() - 5000);
  });
  source.addEventListener("turns", (message) => turns(JSON.parse(message.data)));
  source.addEventListener("trouble", (message) => {
    trouble = JSON.parse(message.data).message;
  });
  // Each connection begins with all events that are shown.
  source.addEventListener("open", forget);
  source.addEventListener("error", () => {
    if (source.readyState !== EventSource.CLOSED) return;
    setTimeout(begin, 2000); // not let in any more, or too many: ask who we are
  });
}

function pulse() {
  drain();
  const silent = performance.now() - heardAt;
  const stale = look !== null && silent > SILENT_MS;
  byId("board").classList.toggle("stale", stale);
  const node = byId("stale");
  if (node.hidden === stale) {
    node.hidden = !stale;
    const others = look ? look.report.members.filter((one) => one.name !== look.report.answered_by) : [];
    const links = others.map((one) => {
      const host = one.address.includes(":") ? `[${one.address}]` : one.address;
      return make("a", { href: `https://${host}:${location.port || 443}/` }, `ask ${one.name}`);
    });
    node.replaceChildren(make("span"), ...links);
  }
  if (stale) say(node.firstChild, `No news for ${duration(Math.floor(silent / 1000) * 1000)}: what is shown is old. ${trouble}`);
}

byId("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  say(byId("login-said"), "");
  try {
    await ask("POST", "/session", { token: byId("token").value.trim() });
    byId("token").value = "";
    begin();
  } catch (error) {
    say(byId("login-said"), error.message);
  }
});
byId("logout").addEventListener("click", async () => {
  try {
    await ask("DELETE", "/session");
  } catch (error) {
    toast(error.message);
  }
  location.reload();
});
byId("ask").addEventListener("click", () => look && acts.whatIf());
byId("freeze").addEventListener("click", () => look && acts.freeze());
byId("grave").addEventListener("change", sift);
byId("sieve").addEventListener("input", () => look && show(look, acts));
// A page that the browser keeps to come back to must not keep its stream: a browser opens six connections at most.
addEventListener("pagehide", () => source?.close());
addEventListener("pageshow", (event) => event.persisted && begin());
setInterval(pulse, FRAME_MS);
begin();
