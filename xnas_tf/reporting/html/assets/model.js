// The report on a single model.
const [model] = models.models;

drawAll([
  () => section("summary", "Summary", null,
    data.problem ? el("p", { class: "problem" }, marked(data.problem)) : null, list(data.facts)),
  () => section("gallery", "What the model looks at", "Test images, and below them the attributions for the class "
    + `that the model predicts. ${MAPS}`, gallery(models.models, () => null),
  model.notes.map((note) => el("p", { class: "problem" }, marked(note)))),
  () => section("quality", "Quality of the attributions", null, quality(model)),
  () => section("mistakes", "Accuracy and mistakes", "On the whole test split.",
    el("div", { class: "matrices" }, confusionMatrix(model), classAccuracies(model))),
  () => section("calibration", "Calibration", null, ...calibration(model.calibration)),
  () => model.means.length && section("introspectability", "Introspectability", null, ...classMeansOf(model)),
  interpretationsSections,
  () => section("layers", "Layers", null, layers(model)),
]);
