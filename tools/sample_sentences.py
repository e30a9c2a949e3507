"""Samples sentences from pages, help texts and docstrings, to be marked if they sound unnatural.

    python tools/sample_sentences.py 40 --seed 1

Each of the three kinds gets an equal share. Each sentence is printed with the place where it
occurs.
"""

import ast
import random
import re
from collections.abc import Iterator
from pathlib import Path

import click

from xnas_tf.cli import main as cli

ROOT = Path(__file__).parents[1]
BLOCKS = re.compile(
    r"^ *```.*?^ *```|^:::.*?$(?:\n    .*?$)*|</?[a-z][^>]*>", re.MULTILINE | re.DOTALL
)
PARAGRAPHS = re.compile(r"\n\s*\n|\n(?= *(?:[-*]|\d+\.) )|\n *\**\w+: ")


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of running text, without code blocks, tables, headings and pictures."""
    for paragraph in PARAGRAPHS.split(BLOCKS.sub("", text)):
        plain = " ".join(paragraph.split()).lstrip("-*0123456789. ")
        if plain.startswith(("|", "#", "!", ":::")):
            continue
        for sentence in re.split(r"(?<=[.!?:]) (?=[A-Z`*\[])", plain):
            if len(sentence.split()) >= 5:
                yield sentence


def pages() -> Iterator[tuple[str, str]]:
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]:
        for sentence in sentences(path.read_text(encoding="utf-8")):
            yield str(path.relative_to(ROOT)), sentence


def helps(command: click.Command = cli, name: str = "xnas-tf") -> Iterator[tuple[str, str]]:
    options = (getattr(option, "help", None) or "" for option in command.params)
    for text in [(command.help or "").replace("\b", ""), *options]:
        for sentence in sentences(re.split(r"\n\s*Example", text)[0]):
            yield f"{name} --help", sentence
    for below, each in getattr(command, "commands", {}).items():
        yield from helps(each, f"{name} {below}")


def docstrings() -> Iterator[tuple[str, str]]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for path in sorted(ROOT.glob("xnas_tf/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = ast.get_docstring(node) if isinstance(node, documented) else None
            for sentence in sentences(text or ""):
                yield str(path.relative_to(ROOT)), sentence


@click.command()
@click.argument("count", type=click.IntRange(3), default=40)
@click.option("--seed", default=0)
def main(count: int, seed: int) -> None:
    rng = random.Random(seed)
    for kind, source in enumerate((pages, helps, docstrings)):
        found = sorted(set(source()))
        for place, sentence in rng.sample(found, count // 3 + (kind < count % 3)):
            click.echo(f"[{place}] {sentence}")


if __name__ == "__main__":
    main()
