// Elements from values, kept in place: what has the focus is not torn out from under it by the next look.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export const make = (tag, attributes = {}, ...children) => filled(document.createElement(tag), attributes, children);
export const draw = (tag, attributes = {}, ...children) => filled(document.createElementNS(SVG, tag), attributes, children);

// The text of a node, touched only when it is another one: screen readers and selections live on.
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function dress(node, name) {
  if (node.getAttribute("class") !== name) node.setAttribute("class", name);
}

// One child of `parent` for each item, in order. `create(item)` gives an object with a `node`; `update` renews it.
export function keyed(parent, items, key, create, update) {
  const kept = (parent.kept ??= new Map());
  const wanted = new Set(items.map(key));
  for (const [name, row] of kept) {
    if (!wanted.has(name)) {
      row.node.remove();
      kept.delete(name);
    }
  }
  items.forEach((item, place) => {
    const name = key(item);
    if (!kept.has(name)) kept.set(name, create(item));
    const row = kept.get(name);
    if (parent.children[place] !== row.node) parent.insertBefore(row.node, parent.children[place] ?? null);
    update(row, item);
  });
}

// Rebuild only when what it is made of is another thing.
export function whenOther(node, value, build) {
  const text = JSON.stringify(value);
  if (node.madeOf === text) return;
  node.madeOf = text;
  node.replaceChildren(...[build()].flat().filter(Boolean));
}

// A sentence in which `...` is what one types.
export const coded = (sentence) => sentence.split("`").map((part, place) => (place % 2 ? make("code", {}, part) : part));

export const plain = (word) => word.replaceAll("_", " ");

export function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10000) return `${(ms / 1000).toFixed(1)} s`;
  const s = Math.floor(ms / 1000);
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  let rest = s;
  const found = [];
  for (const [size, unit] of parts) {
    const count = Math.floor(rest / size);
    rest %= size;
    if (count || found.length) found.push(count ? `${count} ${unit}` : "");
    if (found.length === 2) break;
  }
  return found.filter(Boolean).join(" ");
}

const two = (number) => String(number).padStart(2, "0");
export const clock = (unixMs) => {
  const at = new Date(unixMs);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
};
export const day = (unixMs) =>
  new Date(unixMs).toLocaleDateString(undefined, { weekday: "long", day: "numeric", month: "long" });
