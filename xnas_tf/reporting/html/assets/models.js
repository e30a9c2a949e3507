// The results for a model: attributions, mistakes, calibration, class means and layers.
const models = data.models, names = models.classes || [];
const picture = (source, alt, caption) => el("figure", { class: "picture" },
  el("img", { src: source, alt }), caption ? el("figcaption", {}, caption) : null);
const MAPS = "Grad-CAM: from dark blue (unimportant) to yellow (important). Integrated gradients: purple speaks for "
  + "the class, orange against it. Each map is scaled to its own maximum, so compare positions, not strengths."
  + (models.shown_channels ? ` ${models.shown_channels}` : "");

// The same images for all models, with a row for each model and method.
function gallery(able, heading) {
  const label = (at) => names[models.labels[at]];
  const first = el("tr", {}, el("th", { scope: "row" }, "image"), models.images.map((image, at) =>
    el("td", {}, picture(image, `test image of class ${label(at)}`, label(at)))));
  const rows = able.flatMap((model) => Object.entries(model.maps).map(([method, maps]) => el("tr",
    { "data-id": model.id }, el("th", { scope: "row" }, heading(model), method),
    maps.map((map, at) => {
      const taken = names[model.predicted[at]], right = model.predicted[at] === models.labels[at];
      const said = `${right ? "" : "✗ "}${taken} ${percent(model.probability[at])}`
        + (model.empty[method][at] ? " (empty map)" : model.flat[method][at] ? " (flat map)" : "");
      return el("td", { class: right ? null : "wrong" }, picture(map,
        `${method} for an image of ${label(at)}, predicted as ${taken}`, said));
    }))));
  return scroller("Attributions side by side", el("table", { class: "gallery" }, el("tbody", {}, first, rows)));
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
    [el("th", { scope: "row" }, name), whisker(each, low, 1), rangeText(each)]),
  "accuracy by class, with Wilson's interval"));
}
function calibration({ error, bins }) {
  const box = el("figure", {}, el("figcaption", {}, "accuracy by confidence, with 95% intervals; on the dashed line, "
    + "the two are equal"));
  new Plot(box, "Accuracy by confidence", 260, () => ({ x: { title: "confidence", values: [0, 1] },
    y: { title: "accuracy", values: [0, 1] }, draw: (plot) => {
      plot.path([[plot.x(0), plot.y(0)], [plot.x(1), plot.y(1)]], colour("--grey"), 1, [6, 4]);
      for (const [mean, [low, accuracy, high]] of bins) {
        plot.dot(plot.x(mean), plot.y(accuracy), 4, colour("--blue"));
        plot.whiskers(plot.x(mean), plot.y(accuracy), null, [low, high], colour("--blue"));
      }
    } }));
  const rows = bins.map(([mean, accuracy, count]) => [percent(mean), rangeText(accuracy), number(count)]);
  return [el("p", { class: "about" }, `Of the images predicted with a confidence of 80%, 80% should be correct. The mean difference, `
    + `called the expected calibration error, is ${percent(error)}.`),
  el("div", { class: "grid-of" }, box, scroller("Accuracy by confidence", table(["mean confidence",
    "accuracy (95%)", "images"], rows, "test images by confidence")))];
}
function classMeans(means) {
  const called = means.classes.map((at) => names[at]);
  const pairs = means.distances.flatMap((row, r) => row.slice(r + 1));
  const top = Math.max(...pairs, 1e-9);
  return el("div", {}, el("h4", {}, `${means.source}: class means`),
    means.maps.length ? el("div", { class: "strip" }, means.maps.map((map, at) => picture(map,
      `mean ${means.source} map of class ${called[at]}`, `${called[at]} (${means.counts[at]})`))) : null,
    heat(means.distances, called, called, `distances between class means; introspectability ${number(means.value)}`,
      (value) => value.toFixed(2), (value) => Math.max(value, 0) / top),
    means.reasons.map((reason) => el("p", { class: "about" }, reason)));
}
function classMeansOf(model) {
  return [el("p", { class: "about" }, `Mean representations of the classes on ${number(models.looked_at)} validation `
    + `images, with the number of images ${models.group_by === "predicted" ? "predicted as" : "that belong to"} each `
    + "class in brackets. Introspectability is the mean distance between two "
    + "classes: the higher it is, the more the model distinguishes the classes."
    + (models.models.length > 1 ? " Its sources may rank networks in opposite ways: on mnist5k, accurate networks tended "
      + "to have higher values by activations, and lower ones by Grad-CAM and integrated gradients." : "")
    + (model.means.some(({ distances }) => distances.flat().some((value) => value < 0))
      ? " The estimate is corrected for the number of images, so the distance may be slightly negative if two classes do not differ." : "")),
  el("div", { class: "matrices" }, model.means.map(classMeans))];
}
function quality(model) {
  const { verdicts, metrics } = model.quality || {};
  return metrics ? el("div", {}, verdicts.map((text) => el("p", { class: "about" }, text)),
    scroller("Quality of attributions", metricsTable(metrics,
      "means over the explained images with non-empty maps; ↓: lower is better, ↑: higher is better"))) : null;
}
const layers = (model) => scroller("Layers", table(["layer", "type", "output", "parameters"], model.layers.map((row) =>
  row.map(plain)), "layers of the model, in order"));

function metricsTable(metrics, caption) {
  const made = table(["metric", "value", "meaning"], metrics, caption);
  made.classList.add("metrics");
  return made;
}
const pictureCard = (source, alt) => el("div", { class: "card", tabindex: 0, role: "region", "aria-label": alt },
  el("img", { src: source, alt }));
function interpretationsSections() {
  const shown = data.interpretations.filter((kind) => kind.found.length || kind.left_out);
  shown.forEach((kind, at) => section(`interpretation-${at}`, kind.title, kind.about,
    kind.left_out ? el("p", { class: "about" }, kind.left_out) : null,
    ...kind.found.map((each) => el("details", { open: true },
      el("summary", {}, el("h3", {}, each.name)),
      each.problem ? el("p", { class: "problem" }, each.problem) : null,
      (each.summary || []).map((text) => el("p", { class: "about" }, marked(text))),
      each.metrics ? scroller(kind.title, metricsTable(each.metrics, "metrics")) : null,
      (each.pictures || []).map(({ name, about, picture: source }) => el("figure", { class: "wide" },
        pictureCard(source, `${name} of ${each.name}`),
        el("figcaption", {}, about ? `${name}. ${about}` : name)))))));
}
