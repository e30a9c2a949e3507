// The candidates of a run: their architectures, their cards, and which one is marked.
const all = data.candidates;
const placeOf = new Map(all.id.map((id, place) => [id, place]));
const onFront = new Set(data.front);
const modelOf = new Map(data.models.models.map((model) => [model.id, model]));
const shownPlaces = all.id.map((_, place) => place)
  .filter((place) => all.state[place] === "done" && all.epochs[place] === data.epochs);

// A candidate's hyperparameters by name, a drawing of its cell if it has one, and its card.
const hyperparametersOf = (place) => data.hyperparameters
  .filter((each) => each.places[place] >= 0)
  .map((each) => [each.name, each.values[each.places[place]]]);
const NODES = [[20, 62], [95, 14], [170, 110], [245, 62]];
const TEXT_AT = { edge_0_1: [57, 38], edge_0_2: [95, 86], edge_1_2: [117, 43],
  edge_0_3: [72, 62], edge_1_3: [170, 38], edge_2_3: [208, 86] };
const SHORT = { skip_connect: "skip", nor_conv_1x1: "1×1", nor_conv_3x3: "3×3", avg_pool_3x3: "pool" };
const CELL_KEY = "In a cell, 3×3 and 1×1 are convolutions, pool is the average over 3×3 pixels, skip passes "
  + "its input through unchanged, and dotted edges have no operation. ";

function drawCell(place) {
  const chosen = Object.fromEntries(hyperparametersOf(place));
  const drawn = svg("svg", { viewBox: "0 0 265 124", class: "cell", role: "img",
    "aria-label": `cell ${all.genotype[place]}` }, svg("title", {}, all.genotype[place]));
  const edges = Object.entries(data.cell);
  for (const [edge, ends] of edges) {
    const [[x1, y1], [x2, y2]] = ends.map((node) => NODES[node]);
    drawn.append(svg("line", { x1, y1, x2, y2, class: `edge ${chosen[edge]}` }));
  }
  for (const [edge] of edges.filter(([name]) => chosen[name] !== "none")) {
    const [x, y] = TEXT_AT[edge];
    drawn.append(svg("text", { x, y: y + 4 }, SHORT[chosen[edge]] || chosen[edge]));
  }
  NODES.forEach(([cx, cy], node) => drawn.append(svg("circle", { cx, cy, r: 12 }),
    svg("text", { x: cx, y: cy + 4, class: "node" }, ["in", "1", "2", "out"][node])));
  return drawn;
}
const genotype = (place) => el("details", { class: "genotype" }, el("summary", {}, "genotype"),
  el("code", {}, all.genotype[place]));
// The architecture for a cell of a table, as a drawing or as a text of the hyperparameters.
const shortArchitecture = (place) => (data.cell ? [drawCell(place), genotype(place)]
  : hyperparametersOf(place).map(([name, value]) => `${name} ${setting(value)}`).join(" · "));
const architecture = (place) => (data.cell ? el("div", {}, drawCell(place))
  : list(hyperparametersOf(place).map(([name, value]) => [name, setting(value)])));
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
function choose(id) {
  chosenId = id;
  said.textContent = `candidate ${id} is marked in every section`;
  listeners.forEach((listener) => listener());
}
const idButton = (id) => el("button", { type: "button", class: "id", "data-id": id,
  onclick: () => choose(id), "aria-label": `mark candidate ${id}` }, id);
