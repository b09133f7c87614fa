// Orders, each after a look at what it would bring; what-if; and what the server answers.

import { byId, duration, make, say } from "/page/build.js";
import { readiness } from "/page/cluster.js";

const BASE = "/api/v1";
let look = null;

export const seen = (newest) => { look = newest; };

export async function ask(method, path, body) {
  const options = { method, credentials: "same-origin", headers: {} };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const answer = await fetch(BASE + path, options);
  const said = answer.status === 204 ? null : await answer.json();
  if (!answer.ok) throw Object.assign(new Error(said.message), { status: answer.status, error: said.error });
  return said;
}

let hiding = 0;
export function toast(text) {
  const node = byId("toast");
  node.textContent = text;
  node.hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => { node.hidden = true; }, 9000);
}

// ---------------------------------------------------------------- the dialog

function open(title, yes, ...body) {
  const dialog = byId("dialog");
  say(byId("dialog-title"), title);
  byId("dialog-body").replaceChildren(...body);
  const button = byId("dialog-yes");
  say(button, yes);
  button.disabled = true;
  button.onclick = null;
  byId("dialog-no").onclick = () => dialog.close();
  if (!dialog.open) dialog.showModal();
  return button;
}

// Ask what would happen, show it, and give the order only on the button that says so.
async function confirmed(path, body, box, button, alive = () => true) {
  button.disabled = true;
  box.replaceChildren(make("p", { class: "dim" }, "Looking at what would happen …"));
  try {
    const foreseen = await ask("POST", path, { ...body, dry: true });
    if (!alive()) return;
    const list = make("ul", {}, ...foreseen.consequences.map((sentence) => make("li", {}, sentence)));
    const against = foreseen.advised ? null : make("p", { class: "against" }, "Something speaks against it:");
    box.replaceChildren(...[against, list].filter(Boolean));
    button.className = foreseen.advised ? "main" : "main grave";
    button.disabled = false;
    button.onclick = async () => {
      button.disabled = true;
      try {
        const done = await ask("POST", path, body);
        toast(done.sentence);
      } catch (error) {
        toast(error.message);
      }
      byId("dialog").close();
    };
  } catch (error) {
    if (alive()) box.replaceChildren(make("p", { class: "against" }, error.message));
  }
}

const box = () => make("div", { "aria-live": "polite" });
const member = (name) => `/members/${encodeURIComponent(name)}`;

function simply(title, yes, path) {
  const inside = box();
  confirmed(path, {}, inside, open(title, yes, inside));
}

export const acts = {
  move(name) {
    const qm = look.report.queue_managers.find((one) => one.name === name);
    const others = look.report.members.filter((one) => one.role === "data" && one.name !== qm.owner);
    const inside = box();
    const choice = make("fieldset", {}, make("legend", {}, "To"));
    const button = open(`Move ${name}`, "Move", choice, inside);
    let chosen = null;
    const choose = (to) => {
      chosen = to;
      say(button, `Move ${name} to ${to}`);
      confirmed(`/queue-managers/${encodeURIComponent(name)}/move`, { to }, inside, button, () => chosen === to);
    };
    for (const one of others) {
      const radio = make("input", { type: "radio", name: "to", value: one.name, onchange: () => choose(one.name) });
      choice.append(make("label", {}, radio, one.name, make("span", { class: "dim" }, readiness(one, qm, look.report))));
    }
    const best = others.find((one) => readiness(one, qm, look.report) === "ready") ?? others[0];
    if (best) {
      choice.querySelector(`input[value="${CSS.escape(best.name)}"]`).checked = true;
      choose(best.name);
    } else inside.replaceChildren(make("p", { class: "against" }, "There is no other data member."));
  },
  drain(name, drained) {
    if (drained) simply(`Let ${name} run queue managers again`, `Undrain ${name}`, `${member(name)}/undrain`);
    else simply(`Let ${name} run nothing`, `Drain ${name}`, `${member(name)}/drain`);
  },
  clear: (name) => simply(`Let ${name} out of quarantine`, `Clear ${name}`, `${member(name)}/clear`),
  freeze() {
    if (look.report.orders.frozen) simply("Resume takeovers and moves", "Thaw", "/thaw");
    else simply("Suspend takeovers and moves", "Freeze", "/freeze");
  },
  whatIf,
};

// ---------------------------------------------------------------- what if

function whatIf() {
  const names = look.report.members.map((one) => one.name);
  const boxes = (legend, values, name) =>
    make("fieldset", {}, make("legend", {}, legend),
      ...values.map((value) => make("label", {}, make("input", { type: "checkbox", name, value }), value)));
  const pairs = names.flatMap((one, place) => names.slice(place + 1).map((other) => `${one}:${other}`));
  const inside = box();
  const lose = boxes("These members die", names, "lose");
  const cut = pairs.length <= 21 ? boxes("Nothing passes between", pairs, "cut") : null;
  const button = open("What if …", "Play it", ...[lose, cut, inside].filter(Boolean));
  button.disabled = false;
  button.className = "main";
  const checked = (set) => (set ? [...set.querySelectorAll("input:checked")].map((one) => one.value) : []);
  button.onclick = async () => {
    button.disabled = true;
    inside.replaceChildren(make("p", { class: "dim" }, "Playing on what this member knows …"));
    try {
      inside.replaceChildren(...answer(await ask("POST", "/what-if", { lose: checked(lose), cut: checked(cut) })));
    } catch (error) {
      inside.replaceChildren(make("p", { class: "against" }, error.message));
    }
    button.disabled = false;
  };
}

function answer(told) {
  const ends = told.queue_managers.map((qm) => `${qm.name}: ${qm.runs_on ? `runs on ${qm.runs_on}` : "runs nowhere"}`);
  const shown = ends.length > 6 ? [...ends.slice(0, 6), `and ${ends.length - 6} more`] : ends;
  const verdict = told.all_run ? "Every queue manager would run." : "Not every queue manager would run.";
  const story = make("div", { id: "story" }, ...told.story.flatMap((step) => [
    make("span", { class: "at" }, step.at_ms < 1 ? "at once" : `after ${duration(step.at_ms)}`), make("span", {}, step.sentence)]));
  return [
    make("p", { class: told.all_run ? "OK" : "against" }, make("strong", {}, verdict)),
    make("p", {}, shown.join(", ")),
    story,
    ...(told.story.length ? [] : [make("p", { class: "dim" }, "Nothing would happen.")]),
    make("ul", {}, ...[...told.cautions, ...told.weak_points.map((one) => `After that, ${one}`)].map((one) => make("li", {}, `${one}`))),
  ];
}
