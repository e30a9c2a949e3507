// The other sections about the search.
// One line per candidate through its hyperparameters and objectives; better values are higher.
const LINES = 2000, UPRIGHTS = 16;
function parallelSection() {
  if (!shownPlaces.length) return;
  const uprights = [...data.hyperparameters.filter((each) => each.values.length > 1)
    .slice(0, UPRIGHTS).map((each) => ({ title: each.name, labels: each.values,
      values: each.places.map((place) => (place < 0 ? null : place)) })),
    ...data.objectives.map((objective, at) => ({ title: axes[at].title, log: objective.log,
      values: all.objectives[at], falls: objective.direction === "minimize" }))];
  const few = others.filter((_, at) => at % Math.ceil(others.length / LINES) === 0);
  const made = section("parallel", "Parallel coordinates", "One line per candidate, through its "
    + "hyperparameters and its objectives; better values of an objective are higher."
    + (few.length < others.length ? ` Only ${few.length} of the candidates that are not on the front are drawn.` : ""));
  const inner = el("div", {});
  inner.style.minWidth = `${uprights.length * 60}px`;
  made.append(scroller("Parallel coordinates", inner));
  const plot = new Plot(inner, "Parallel coordinates", 320, () => ({ x: { title: "", values: [] },
    y: { title: "", values: [] }, draw: (drawn) => drawParallel(drawn, uprights, few) }));
  plot.axes = () => [];
}
function drawParallel(plot, uprights, few) {
  const { right } = plot.area, [top, bottom] = [40, 300];
  const across = (at) => 50 + (at * (right - 86)) / Math.max(1, uprights.length - 1);
  const scales = uprights.map((upright) => {
    const known = shownPlaces.map((place) => upright.values[place]);
    const [from, to] = upright.falls ? [top, bottom] : [bottom, top];
    return scale(known, from, to, Boolean(upright.labels), upright.log);
  });
  const line = (place) => uprights.map((upright, at) => [upright.values[place], at])
    .filter(([value]) => value !== null).map(([value, at]) => [across(at), scales[at](value)]);
  plot.context.globalAlpha = few.length > 300 ? 0.12 : 0.5;
  const [grey, blue] = ["--grey", "--blue"].map(colour);
  few.forEach((place) => plot.path(line(place), grey));
  plot.context.globalAlpha = frontPlaces.length > 60 ? 0.4 : 0.9;
  frontPlaces.forEach((place) => plot.path(line(place), blue, 1.5));
  plot.context.globalAlpha = 1;
  if (placeOf.has(chosenId)) plot.path(line(placeOf.get(chosenId)), colour("--orange"), 3);
  uprights.forEach((upright, at) => {
    const x = across(at), labels = upright.labels;
    const shown = labels && labels.length <= 8 ? labels.map((_, place) => place) : labels
      ? [0, labels.length - 1] : scales[at].ticks;
    plot.svg.append(svg("line", { x1: x, x2: x, y1: top, y2: bottom, class: "upright" }),
      svg("text", { x: x + (at && at === uprights.length - 1 ? 34 : 0), y: at % 2 ? 30 : 16,
        class: at && at === uprights.length - 1 ? "axis y" : "axis" }, upright.title),
      ...shown.map((value) => svg("text", { x: x + 4, y: scales[at](value) + 4, class: "tick halo" },
        labels ? setting(labels[value]).replace("nor_", "") : tickText(value))));
  });
}

const NAMED = 30;
function ancestors(ids) {
  const found = new Set(ids), open = [...ids];
  while (open.length) {
    for (const parent of all.parents[placeOf.get(open.pop())]) {
      if (!found.has(parent) && placeOf.has(parent)) { found.add(parent); open.push(parent); }
    }
  }
  return found;
}
function lineageSection() {
  const places = [...ancestors(data.front)].map((id) => placeOf.get(id)).filter((place) =>
    all.state[place] === "done");
  if (!places.some((place) => all.parents[place].length)) return;
  const made = section("lineage", "Lineage", "All ancestors of the front, with a line from each "
    + "parent to its child. Ancestors of the marked candidate have the colour of its ring.");
  let up = 0;
  const text = el("p", {});
  made.append(el("div", { class: "controls" }, picker("y axis", axes.slice(0, -1).map((a) => a.title), up,
    (at) => { up = at; plot.draw(); })));
  const plot = new Plot(made, "Lineage of the front", 320, () => ({
    x: only(axes.at(-1), places), y: only(axes[up], places),
    draw: (drawn) => {
      const mine = ancestors(placeOf.has(chosenId) ? [chosenId] : []);
      drawLineage(drawn, axes[up].values, places, mine);
      const older = [...mine].filter((id) => id !== chosenId).sort((a, b) => b - a);
      text.textContent = older.length ? `Candidate ${chosenId} descends from ${plural(older.length, "candidate")}: `
        + older.slice(0, NAMED).join(", ") + (older.length > NAMED ? ", …" : "")
        : chosenId === null ? "Mark a candidate to see its ancestors." : `Candidate ${chosenId} has no parents.`;
    } }));
  made.append(text);
}
function drawLineage(plot, ys, places, mine) {
  const at = (place) => [plot.x(all.id[place]), plot.y(ys[place])];
  const [blue, grey, orange] = ["--blue", "--grey", "--orange"].map(colour);
  const known = new Set(places);
  for (const bright of [false, true]) {
    for (const place of places.filter((each) => mine.has(all.id[each]) === bright)) {
      plot.context.globalAlpha = bright ? 1 : Math.max(0.15, Math.min(0.8, 150 / places.length));
      for (const parent of all.parents[place].map((id) => placeOf.get(id))) {
        if (known.has(parent)) {
          plot.path([at(parent), at(place)], bright ? orange : grey, bright ? 2 : 1);
        }
      }
      plot.context.globalAlpha = 1;
      plot.dot(...at(place), onFront.has(all.id[place]) ? 5 : 3,
        onFront.has(all.id[place]) ? blue : bright ? orange : grey);
    }
  }
}

function influenceSection() {
  const known = data.influence;
  if (known.why_not) {
    if (shownPlaces.length) section("influence", "What matters for each objective", `Not estimated: ${known.why_not}.`);
    return;
  }
  const made = section("influence", "What matters for each objective", `Random forests learned each objective from ${plural(known.candidates, "candidate")}. Importance is `
    + "the share of an objective's variance that is due to a hyperparameter, alone or together with others. Below it is "
    + "the mean prediction if all candidates had the same value. Intervals are 90% intervals over bootstrap samples; "
    + "values with overlapping intervals cannot be told apart.");
  made.append(...known.objectives.map((each, at) => {
    const [low0, foreseen, high0] = each.foreseen;
    const top = Math.max(...each.hyperparameters.map((one) => one.importance[2]), 0.01);
    const ends = each.hyperparameters.flatMap((one) => one.values.flatMap(({ mean }) => mean));
    const [low, high] = [Math.min(...ends), Math.max(...ends)];
    const ordered = [...each.hyperparameters].sort((a, b) => b.importance[1] - a.importance[1]);
    return el("details", { open: at === 0 }, el("summary", {}, el("h3", {}, each.name)),
      el("p", {}, low0 > 0 ? `${percent(foreseen)} of its variance is predicted on held-out candidates `
        + `(${percent(low0)} to ${percent(high0)}).` : "It is not reliably predicted on held-out candidates, "
        + "so do not trust the following."),
      el("div", { class: "grid-of narrow" }, ordered.map((one) => scroller(one.name,
        table(["", "", "mean (90%)"], [
          [el("th", { scope: "row" }, "importance"), whisker(one.importance, Math.min(0, one.importance[0]), top),
            intervalText(one.importance.map((value) => +value.toFixed(2)))],
          ...one.values.map(({ value, mean }) => [el("th", { scope: "row" }, setting(value)),
            whisker(mean, low, high), intervalText(mean)]),
        ], one.name)))));
  }));
}

function groupsSection() {
  const { busy, bars } = data.groups;
  if (!bars.length) return;
  const made = section("groups", "Utilisation", "The timeline of each group of ranks, and the share of "
    + "time that it spent evaluating candidates rather than waiting for them.", busy.length ? scroller("Utilisation",
    table(["group", "busy"], busy.map(({ group, share }) => [group, percent(share)]), "share of time")) : null);
  const [scaleBy, unit] = Math.max(...bars.map((bar) => bar[3] + bar[4])) > 2 ? [1, "hours"] : [60, "minutes"];
  const colours = { done: "--blue", failed: "--red", infeasible: "--grey", duplicate: "--green", waiting: "--yellow" };
  const groups = new Set(bars.map((bar) => bar[1]));
  const thick = Math.min(24, 260 / groups.size);
  new Plot(made, "Timeline of the groups", Math.min(360, 90 + 30 * groups.size), () => ({
    x: { title: `${unit} since the first candidate started`,
      values: bars.flatMap((bar) => [0, scaleBy * (bar[3] + bar[4])]) },
    y: { title: "group", whole: true, values: [...groups, Math.min(...groups) - 0.5, Math.max(...groups) + 0.5] },
    draw: (plot) => {
      const shades = Object.fromEntries(Object.entries(colours).map(([state, name]) => [state, colour(name)]));
      const box = (group, from, long, high, state) => {
        const [x, end] = [plot.x(scaleBy * from), plot.x(scaleBy * (from + long))];
        plot.context.fillStyle = shades[state];
        plot.context.fillRect(x, plot.y(group) - high / 2, Math.max(0.5, end - x - 0.5), high);
      };
      for (const [, group, , begin, , wait] of bars) box(group, begin - wait, wait, thick / 2, "waiting");
      for (const [, group, state, begin, length] of bars) box(group, begin, length, thick, state);
    } }));
  made.append(el("p", { class: "key" }, Object.keys(colours).map((state) =>
    [el("span", { class: state }), `${state} `])));
}

function lostSection() {
  if (!data.lost.length) return;
  section("lost", "Failures", "Candidates without a result, and the reasons. Reasons that differ only in numbers are "
    + "counted together.", scroller("Failures", table(["state", "count", "reason", "candidates"],
    data.lost.map(({ state, reason, ids }) => [state, number(ids.length), el("td", { class: "text" }, reason),
      ids.slice(0, 20).join(", ") + (ids.length > 20 ? ", …" : "")]), "candidates without a result")));
}
