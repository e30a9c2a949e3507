// The sections about single models, and the order of all sections.
const models = data.models, names = models.classes || [];
const picture = (source, alt, caption) => el("figure", { class: "picture" },
  el("img", { src: source, alt, loading: "lazy" }), caption ? el("figcaption", {}, caption) : null);

// The same images for all models, with a row for each model and method.
function gallerySection() {
  const able = models.models.filter((model) => model.maps);
  if (!able.length) return;
  const label = (at) => names[models.labels[at]];
  const first = el("tr", {}, el("th", { scope: "row" }, "image"), models.images.map((image, at) =>
    el("td", {}, picture(image, `test image of class ${label(at)}`, label(at)))));
  const rows = able.flatMap((model) => Object.entries(model.maps).map(([method, maps]) => el("tr",
    { "data-id": model.id }, el("th", { scope: "row" }, idButton(model.id), ` ${method}`),
    maps.map((map, at) => {
      const taken = names[model.predicted[at]], right = model.predicted[at] === models.labels[at];
      const said = `${right ? "" : "✗ "}${taken} ${percent(model.probability[at])}`;
      return el("td", { class: right ? null : "wrong" }, picture(map,
        `${method} of candidate ${model.id} for an image of ${label(at)}, predicted as ${taken}`, said));
    }))));
  section("gallery", "What the models look at", "The same test images for all models, and below them the "
    + "attributions for the class that each model predicts. Grad-CAM: from dark blue to yellow. Integrated "
    + "gradients: purple for the class, orange against it.",
  scroller("Attributions side by side", el("table", { class: "gallery" }, el("tbody", {}, first, rows))));
}

function heat(rows, rowNames, columnNames, caption, text, share) {
  return scroller(caption, table(["", ...columnNames], rows.map((row, r) => [
    el("th", { scope: "row" }, rowNames[r]), ...row.map((value, c) => {
      const cell = el("td", { class: "heat" }, text(value));
      cell.style.setProperty("--share", `${Math.round(50 * share(value, r, c))}%`);
      return cell;
    })]), caption));
}

const MATRIX = 30;
function confusionMatrix(model) {
  const mistakes = names.map((_, a) => names.reduce((sum, _name, b) =>
    sum + (a === b ? 0 : model.confusion[a][b] + model.confusion[b][a]), 0));
  const chosen = [...names.keys()].sort((a, b) => mistakes[b] - mistakes[a]).slice(0, MATRIX)
    .sort((a, b) => a - b);
  const totals = chosen.map((a) => model.confusion[a].reduce((sum, count) => sum + count, 0) || 1);
  const caption = "confusion matrix on the test split: true class by row, predicted class by column"
    + (names.length > MATRIX ? `; the ${MATRIX} classes with the most mistakes` : "");
  return heat(chosen.map((a) => chosen.map((b) => model.confusion[a][b])), chosen.map((a) => names[a]),
    chosen.map((b) => names[b]), caption, (count) => count || "", (count, r) => count / totals[r]);
}
function classAccuracies(model) {
  const rows = names.map((name, at) => [name, model.classes[at]]).filter(([, each]) => each);
  const low = Math.min(...rows.map(([, each]) => each[0]));
  return scroller("Accuracy by class", table(["class", "", "accuracy (95%)"], rows.map(([name, each]) =>
    [el("th", { scope: "row" }, name), whisker(each, low, 1),
      `${percent(each[1])} (${percent(each[0])} to ${percent(each[2])})`]),
  "accuracy by class, with Wilson's interval"));
}
function curves(model) {
  const kinds = [...new Set(model.history.flatMap(Object.keys).map((key) => key.replace(/^val_/, "")))];
  return kinds.map((kind) => {
    const lines = [[kind, "--blue", []], [`val_${kind}`, "--orange", [6, 4]]]
      .map(([key, ...style]) => [model.history.map((epoch) => epoch[key] ?? null), ...style]);
    const last = lines.map(([values]) => number(values.at(-1)));
    const box = el("figure", {}, el("figcaption", {},
      `${kind}: training ${last[0]} (blue), validation ${last[1]} (orange, dashed)`));
    new Plot(box, `${kind} by epoch`, 200, () => ({
      x: { title: "epoch", whole: true, values: model.history.map((_, at) => at + 1) },
      y: { title: kind, values: lines.flatMap(([values]) => values) },
      draw: (plot) => lines.forEach(([values, style, dash]) => {
        const points = values.map((value, at) => [value, at + 1]).filter(([value]) => value !== null)
          .map(([value, epoch]) => [plot.x(epoch), plot.y(value)]);
        plot.path(points, colour(style), 2, dash);
        points.forEach(([x, y]) => plot.dot(x, y, 2.5, colour(style)));
      }) }));
    return box;
  });
}
function classMeans(means) {
  const called = means.classes.map((at) => names[at]);
  const pairs = means.distances.flatMap((row, r) => row.slice(r + 1));
  const top = Math.max(...pairs, 1e-9);
  return el("div", {}, el("h4", {}, `${means.source}: class means`),
    means.maps.length ? el("div", { class: "strip" }, means.maps.map((map, at) => picture(map,
      `mean ${means.source} map of class ${called[at]}`, `${called[at]} (${means.counts[at]})`))) : null,
    heat(means.distances, called, called, `distances of class means; introspectability ${number(means.value)}`,
      (value) => value.toFixed(2), (value) => Math.max(value, 0) / top));
}
function quality(model) {
  const methods = Object.keys(model.quality);
  const figures = [...new Set(methods.flatMap((method) => Object.keys(model.quality[method])))];
  return figures.length ? scroller("Quality of explanations", table(["", ...methods], figures.map((name) =>
    [el("th", { scope: "row" }, name), ...methods.map((method) => number(model.quality[method][name]))]),
  "mean quality of the explanations by xnas-tf explain")) : null;
}

function modelCard(model, at) {
  const place = placeOf.get(model.id);
  const inner = el("div", { class: "model" });
  const build = () => {
    if (inner.childElementCount) return;
    inner.append(el("div", { class: "grid-of" }, el("div", {}, architecture(place), facts(place)), ...curves(model)));
    if (model.problem) inner.append(el("p", { class: "problem" }, model.problem));
    if (model.confusion) {
      const [low, mean, high] = model.accuracy;
      inner.append(el("p", {}, `Test accuracy ${percent(mean)} (95%: ${percent(low)} to ${percent(high)}).`),
        el("div", { class: "grid-of" }, confusionMatrix(model), classAccuracies(model)));
    }
    if (model.means) {
      inner.append(el("h4", {}, "Behind its introspectability"), el("p", { class: "about" },
        `Mean representations of the classes on ${models.looked_at} validation images; in brackets, the number `
        + "of images of each class. Introspectability is the mean distance of two classes; its options say how "
        + "missing classes count and what pairs weigh. Its sources rank networks in opposite ways: accurate networks tend to have higher "
        + "values by activations, and lower ones by Grad-CAM and integrated gradients."),
      el("div", { class: "grid-of" }, model.means.map(classMeans)));
    }
    for (const [method, why] of Object.entries(model.inapplicable || {})) {
      inner.append(el("p", { class: "problem" }, `${method}: ${why}`));
    }
    const recorded = Object.entries(model.metrics).map(([name, value]) => [name, number(value)]);
    inner.append(quality(model) || "", el("details", {}, el("summary", {}, "All recorded metrics"),
      scroller("All recorded metrics", table(["metric", "value"], recorded, "recorded metrics"))));
  };
  const whole = el("details", { id: `model-${model.id}`, ontoggle: build },
    el("summary", {}, el("h3", {}, describe(place).title), ` ${describe(place).kind}`), inner);
  whole.open = at === 0;
  return whole;
}
function modelsSection() {
  const left = data.front.filter((id) => !modelOf.has(id)).length;
  if (!left && !models.models.length) return;
  section("models", "Models", (left ? `${plural(left, "Pareto-optimal candidate")} not shown here; `
    + "xnas-tf report --candidate ID shows others, --models N more. " : "") + (models.models.length ? "Open one to see it." : ""),
  models.problem ? el("p", { class: "problem" }, `No model was opened: ${models.problem}`) : null,
  ...models.models.map(modelCard));
}
function interpretationsSections() {
  data.interpretations.forEach((kind, at) => section(`interpretation-${at}`, kind.title, kind.about,
    kind.found.length ? null : el("p", {}, `Not available for this run; to add it, run ${kind.command} RUN --candidate ID.`),
    ...kind.found.map((each) => el("details", { open: true },
      el("summary", {}, el("h3", {}, `candidate ${each.candidate}`)),
      each.problem ? el("p", { class: "problem" }, each.problem) : null,
      (each.summary || []).map((text) => el("p", { class: "about" }, text)),
      each.metrics ? scroller(kind.title, table(["metric", "value", "meaning"], each.metrics, kind.title)) : null,
      (each.pictures || []).map(({ name, about, picture: source }) => el("figure", { class: "wide" },
        el("img", { src: source, alt: `${name} of candidate ${each.candidate}`, loading: "lazy" }),
        el("figcaption", {}, about ? `${name}. ${about}` : name)))))));
}

document.getElementById("made").textContent = `Data ${data.dataset} · made ${data.made.slice(0, 16)
  .replace("T", " ")} UTC by xnas-tf ${data.version}`;
// Draw the front first, and the sections below it one at a time.
const rest = [progressSection, tableSection, gallerySection, modelsSection, retrainedSection, influenceSection,
  parallelSection, lineageSection, groupsSection, lostSection, interpretationsSections];
if (shownPlaces.length) frontSection();
else section("front", "Pareto front", "No candidate has a result yet.");
document.querySelector("#front").append(el("details", {}, el("summary", {}, "Status of the run"),
  el("pre", {}, data.status)));
(function next() {
  const draw = rest.shift();
  if (!draw) { document.body.dataset.ready = "yes"; return; }
  draw();
  setTimeout(next);
})();
