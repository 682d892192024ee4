// Runs the page's script in Node with as much of a DOM as it uses, where there is no browser.
// Arguments: the script, the server's address, views (what stands after # in an address).
// Prints, as JSON, tag names and text of each view, then of its first "why", then of the picked.

const [, , script, base, ...views] = process.argv;

class Element {
  constructor(tag) {
    Object.assign(this, { tag, kids: [], given: {}, heard: {} });
  }
  get textContent() {
    return this.kids.map((kid) => (kid instanceof Element ? kid.textContent : kid)).join("");
  }
  set textContent(value) {
    this.kids = [String(value)];
  }
  get firstChild() {
    return this.kids[0];
  }
  setAttribute(name, value) {
    this.given[name] = value;
  }
  addEventListener(name, heard) {
    this.heard[name] = heard;
  }
  append(...kids) {
    for (const kid of kids) {
      if (!(kid instanceof Element) && typeof kid !== "string") throw new Error(`${kid} in ${this.tag}`);
      this.kids.push(kid);
      if (kid instanceof Element) kid.above = this;
    }
  }
  replaceChildren(...kids) {
    this.kids = [];
    this.append(...kids);
  }
  remove() {
    this.above.kids.splice(this.above.kids.indexOf(this), 1);
  }
  get all() {
    return this.kids.flatMap((kid) => (kid instanceof Element ? [kid, ...kid.all] : []));
  }
  querySelector(what) {
    return this.all.find((one) => one.tag === what || `.${one.given.class}` === what) ?? null;
  }
}

const names = ["view", "q", "text", "picked", "picks", "fold", "search", "find", "pick", "title", "sizes"];
const parts = Object.fromEntries(names.map((name) => [name, new Element("div")]));
for (const form of ["search", "find", "pick"]) parts[form].append(new Element("input"));
parts.title.append(new Element("a"));

let moved;
globalThis.document = { createElement: (tag) => new Element(tag), getElementById: (id) => parts[id] };
globalThis.location = {
  at: "",
  get hash() {
    return this.at;
  },
  set hash(value) {
    this.at = `#${value.replace(/^#/, "")}`;
  },
};
globalThis.addEventListener = (_, heard) => { moved = heard; };
const fetched = fetch;
globalThis.fetch = (path) => fetched(base + path);

const told = (one) => ({ tags: one.all.map((part) => part.tag), text: one.textContent });
const button = (name) => parts.view.all.find((one) => one.tag === "button" && one.textContent === name);
const found = [];

await import(script);
while (!parts.view.kids.length) await new Promise((done) => setTimeout(done, 20));
for (const view of views) {
  location.hash = `#${view}`;
  await moved();
  found.push(told(parts.view));
}
location.hash = `#${views[0]}`;
await moved();
const why = button("why");
if (!why) throw new Error(parts.view.textContent);
await why.heard.click();
found.push(told(parts.view.querySelector(".because")));
await why.heard.click();
if (parts.view.querySelector(".because")) throw new Error("it stays open");
button("+").heard.click();
parts.fold.heard.click();
await moved();
found.push({ hash: location.hash, title: parts.title.textContent, ...told(parts.view) });
console.log(JSON.stringify(found));
