// The report on a run: its summary, its models, and the order of all sections.
function summarySection() {
  const { id, why } = data.recommended;
  const made = section("summary", "Summary", null);
  const best = modelOf.get(id);
  const noticed = data.recommended.on_test || (best && best.confusion ? best.weak_classes : "");
  const pairs = [...data.facts, ...(best && best.accuracy
    ? [["test accuracy", `${percentText(best.accuracy)}, candidate ${id}`]] : [])];
  const left = el("div", {}, id === null
    ? el("p", { class: "problem" }, `No candidate is recommended: ${why}.`)
    : el("p", {}, "Recommended: candidate ", idButton(id), ` (${why}).`),
  noticed ? el("p", { class: "problem" }, `On the test split: ${noticed}`) : null,
  best ? el("p", {}, modelLink(id, "All about this model")) : null, list(pairs),
  el("details", {}, el("summary", {}, "Status of the run"), list(data.status)));
  const right = id === null ? null : el("figure", {}, architecture(placeOf.get(id)), best && best.maps ? [
    el("div", { class: "thumbnails" }, models.images.slice(0, 4).map((image, at) =>
      el("img", { src: image, alt: `test image of class ${names[models.labels[at]]}` }))), thumbnails(id),
    el("figcaption", {}, `candidate ${id}, test images (${models.labels.slice(0, 4)
      .map((label) => names[label]).join(", ")}), and what it looks at: ${Object.keys(best.maps).join(", ")}`)]
    : null);
  made.append(el("div", { class: "grid-of summary" }, left, right || ""));
  if (data.collapses) made.append(el("p", { class: "problem" }, data.collapses));
  if (!shownPlaces.length) made.append(el("p", {}, "No candidate has a result yet."));
}
const modelLink = (id, text) => el("a", { href: `#model-${id}`,
  onclick: () => { document.getElementById(`model-${id}`).open = true; } }, text);

function gallerySection() {
  const able = models.models.filter((model) => model.maps);
  if (!able.length) return;
  section("gallery", "What the models look at", "The same test images for all models, and below them the "
    + `attributions for the class that each model predicts. ${MAPS}`,
  gallery(able, (model) => [idButton(model.id), " "]));
}

function curves(model) {
  const kinds = [...new Set(model.history.flatMap(Object.keys).map((key) => key.replace(/^val_/, "")))];
  return kinds.map((kind) => {
    const lines = [[kind, "--blue", [], "training", "blue"], [`val_${kind}`, "--orange", [6, 4], "validation",
      "orange, dashed"]].map(([key, ...style]) => [model.history.map((epoch) => epoch[key] ?? null), ...style])
      .filter(([values]) => values.some((value) => value !== null));
    const last = lines.map(([values, , , split, look]) => `${split} ${number(values.at(-1))} (${look})`);
    const box = el("figure", {}, el("figcaption", {}, `${kind}: ${last.join(", ")}`));
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

function modelCard(model, at) {
  const place = placeOf.get(model.id);
  const inner = el("div", { class: "model" });
  const build = () => {
    if (inner.childElementCount) return;
    inner.append(el("div", { class: "grid-of" }, el("div", {}, architecture(place), facts(place), genotype(place)),
      ...curves(model)));
    if (model.problem) inner.append(el("p", { class: "problem" }, model.problem));
    if (model.confusion) {
      inner.append(el("p", {}, `Test accuracy ${percentText(model.accuracy)}. ${model.weak_classes}`),
        el("div", { class: "matrices" }, confusionMatrix(model), classAccuracies(model)),
        el("h4", {}, "Calibration"), ...calibration(model.calibration));
    }
    if (model.means) inner.append(el("h4", {}, "Behind its introspectability"), ...classMeansOf(model));
    for (const note of model.notes || []) inner.append(el("p", { class: "problem" }, note));
    const shown = quality(model);
    if (shown) {
      inner.append(el("h4", {}, "Quality of its attributions"),
        ...model.warnings.map((warning) => el("p", { class: "problem" }, marked(warning))), shown);
    }
    const recorded = Object.entries(model.metrics).map(([name, value]) => [name, number(value)]);
    inner.append(...[["Layers", model.layers && layers(model)], ["All recorded metrics", scroller(
      "All recorded metrics", table(["metric", "value"], recorded, "recorded metrics"))]]
      .filter(([, content]) => content).map(([title, content]) =>
        el("details", {}, el("summary", {}, title), content)));
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
    + "xnas-tf report --candidate ID shows others, --models N more. " : "") + (models.models.length ? "Open a model to see its results." : ""),
  models.problem ? el("p", { class: "problem" }, `No model was opened: ${models.problem}`) : null,
  ...models.models.map(modelCard));
}

function moreSection() {
  const missing = [
    [!data.retrainings.found.length, "test accuracy after full training, alongside a baseline", "xnas-tf retrain"],
    [!models.models.some((model) => Object.keys(model.quality).length), "quality of attributions", "xnas-tf explain"],
    ...data.interpretations.map((kind) => [!kind.found.length, kind.title, kind.command]),
  ].filter(([isMissing]) => isMissing).map(([, what, command]) => [what, el("code", {}, `${command} ${data.path}`)]);
  if (missing.length) {
    section("more", "More", "To add more, run one of these commands and write the report again.", scroller("More",
      table(["adds", "command"], missing, "not in this report yet")));
  }
}

drawAll([summarySection, ...(shownPlaces.length ? [frontSection] : []), tableSection, gallerySection,
  modelsSection, violatingSection, progressSection, retrainedSection, influenceSection, ...(shownPlaces.length
    ? [parallelSection] : []), lineageSection, interpretationsSections, groupsSection, lostSection, moreSection]);
