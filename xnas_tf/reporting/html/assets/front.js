// The front and its progress.
const axes = [...data.objectives.map((objective, at) =>
  ({ title: axisTitle(`${objective.name} ${arrow(objective)}`, objective.log), log: objective.log, objective,
    values: all.objectives[at],
    intervals: new Map(data.front.map((id, place) => [placeOf.get(id), data.intervals[at][place]])) })),
  ...data.measured.map((title, at) => ({ title: axisTitle(title, data.measured_log[at]),
    log: data.measured_log[at], values: all.measured[at] }))
    .filter(({ values }) => shownPlaces.every((place) => values[place] !== null)),
  { title: "candidate", values: all.id, whole: true }];
const only = (axis, places) => ({ ...axis, values: spread(places.map((place) => axis.values[place]),
  places.flatMap((place) => (axis.intervals && axis.intervals.get(place)) || [])) });
const frontPlaces = data.front.map((id) => placeOf.get(id));
const others = shownPlaces.filter((place) => !onFront.has(all.id[place]));
const dominated = others.filter((place) => !all.violations[place]);
const violating = others.filter((place) => all.violations[place]);

function frontSection() {
  const shorter = all.state.filter((state, at) => state === "done" && all.epochs[at] !== data.epochs)
    .length;
  const missing = all.id.length - shownPlaces.length - shorter;
  const other = (missing ? `Not drawn: ${plural(missing, "candidate")} without a result. ` : "")
    + (shorter ? `Not drawn: ${plural(shorter, "candidate")} not trained for ${data.epochs} epochs. ` : "");
  const marks = (data.objectives.length === 2 ? "; with both objectives on the axes, the line is the boundary of what "
    + "these dominate" : "") + (data.intervals.flat().some(Boolean) ? "; bars are 95% intervals" : "");
  const made = section("front", "Pareto front", "Each point is a candidate. ↓: lower is better, ↑: higher is "
    + "better. No candidate is better than a Pareto-optimal one in all objectives"
    + `${frontPlaces.length ? marks : ""}. ${data.interval_note ? `${data.interval_note} ` : ""}${other}`
    + "Hover over a point, or focus the picture and use the arrow keys. A click or Enter marks a candidate in "
    + "every section.");
  const shown = { x: 0, y: data.objectives.length > 1 ? 1 : axes.length - 1 };
  const titles = axes.map((axis) => axis.title);
  const change = (which) => (at) => { shown[which] = at; plot.draw(); };
  made.append(el("div", { class: "controls" }, picker("x axis", titles, shown.x, change("x")),
    picker("y axis", titles, shown.y, change("y"))));
  const plot = new Plot(made, "Pareto front", 420, () => ({
    x: only(axes[shown.x], shownPlaces), y: only(axes[shown.y], shownPlaces),
    draw: (drawn) => drawFront(drawn, axes[shown.x], axes[shown.y]) }));
  plot.box.addEventListener("pointermove", (event) => hover(plot, event));
  plot.box.addEventListener("pointerleave", hideCard);
  plot.box.addEventListener("click", (event) => {
    const near = nearest(plot, event);
    if (near !== null) choose(all.id[near]);
  });
  made.append(el("p", { class: "key" }, frontPlaces.length ? [el("span", { class: "front" }),
    `Pareto-optimal (${number(frontPlaces.length)}) `] : null, el("span", { class: "dominated" }),
  `dominated (${number(dominated.length)}) `, violating.length ? [el("span", { class: "violating" }, "✕"),
    `violates constraints (${number(violating.length)}) `] : null,
  chosenId === null ? null : [el("span", { class: "chosen" }), "marked; at first, the recommended one"]));
}
function drawFront(plot, xAxis, yAxis) {
  const [xs, ys] = [xAxis.values, yAxis.values];
  plot.at = new Map(shownPlaces.map((place) => [place, [plot.x(xs[place]), plot.y(ys[place])]]));
  plot.context.globalAlpha = others.length > 2000 ? 0.4 : 1;
  const [grey, red, blue] = ["--grey", "--red", "--blue"].map(colour);
  for (const place of dominated) plot.dot(...plot.at.get(place), 3, grey);
  for (const place of violating) plot.cross(...plot.at.get(place), 3.5, red);
  plot.context.globalAlpha = 1;
  const along = [...frontPlaces].sort((a, b) => xs[a] - xs[b]);
  const isWhole = data.objectives.length === 2 && xAxis.objective && yAxis.objective && xAxis !== yAxis;
  if (isWhole && along.length) {
    plot.path(staircase(plot, along.map((place) => plot.at.get(place)), [xAxis, yAxis].map((axis) =>
      falls(axis.objective))), blue);
  }
  plot.context.globalAlpha = 0.5;
  for (const place of along) {
    const known = [xAxis, yAxis].map((axis) => axis.intervals && axis.intervals.get(place));
    plot.whiskers(...plot.at.get(place), ...known, blue);
  }
  plot.context.globalAlpha = 1;
  const chosen = placeOf.get(chosenId);
  if (plot.at.has(chosen)) {
    plot.context.lineWidth = 2;
    plot.dot(...plot.at.get(chosen), 10, colour("--orange"), true);
  }
  const first = along.includes(chosen) ? chosen : along[0];
  const points = along.map((place) => frontPoint(plot, place, place === first));
  points.forEach((point, at) => point.addEventListener("keydown", (event) => {
    const to = points[at + ({ ArrowRight: 1, ArrowLeft: -1 }[event.key] || NaN)];
    if (to) { point.setAttribute("tabindex", -1); to.setAttribute("tabindex", 0); to.focus(); }
  }));
  plot.svg.append(...points);
}
function frontPoint(plot, place, reachable) {
  const [cx, cy] = plot.at.get(place);
  const enter = (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    choose(all.id[place]);
    plot.svg.querySelector(`[data-id="${all.id[place]}"]`).focus();
  };
  return svg("circle", { cx, cy, r: 5, class: "front", tabindex: reachable ? 0 : -1, role: "button",
    "aria-label": describe(place).text, "data-id": all.id[place], onkeydown: enter, onblur: hideCard,
    onfocus: (event) => {
      const box = event.target.getBoundingClientRect();
      showCard(place, box.right, box.bottom);
    } });
}
function nearest(plot, event) {
  const box = plot.box.getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  let best = null, least = 14;
  for (const [place, [px, py]] of plot.at || []) {
    const far = Math.hypot(px - x, py - y) + (onFront.has(all.id[place]) ? 0 : 3);
    if (far < least) [best, least] = [place, far];
  }
  return best;
}
function hover(plot, event) {
  const place = nearest(plot, event);
  plot.box.classList.toggle("pointing", place !== null);
  if (place === null) hideCard(); else showCard(place, event.clientX, event.clientY);
}

function progressSection() {
  const known = data.progress;
  if (!known.trainings.length) return;
  const made = section("progress", "Progress",
    "The hypervolume of the front, from the end of generation 0 on, and the front's best value of each "
    + "objective.");
  let by = 0;
  const ways = [["trainings", known.trainings], ["hours since the first candidate started", known.hours]];
  const plots = el("div", { class: "grid-of" });
  made.append(el("div", { class: "controls" }, picker("over", ways.map(([name]) => name), by, (at) => {
    by = at;
    drawn.forEach((plot) => plot.draw());
  })), plots);
  // The hypervolume is known from the end of generation 0 on.
  const first = known.hypervolume.findIndex((value) => value !== null);
  const volumes = first < 0 ? [] : [["hypervolume ↑", known.hypervolume.slice(first), first, false]];
  const lines = [...volumes, ...data.objectives.map(({ log }, at) =>
    [`best ${axes[at].title}`, known.best[at], 0, log])];
  const drawn = lines.map(([title, values, begin, log]) => new Plot(
    el("figure", {}, el("figcaption", {}, `${title}: ${number(values.at(-1))}`)), title, 220, () => ({
      x: { title: ways[by][0], values: [0, ...ways[by][1]], whole: by === 0 }, y: { title, values, log },
      draw: (plot) => plot.stairs(values.map((value, at) => [ways[by][1][begin + at], value]), "--blue") })));
  plots.append(...drawn.map((plot) => plot.box.parentElement));
}
