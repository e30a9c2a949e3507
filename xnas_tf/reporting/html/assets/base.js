// The data, functions that build elements, and the marked candidate. Users' texts are only appended
// as text nodes or set as attributes, and never parsed as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const all = data.candidates;
const placeOf = new Map(all.id.map((id, place) => [id, place]));
const onFront = new Set(data.front);
const modelOf = new Map(data.models.models.map((model) => [model.id, model]));
const shownPlaces = all.id.map((_, place) => place)
  .filter((place) => all.state[place] === "done" && all.epochs[place] === data.epochs);

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null));
  return node;
}
const el = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

function number(value) {
  if (value === null || value === undefined) return "–";
  if (Number.isInteger(value)) return value.toLocaleString("en");
  const size = Math.abs(value);
  return size >= 1e4 ? Math.round(value).toLocaleString("en") : size && size < 1e-3
    ? value.toExponential(2) : String(+value.toFixed(size < 10 ? 4 : 2));
}
const plain = (value) => (typeof value === "number" ? number(value) : String(value));
const percent = (value) => (value === null ? "–" : `${(100 * value).toFixed(1)}%`);
const plural = (count, what) => `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
const arrow = (objective) => (objective.direction === "minimize" ? "↓" : "↑");

function section(id, title, about, ...children) {
  const made = el("section", { id, "aria-labelledby": `${id}-title` },
    el("h2", { id: `${id}-title` }, title), about ? el("p", { class: "about" }, about) : null,
    ...children);
  document.querySelector("main").append(made);
  document.getElementById("contents").append(el("a", { href: `#${id}` }, title));
  return made;
}
const scroller = (label, ...children) =>
  el("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": label }, ...children);

function table(headings, rows, caption) {
  const head = headings.map((heading) => el("th", { scope: "col" }, heading));
  const body = rows.map((row) => el("tr", {}, row.map((cell) =>
    cell instanceof Element && cell.tagName.startsWith("T") ? cell : el("td", {}, cell))));
  return el("table", {}, el("caption", {}, caption), el("thead", {}, el("tr", {}, head)),
    el("tbody", {}, body));
}
function picker(label, options, value, change) {
  const chosen = el("select", { onchange: (event) => change(+event.target.value) },
    options.map((text, at) => el("option", { value: at, selected: at === value }, text)));
  return el("label", {}, `${label} `, chosen);
}

// A candidate's hyperparameters by name, a drawing of its cell if it has one, and its card.
const hyperparametersOf = (place) => data.hyperparameters
  .filter((each) => each.places[place] >= 0)
  .map((each) => [each.name, each.values[each.places[place]]]);
const NODES = [[20, 62], [95, 12], [170, 112], [245, 62]];
const TEXT_AT = { edge_0_1: [52, 28], edge_0_2: [84, 98], edge_1_2: [137, 50],
  edge_0_3: [128, 76], edge_1_3: [178, 26], edge_2_3: [218, 100] };

function drawCell(place) {
  const chosen = Object.fromEntries(hyperparametersOf(place));
  const drawn = svg("svg", { viewBox: "0 0 265 126", class: "cell", role: "img",
    "aria-label": `cell ${all.genotype[place]}` });
  for (const [edge, ends] of Object.entries(data.cell)) {
    const [[x1, y1], [x2, y2]] = ends.map((node) => NODES[node]);
    const operation = chosen[edge], [x, y] = TEXT_AT[edge];
    drawn.append(svg("line", { x1, y1, x2, y2, class: `edge ${operation}` }));
    if (operation !== "none") {
      drawn.append(svg("text", { x, y }, operation.replace("nor_", "").replace("_connect", "")));
    }
  }
  NODES.forEach(([cx, cy], node) => drawn.append(svg("circle", { cx, cy, r: 10 }),
    svg("text", { x: cx, y: cy + 3, class: "node" }, ["in", "1", "2", "out"][node])));
  return drawn;
}
const architecture = (place) => (data.cell ? drawCell(place) : list(hyperparametersOf(place)));
const list = (pairs) => el("dl", {}, pairs.flatMap(([name, value]) => [el("dt", {}, name),
  el("dd", {}, plain(value))]));
const objectivePairs = (place) => data.objectives.map((objective, at) =>
  [`${objective.name} ${arrow(objective)}`, all.objectives[at][place]]);

function describe(place) {
  const id = all.id[place];
  const kind = (all.collapsed[place] ? "collapsed, " : "") + (data.recommended.id === id
    ? "recommended, Pareto-optimal" : onFront.has(id) ? "Pareto-optimal"
      : all.violations[place] ? "violates constraints" : "dominated");
  const values = objectivePairs(place).map(([name, value]) => `${name} ${number(value)}`);
  return { title: `candidate ${id}`, kind, text: `candidate ${id}, ${kind}: ${values.join(", ")}` };
}
function facts(place) {
  const pairs = [...objectivePairs(place),
    ...data.measured.map((title, at) => [title, number(all.measured[at][place])])];
  if (all.test[place] !== null) pairs.push(["test accuracy", percent(all.test[place])]);
  pairs.push(["generation", all.generation[place]],
    ["parents", all.parents[place].join(", ") || "none"]);
  if (all.violations[place]) pairs.push(["violates", all.violations[place]]);
  if (all.reason[place]) pairs.push(["remark", all.reason[place]]);
  return list(pairs);
}
function thumbnails(id) {
  const maps = (modelOf.get(id) || {}).maps || {};
  return Object.entries(maps).map(([method, pictures]) => el("div", { class: "thumbnails" },
    pictures.slice(0, 4).map((picture) => el("img", { src: picture, alt: method, title: method }))));
}
const card = el("div", { id: "card", hidden: true });
const said = el("div", { id: "said", class: "unseen", "aria-live": "polite" });
document.body.append(card, said);
function showCard(place, x, y) {
  const { title, kind } = describe(place);
  card.replaceChildren(el("strong", {}, `${title} `), kind, architecture(place), facts(place),
    ...thumbnails(all.id[place]));
  card.hidden = false;
  const { width, height } = card.getBoundingClientRect();
  card.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - width - 4))}px`;
  card.style.top = `${Math.max(4, y + 14 + height > innerHeight ? y - height - 14 : y + 14)}px`;
}
const hideCard = () => { card.hidden = true; };
addEventListener("keydown", (event) => { if (event.key === "Escape") hideCard(); });

// The candidate that every section marks.
let chosenId = data.recommended.id;
const listeners = [];
function choose(id) {
  chosenId = id;
  said.textContent = `candidate ${id} is marked in every section`;
  listeners.forEach((listener) => listener());
}
const idButton = (id) => el("button", { type: "button", class: "id", "data-id": id,
  onclick: () => choose(id), "aria-label": `mark candidate ${id}` }, id);
