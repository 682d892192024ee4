// Parts of the page. Whatever a run holds becomes text by textContent, never markup.

export function element(tag, given = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (name === "click") made.addEventListener("click", value);
    else if (name === "text") made.textContent = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

export const quiet = (text) => element("p", { class: "quiet", text });

export const card = (title, ...children) =>
  element("section", { class: "card" }, element("h3", { text: title }), ...children);

export const sides = (...children) => element("div", { class: "sides" }, ...children);

export const link = (kind, id, text = id) =>
  element("a", { href: `#${new URLSearchParams({ [kind]: id })}`, text });

export const chips = (words) =>
  words.length
    ? element("div", { class: "chips" }, ...words.map((text) => element("span", { class: "chip", text })))
    : null;

export function itemName(row) {
  const name = element("span", { class: "name" }, link("item", row.item, row.title || row.item));
  if (row.title) name.append(" ", element("span", { class: "quiet", text: row.item }));
  return name;
}

export const number = (value) =>
  element("span", { class: "number", text: value.toLocaleString("en", { minimumFractionDigits: 3, maximumFractionDigits: 3 }) });

export const rank = (value) => element("span", { class: "number rank", text: value });

export const list = (rows, make, none) =>
  rows.length ? element("ol", {}, ...rows.map(make)) : quiet(none);

export function review(row, name) {
  const text = element("p", { class: "review" });
  for (const piece of row.pieces) {
    text.append(piece.marked ? element("mark", { text: piece.text }) : piece.text);
  }
  return element("li", {}, element("div", { class: "line" }, name), text);
}
