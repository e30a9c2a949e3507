// Retrained models: a table and curves for each configuration.
function retrainedSection() {
  const { found, problem } = data.retrainings;
  if (!found.length && !problem) return;
  section("retrained", "Retrained", found.length ? "Fully trained with several seeds, and compared with a "
    + "hand-designed residual network. The best epoch by validation accuracy was evaluated on the test split. 95% "
    + "intervals are those of the mean over seeds (t), which do not account for other test images, or of one model "
    + "over the test images (Wilson)." : "",
  problem ? el("p", { class: "problem" }, problem) : null,
  ...found.map((each, at) => {
    const inner = el("div", {});
    const options = Object.entries(each.space).map(([name, value]) =>
      `${name} ${value && typeof value === "object" ? JSON.stringify(value) : plain(value)}`).join(", ");
    inner.append(el("p", { class: "about" }, options), retrainedTable(each),
      ...each.notes.map((text) => el("p", { class: "about" }, text)));
    if (each.failures.length) {
      inner.append(...each.failures.map((one) =>
        el("p", { class: "problem" }, `${one.title}, seed ${one.seed} failed: ${one.reason}`)));
    }
    if (each.models.length) retrainedCurves(inner, each);
    return el("details", { open: at === found.length - 1 }, el("summary", {}, el("h3", {},
      `${plural(each.epochs, "epoch")} at most, patience ${each.patience}`), ` ${each.name}`), inner);
  }));
}
function retrainedTable(each) {
  const ends = each.models.flatMap((model) => model.test_accuracy);
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const isSizeKnown = each.columns.some(({ name }) => name === "parameters");
  const rows = each.models.map((model) => [
    el("th", { scope: "row" }, model.candidate ? idButton(model.candidate) : "", ` ${model.model}`),
    whisker(model.test_accuracy, low, high), accuracyText(model.test_accuracy), model.interval,
    ...model.values.map(meanText),
    ...(isSizeKnown ? [] : [number(model.parameters)]), model.best_epochs.join(", ")]);
  return scroller("Retrained models", table(["model", "", "test accuracy (95%)", "interval",
    ...each.columns.map(({ title }) => title),
    ...(isSizeKnown ? [] : ["parameters"]), "best epochs"],
  rows, "retrained models; objectives on the validation split, ± half of the t interval"));
}
const accuracyText = ([low, mean, high]) =>
  `${(100 * mean).toFixed(2)}% (${(100 * low).toFixed(2)} to ${(100 * high).toFixed(2)})`;
// The baseline has no metrics of a HyperModel.
const meanText = (found) => (found === null ? "–" : found.interval === null ? number(found.mean)
  : `${number(found.mean)} ± ${brief(found.interval[2] - found.interval[1])}`);

// One line per seed; those of the marked model are highlighted.
function retrainedCurves(parent, each) {
  const errors = each.models.flatMap((model) => model.curves.flat()).map((accuracy) => 1 - accuracy);
  // The axis is logarithmic: an error of zero is drawn at half the smallest other error.
  const least = Math.min(1, ...errors.filter((error) => error > 1e-9)) / 2;
  const lines = each.models.flatMap((model) => model.curves.map((values) => ({ id: model.candidate,
    values: values.map((accuracy) => Math.max(1 - accuracy, least)) })));
  const ids = new Set(lines.map(({ id }) => id).filter((id) => id !== null));
  const only = ids.size === 1 ? [...ids][0] : null;
  const isMarked = (id) => id !== null && id === (only ?? chosenId);
  const box = el("figure", {}, el("figcaption", {}, "validation error, one line per seed: residual network (blue, "
    + `dashed), ${only === null ? "the marked candidate (orange), others (grey)" : `candidate ${only} (orange)`}`));
  parent.append(box);
  const style = (id) => (id === null ? ["--blue", 1.5, [6, 4]] : isMarked(id) ? ["--orange", 2.5, []]
    : ["--grey", 1, []]);
  new Plot(box, "Validation error by epoch", 260, () => ({
    x: { title: "epoch", whole: true, values: [1, ...lines.map(({ values }) => values.length)] },
    y: { title: axisTitle("validation error", true), log: true, values: lines.flatMap(({ values }) => values) },
    draw: (plot) => [...lines].sort((a, b) => isMarked(a.id) - isMarked(b.id))
      .forEach(({ values, id }) => {
        const [hue, width, dash] = style(id);
        plot.path(values.map((value, at) => [plot.x(at + 1), plot.y(value)]), colour(hue), width, dash);
      }) }));
}
