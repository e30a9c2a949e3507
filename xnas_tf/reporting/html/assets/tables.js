// Tables of candidates.
// A heading that may break after an underscore.
const breakable = (name) => name.split(/(?<=_)/).flatMap((part, at) => (at ? [el("wbr"), part] : [part]));
// A table of the candidates at some places, with columns that can be sorted.
function candidateTable(id, title, about, places, more = []) {
  if (!places.length) return;
  const columns = [["id", (place) => all.id[place]], ["architecture", (place) => all.genotype[place]], ...more,
    ...data.objectives.map((objective, at) =>
      [`${objective.name} ${arrow(objective)}`, (place) => all.objectives[at][place]]),
    ...data.measured.map((name, at) => [name, (place) => all.measured[at][place]]),
    ["test accuracy", (place) => all.test[place]], ["generation", (place) => all.generation[place]],
    ["parents", (place) => all.parents[place].join(", ")],
  ].filter(([, value]) => places.some((place) => ![null, ""].includes(value(place))));
  const content = (name, value, place) => {
    if (name === "id") return [idButton(value), value === data.recommended.id ? " recommended" : null];
    if (name === "architecture") return [shortArchitecture(place), el("p", { class: "meaning" }, all.reason[place])];
    return name === "test accuracy" ? percent(value) : typeof value === "number" ? number(value) : value;
  };
  const body = el("tbody");
  const fillBody = (ordered) => body.replaceChildren(...ordered.map((place) => el("tr",
    { "data-id": all.id[place] }, columns.map(([name, value]) => el("td",
      { "data-label": name, class: { architecture: name, violates: "text" }[name] ?? null },
      content(name, value(place), place))))));
  const heads = columns.map(([name, value]) => el("th", { scope: "col" },
    el("button", { type: "button", onclick: (event) => {
      const head = event.currentTarget.parentElement;
      const rises = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", rises ? "ascending" : "descending");
      const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b) : (a ?? -1) - (b ?? -1));
      fillBody([...places].sort((a, b) => (rises ? 1 : -1) * compare(value(a), value(b))));
      mark();
    } }, breakable(name))));
  const mark = () => body.querySelectorAll("tr").forEach((row) =>
    row.classList.toggle("marked", +row.dataset.id === chosenId));
  listeners.push(mark);
  section(id, title, about + (data.cell ? CELL_KEY : "") + "Click a heading to sort by its column.",
    scroller(title, el("table", { class: "cards" }, el("thead", {}, el("tr", {}, heads)), body)));
  fillBody(places);
  mark();
}
function tableSection() {
  const isRecommended = (place) => all.id[place] === data.recommended.id;
  candidateTable("table", "Pareto-optimal candidates", data.parts_note, [...frontPlaces].sort((a, b) => isRecommended(b) - isRecommended(a)));
}
const MOST = 100;
function violatingSection() {
  const shown = violating.slice(0, MOST);
  candidateTable("violating", "Candidates that violate constraints", "These were trained, but are not on the "
    + "front, because a measured value is beyond its limit. "
    + (violating.length > MOST ? `The first ${MOST} of ${number(violating.length)} are shown; xnas-tf pareto --all lists all of them. ` : ""), shown, [["violates", (place) => all.violations[place]]]);
}
