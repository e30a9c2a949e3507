"""The section of a model card on explanations and their quality."""

from __future__ import annotations

from typing import Any

from xnas_tf.exporting.markdown import markdown_table, text
from xnas_tf.utils.number_format import brief_value


def explanations_text(card: dict[str, Any]) -> str:
    """List the attribution methods, and the measured quality of their maps."""
    known = card["explanations"]
    where = "not in these files; the format `saved_model` computes it"
    if any(each["format"] == "saved_model" for each in card["files"]):
        where = "in the signature `explain`"
    lines = [
        f"- `{name}`: {where}, as maps (batch, height, width), with "
        + text(", ".join(f"{key} {value}" for key, value in options.items() if value is not None))
        for name, options in known["methods"].items()
    ]
    lines += [
        f"- `{name}`: not available. {text(why)}" for name, why in known["inapplicable"].items()
    ]
    parts = ["\n".join(lines), _map_quality(known["quality"]["maps"], card["verified_on"])]
    rows = [
        (text(name), brief_value(value), goal_text(measure["direction"]), text(measure["meaning"]))
        for measure in known["quality"]["measured"].values()
        for name, value in measure["values"].items()
    ]
    if rows:
        table = markdown_table(("metric", "value", "goal", "meaning"), rows)
        what = "retraining" if card["retrained"] else "search"
        parts.append(f"Measured by the {what}, on validation images:\n\n{table}")
    if explained := known["quality"]["explained"]:
        table = markdown_table(
            ("metric", "means", "meaning"),
            [tuple(map(text, metric)) for metric in explained["metrics"]],
        )
        verdicts = "\n\n".join(map(text, explained["verdicts"]))
        parts.append(f"Measured by `xnas-tf explain`:\n\n{table}\n\n{verdicts}")
    return "\n\n".join(part for part in parts if part)


def _map_quality(maps: dict[str, dict[str, float | None]], images: str) -> str:
    """Return the quality of the maps and, for comparison, of random maps."""
    if not maps:
        return ""
    rows = []
    for name, means in maps.items():
        left_out = f" ({means['empty']} empty maps left out)" if means.get("empty") else ""
        values = (means["deletion"], means["insertion"])
        shown = ("–" if mean is None else f"{mean:.3f}" for mean in values)
        rows.append((text(name) + left_out, *shown))
    header = ("maps", "deletion ↓ (lower is better)", "insertion ↑ (higher is better)")
    found = (
        f"The mean probability of the predicted class, on {text(images)}, as pixels are deleted "
        "or inserted, starting with those that a map marks as most important. A useful method is "
        f"better than random maps:\n\n{markdown_table(header, rows)}"
    )
    poor = [name for name, each in maps.items() if each.get("better_than_random") is False]
    if not poor:
        return found
    names = " and ".join(f"`{name}`" for name in poor)
    return (
        f"{found}\n\nOn these images, the maps of {names} are not clearly better than random maps: "
        "they are weak evidence of what the model uses."
    )


def goal_text(direction: str) -> str:
    """Say whether lower or higher values are better."""
    return {"minimize": "↓ lower", "maximize": "↑ higher"}.get(direction, text(direction))
