// Members and links as a picture: who hears whom, by everybody's own word, and who runs what.

import { byId, draw, whenOther } from "/page/build.js";

const WIDTH = 420, HEIGHT = 260, BOX = 118, TALL = 58;

export function graph(look) {
  const { report } = look;
  const of = {
    here: report.answered_by,
    members: report.members.map((one) => ({
      name: one.name, role: one.role, hears: one.hears ?? null, level: look.members[one.name].level,
      words: look.members[one.name].name,
      runs: report.queue_managers.filter((qm) => qm.owner === one.name).map((qm) => qm.name),
    })),
  };
  whenOther(byId("graph"), of, () => picture(of));
}

function picture({ members, here }) {
  const order = [...members].sort((a, b) => (a.role === b.role ? (a.name < b.name ? -1 : 1) : a.role === "witness" ? -1 : 1));
  const at = new Map(order.map((one, place) => [one.name, position(place, order.length)]));
  const links = [];
  order.forEach((one, place) => order.slice(place + 1).forEach((other) => links.push(link(one, other))));
  const told = links.filter((one) => one.kind !== "edge").map((one) => one.words);
  const label = `${members.length} members. ${told.length ? told.join(". ") : "Everybody hears everybody"}.`;
  return draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label },
    ...links.flatMap((one) => edge(one, at)), ...order.map((one) => node(one, at.get(one.name), one.name === here)));
}

function position(place, count) {
  const angle = -Math.PI / 2 - (2 * Math.PI * place) / count;
  const lift = count === 3 ? 18 : 0;
  return [WIDTH / 2 + Math.cos(angle) * (WIDTH / 2 - BOX / 2 - 6), HEIGHT / 2 + lift + Math.sin(angle) * (HEIGHT / 2 - TALL / 2 - 6) * (count === 3 ? 1.12 : 1)];
}

function link(one, other) {
  const there = one.hears?.includes(other.name) ?? false;
  const back = other.hears?.includes(one.name) ?? false;
  // Of a silent member nobody knows whom it hears: that nobody hears it is what counts.
  if (there && back) return { one, other, kind: "edge", words: `${one.name} and ${other.name} hear each other` };
  if (there || back) {
    const [from, to] = there ? [other, one] : [one, other];
    return { one, other, kind: "edge half", words: `${to.name} hears ${from.name}, but not the other way round` };
  }
  return { one, other, kind: "edge lost", words: `${one.name} and ${other.name} do not hear each other` };
}

function edge({ one, other, kind, words }, at) {
  const [[x1, y1], [x2, y2]] = [at.get(one.name), at.get(other.name)];
  const found = [draw("line", { x1, y1, x2, y2, class: kind }, draw("title", {}, words))];
  if (kind === "edge lost") {
    const [x, y] = [(x1 + x2) / 2, (y1 + y2) / 2];
    found.push(draw("path", { class: "cut", d: `M${x - 6} ${y - 6}l12 12m0-12l-12 12` }));
  }
  return found;
}

const short = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

function node(one, [x, y], here) {
  const chip = one.runs.length === 1 ? `▶ ${short(one.runs[0], 14)}` : one.runs.length ? `▶ ${one.runs.length} queue managers` : "";
  const state = one.level === "OK" ? one.role : one.words;
  return draw("g", { class: `node ${one.level} ${here ? "here" : ""}`, transform: `translate(${x - BOX / 2} ${y - TALL / 2})` },
    draw("rect", { width: BOX, height: TALL, rx: 9 }),
    draw("text", { x: 11, y: 22, class: "name" }, short(one.name, 12)),
    draw("text", { x: BOX - 10, y: 21, "text-anchor": "end", class: "dim" }, state),
    draw("text", { x: 11, y: 44, class: chip ? "chip" : "dim" }, chip || (one.role === "witness" ? "votes only" : "runs nothing")));
}
