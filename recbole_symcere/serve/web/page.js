// What is shown is in the address, after #, so that a view can be kept and sent.

import { card, chips, element, itemName, link, list, number, quiet, rank, review, sides } from "/parts.js";

const byId = (id) => document.getElementById(id);
const view = byId("view");
const picks = [];
let about = { most: 10 };
let asked = 0; // which view is wanted now: an answer to an earlier one may come late

async function ask(name, given = {}) {
  const pairs = Object.entries(given).flatMap(([key, value]) => [value].flat().map((one) => [key, one]));
  const answer = await fetch(`/api/${name}?${new URLSearchParams(pairs)}`);
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.detail);
  return told;
}

const some = (k = 10) => Math.min(k, about.most);
const problem = (error) => element("section", { class: "card error", role: "alert", text: error.message });
const orProblem = (answer) => answer.catch((error) => error);
const failed = (answer) => answer instanceof Error;

// --- rows ------------------------------------------------------------------------------------

function pickButton(item) {
  const label = `Pick ${item}`;
  return element("button", { class: "small", title: label, "aria-label": label, text: "+", click: () => pick(item) });
}

const row = (one, place, ...more) =>
  element("li", {}, element("div", { class: "line" }, rank(place), itemName(one), ...more, pickButton(one.item)), chips(one.words || []));

const near = (one, index) => row(one, index + 1, number(one.similarity));

function recommended(user, one) {
  const button = element("button", { class: "small", text: "why", "aria-expanded": "false" });
  const made = row(one, one.rank, number(one.score), about.words ? null : button);
  button.addEventListener("click", async () => {
    const open = made.querySelector(".because");
    if (open) {
      open.remove();
      button.setAttribute("aria-expanded", "false");
      return;
    }
    button.setAttribute("aria-expanded", "true");
    const told = await orProblem(ask("why", { user, item: one.item }));
    made.append(failed(told) ? problem(told) : because(told));
  });
  return made;
}

function because(told) {
  const box = element("div", { class: "because" });
  if (!told.words.length) {
    box.append(quiet("It shares no telling word with this user’s training items."));
    return box;
  }
  box.append(
    quiet("Words that it shares with this user’s training items, the telling ones first. They describe both; the score comes from the model’s vectors."),
    chips(told.words),
    element("h3", { text: "What this user wrote" }),
    list(told.from_user, (one) => review(one, itemName(one)), "No review."),
    element("h3", { text: "What others wrote about it" }),
    list(told.from_item, (one) => review(one, link("user", one.user)), "No review."),
  );
  return box;
}

function interaction(one) {
  const part = element("span", { class: "part", text: one.part });
  const line = element("div", { class: "line" }, itemName(one), part, pickButton(one.item));
  return element("li", {}, line, one.review ? element("p", { class: "review", text: one.review }) : null);
}

// --- views -----------------------------------------------------------------------------------

const ofAll = (found, total) => (found.length < total ? ` (${found.length} of ${total.toLocaleString("en")})` : "");

async function showSearch(q) {
  const [users, items] = await Promise.all([ask("users", { q, k: 20 }), ask("items", { q, k: 20 })]);
  return [
    sides(
      card(`Users${ofAll(users.found, users.total)}`, list(users.found, (user) => element("li", {}, link("user", user)), "No user’s id holds this.")),
      card(`Items${ofAll(items.found, items.total)}`, list(items.found, (one, index) => row(one, index + 1), "No item’s id or title holds this.")),
    ),
  ];
}

async function showUser(user) {
  const lists = orProblem(ask("recommend", { user, k: some(), why: true }));
  const past = await ask("history", { user, k: 100 });
  const told = await lists;
  return [
    element("h2", { text: `User ${user}` }),
    sides(
      failed(told)
        ? problem(told)
        : card("Recommended, with words shared with the training items", list(told.items, (one) => recommended(user, one), "This user knows every item.")),
      card(`History${ofAll(past.history, past.total)}`, list(past.history, interaction, "No interaction.")),
    ),
  ];
}

async function showItem(item) {
  const nearest = orProblem(ask("similar", { item, k: some() }));
  const told = await ask("item", { item });
  const found = await nearest;
  const users = told.interactions === 1 ? "1 training interaction" : `${told.interactions.toLocaleString("en")} training interactions`;
  const neighbours = failed(found)
    ? [problem(found)]
    : [
        card("Nearest by the model’s vectors", list(found.vectors, near, "None.")),
        card("Nearest by words, with those shared", list(found.words, near, found.note || "No other item shares a word with it.")),
      ];
  return [
    element("h2", {}, told.title || `Item ${item}`),
    element("p", { class: "row quiet" }, `${told.title ? `${item} · ` : ""}${users}`, pickButton(item)),
    sides(...neighbours),
    card("Reviews", list(told.reviews, (one) => review(one, link("user", one.user)), "No training review.")),
  ];
}

async function showFound(text) {
  const told = await ask("find", { text, k: some(20) });
  return [card(`Items by the words “${text}”`, list(told.items, near, "No item uses these words."))];
}

async function showPicked(items) {
  const told = await ask("fold_in", { item: items, k: some() });
  return [card(`Recommended for somebody who chose ${items.join(", ")}`, list(told.items, near, "Nothing is left to recommend."))];
}

function start() {
  return [
    element("section", { class: "card" }, quiet("Begin with a user or an item, for example one of these.")),
    ...(about.words ? [element("section", { class: "card" }, quiet(about.words))] : []),
  ];
}

async function show() {
  const mine = ++asked;
  const given = new URLSearchParams(location.hash.slice(1));
  let parts;
  try {
    if (given.has("user")) parts = await showUser(given.get("user"));
    else if (given.has("item")) parts = await showItem(given.get("item"));
    else if (given.has("text")) parts = await showFound(given.get("text"));
    else if (given.has("picked")) parts = await showPicked(given.getAll("picked"));
    else if (given.has("q")) parts = await showSearch(given.get("q"));
    else parts = [...start(), ...(await showSearch(""))];
  } catch (error) {
    parts = [problem(error)];
  }
  if (mine === asked) view.replaceChildren(...parts);
}

// --- the three boxes -------------------------------------------------------------------------

const go = (pairs) => { location.hash = new URLSearchParams(pairs).toString(); };

function onSubmit(id, take) {
  byId(id).addEventListener("submit", (event) => {
    event.preventDefault();
    const value = event.target.querySelector("input").value.trim();
    if (value) take(value);
  });
}

function pick(item) {
  if (!picks.includes(item) && picks.length < 50) picks.push(item);
  drawPicks();
}

function drawPicks() {
  byId("picks").replaceChildren(
    ...picks.map((item) =>
      element("button", { type: "button", class: "small", title: `Remove ${item}`, text: `${item} ×`, click: () => {
        picks.splice(picks.indexOf(item), 1);
        drawPicks();
      } }),
    ),
  );
  byId("fold").disabled = !picks.length;
}

onSubmit("search", (q) => go({ q }));
onSubmit("find", (text) => go({ text }));
onSubmit("pick", (item) => { pick(item); byId("picked").value = ""; });
byId("fold").addEventListener("click", () => go(picks.map((item) => ["picked", item])));
addEventListener("hashchange", show);

async function begin() {
  drawPicks();
  try {
    about = await ask("about");
    byId("title").firstChild.textContent = `${about.model} on ${about.dataset}`;
    document.title = `${about.model} on ${about.dataset}`;
    byId("sizes").textContent = `${about.users.toLocaleString("en")} users, ${about.items.toLocaleString("en")} items · ${about.run}`;
  } catch (error) {
    view.replaceChildren(problem(error));
    return;
  }
  await show();
}

begin();
