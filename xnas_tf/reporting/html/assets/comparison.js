// The report that compares runs: their fronts, progress and settings.
const COLOURS = ["--blue", "--orange", "--green", "--yellow", "--red", "--grey"];
const styleOf = (at) => [COLOURS[at % COLOURS.length], at < COLOURS.length ? [] : [7, 4]];
const key = () => el("p", { class: "key" }, data.runs.map((run, at) => {
  const mark = el("span", {});
  mark.style.background = `var(${styleOf(at)[0]})`;
  return [mark, `${run.name} `];
}));
const titles = data.objectives.map((objective) => `${objective.name} ${arrow(objective)}`);
const axisTitles = titles.map((title, at) => axisTitle(title, data.objectives[at].log));
const column = (run, at) => run.front.map((values) => values[at]);

function summarySection() {
  const headings = ["run", ...new Set(data.runs.flatMap((run) => Object.keys(run.facts)))].filter((name) => name !== "data");
  const rows = data.runs.map((run) => [el("th", { scope: "row" }, run.name),
    ...headings.slice(1).map((name) => run.facts[name] || "–"),
    run.recommended.id === null ? `none: ${run.recommended.why}` : `candidate ${run.recommended.id}: ${run.recommended.why}`]);
  const shown = table([...headings, "recommended"], rows, "the runs");
  shown.classList.add("cards");
  shown.querySelectorAll("tbody tr").forEach((row) => row.querySelectorAll("td").forEach((cell, at) => {
    cell.dataset.label = [...headings.slice(1), "recommended"][at];
  }));
  section("summary", "Summary", `All runs used the same data: ${data.dataset}. Intervals include only the variation due to the `
    + "validation images; two searches with different seeds differ more.", scroller("Runs", shown));
}

function frontsSection() {
  const shown = { x: 0, y: Math.min(1, titles.length - 1) };
  const made = section("fronts", "Pareto fronts", "The Pareto-optimal candidates of each run, with 95% intervals; a "
    + "ring marks the recommended ones. The lines are the boundaries of what each front dominates: the closer a run's "
    + "line is to the better corner, the better the candidates that the run found." + data.runs
      .filter((run) => run.interval_note).map((run) => ` ${run.name}: ${run.interval_note}`).join(""));
  const change = (which) => (at) => { shown[which] = at; plot.draw(); };
  if (titles.length > 1) {
    made.append(el("div", { class: "controls" }, picker("x axis", axisTitles, shown.x, change("x")),
      picker("y axis", axisTitles, shown.y, change("y"))));
  }
  const axis = (at) => ({ title: axisTitles[at], log: data.objectives[at].log, values: spread(data.runs.flatMap((run) => column(run, at)),
    data.runs.flatMap((run) => run.intervals.flatMap((row) => row[at] || []))) });
  const plot = new Plot(made, "Pareto fronts", 420, () => ({ x: axis(shown.x), y: axis(shown.y),
    draw: (drawn) => data.runs.forEach((run, at) => drawRun(drawn, run, at, shown)) }));
  made.append(key());
}
function drawRun(plot, run, at, shown) {
  const [name, dash] = styleOf(at), hue = colour(name);
  const points = run.front.map((values) => [plot.x(values[shown.x]), plot.y(values[shown.y])]);
  if (!points.length) return;
  if (titles.length === 2 && shown.x !== shown.y) {
    plot.path(staircase(plot, points, [shown.x, shown.y].map((axis) => falls(data.objectives[axis]))), hue, 1.5, dash);
  }
  points.forEach(([x, y], place) => {
    plot.context.globalAlpha = 0.5;
    plot.whiskers(x, y, run.intervals[place][shown.x], run.intervals[place][shown.y], hue);
    plot.context.globalAlpha = 1;
    plot.dot(x, y, 4.5, hue);
    plot.context.lineWidth = 2;
    if (run.ids[place] === run.recommended.id) plot.dot(x, y, 9, hue, true);
    const text = `${run.name}, candidate ${run.ids[place]}: `
      + titles.map((title, axis) => `${title} ${number(run.front[place][axis])}`).join(", ");
    plot.svg.append(svg("circle", { cx: x, cy: y, r: 9, class: "unseen-mark", tabindex: 0, role: "img", "aria-label": text },
      svg("title", {}, text)));
  });
}

function progressSection() {
  if (!data.runs.some((run) => run.progress.trainings.length)) return;
  const ends = data.box.map(([title, worst, best]) => `${title} ${number(worst)} to ${number(best)}`).join(", ");
  const made = section("progress", "Progress", "The hypervolume of each front: its share, from 0 to 1, of the box from "
    + `the worst to the best value of each objective in any run (${ends}). The larger it is, the better the front.`);
  const plots = el("div", { class: "grid-of" });
  made.append(plots, key());
  for (const [way, title] of [["trainings", "trainings"], ["hours", "hours since the first candidate started"]]) {
    const lines = data.runs.map((run) => run.progress[way].map((x, at) => [x, run.progress.hypervolume[at]])
      .filter(([x, y]) => x !== null && y !== null));
    const box = el("figure", {});
    plots.append(box);
    new Plot(box, `Hypervolume over ${title}`, 280, () => ({
      x: { title, whole: way === "trainings", values: [0, ...lines.flatMap((line) => line.map(([x]) => x))] },
      y: { title: "hypervolume ↑", values: lines.flatMap((line) => line.map(([, y]) => y)) },
      draw: (plot) => lines.forEach((line, at) => plot.stairs(line, styleOf(at)[0], 2, styleOf(at)[1])) }));
  }
  const rows = data.runs.map((run) => [el("th", { scope: "row" }, run.name), number(run.progress.trainings.at(-1)),
    number(run.progress.hypervolume.at(-1)), ...run.progress.best.map((values) => number(values.at(-1)))]);
  made.append(scroller("At the end", table(["run", "trainings", "hypervolume ↑", ...titles.map((title) => `best ${title}`)],
    rows, "at the end of each run")));
}

function settingsSection() {
  if (!data.settings.length) return;
  section("settings", "Settings that differ", "All other settings are the same.", scroller("Settings",
    table(["setting", ...data.runs.map((run) => run.name)], data.settings, "settings that differ")));
}

drawAll([summarySection, frontsSection, progressSection, settingsSection]);
