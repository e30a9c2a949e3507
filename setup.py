"""Packaging of xnas-tf: the ranges that work; requirements.txt has the exact pins."""

import os
import re
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
version = next(
    line.split('"')[1]
    for line in (here / "xnas_tf" / "version.py").read_text().splitlines()
    if line.startswith("__version__")
)
# bin/setup installs one of TensorFlow's other packages: tensorflow-cpu has half the size.
tensorflow = os.environ.get("XNAS_TENSORFLOW") or "tensorflow"
BESIDE = ("configs", "examples")
"""Folders beside the package that are inside it once it is installed."""


def plain_links(text: str) -> str:
    """README.md for package indexes, which have neither its pictures nor the files it links to."""
    link = r"\[([^\[\]]*)\]\((?!https?://)[^()\s]*\)"
    text = re.sub(r"<picture>.*?</picture>|<img\b[^>]*>", "", text, flags=re.DOTALL)
    text = re.sub("!" + link, r"*(Picture in the repository: \1)*", text)
    return re.sub(link, r"\1", text)


setup(
    name="xnas-tf",
    version=version,
    description="Neural architecture search for networks that are accurate and can be understood",
    long_description=plain_links((here / "README.md").read_text(encoding="utf-8")),
    long_description_content_type="text/markdown",
    author="xnas-tf developers",
    license="GPL-3.0-or-later",
    keywords="neural architecture search, explainable AI, NSGA-II, Keras, Horovod, Grad-CAM",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 14)),
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    python_requires=">=3.10,<3.14",
    packages=[
        *find_packages(include=["xnas_tf", "xnas_tf.*"]),
        *(f"xnas_tf.{name}" for name in BESIDE),
    ],
    package_dir={f"xnas_tf.{name}": name for name in BESIDE},
    package_data={
        "xnas_tf": ["py.typed"],
        "xnas_tf.benchmark": ["tables/*.csv.gz"],
        "xnas_tf.configs": ["*.yaml"],
        "xnas_tf.examples": ["search.sbatch"],
        "xnas_tf.data": ["imagenet16_120_classes.txt"],
        "xnas_tf.objectives": ["*.csv", "WORDNET_LICENSE"],
        "xnas_tf.project": ["templates/*"],
        "xnas_tf.reporting.html": ["assets/*"],
        "xnas_tf.utils": ["assets/*"],
    },
    install_requires=[
        f"{tensorflow}>=2.16,<2.22",
        "tensorboard>=2.16",
        "keras>=3.12.1,!=3.13.0,!=3.13.1,<3.16",  # CVE-2026-1462: their safe mode is not safe
        "numpy>=1.24,<3",
        "keras-tuner>=1.4.8,<1.5",
        "tf-explain>=0.3.1,<0.4",
        "opencv-python-headless>=4.5,<6",
        "platypus-opt>=1.4.1,<1.5",
        "moocore>=0.3,<0.4",
        "pydantic>=2.7,<3",
        "PyYAML>=6",
        "click>=8.1",
        "rich>=13",
        "matplotlib>=3.8",
        "pillow>=11",
        "mlxtend>=0.23",
        "pandas>=2",
        "scikit-learn>=1.3",
        "scipy>=1.11",
        "threadpoolctl>=3",
        "joblib>=1.4",
        "psutil>=5.9",
    ],
    extras_require={
        # Needs TensorFlow installed first and --no-build-isolation: see
        # docs/get-started/installation.md.
        "horovod": ["horovod==0.28.1", "cloudpickle"],
        # Several groups of ranks: distributed.engine ray.
        "ray": ["ray>=2.55,<3"],
        # What `xnas-tf benchmark search` compares with, and reads NATS-Bench's own files with.
        "benchmark": ["pymoo>=0.6.1,<0.7", "optuna>=4,<6", "nats-bench>=1.8,<2"],
        # dataset: tfds:NAME
        "tfds": ["tensorflow-datasets>=4.9,<5"],
        # xnas-tf export --format onnx; onnx 1.19.0 says nothing of the ml-dtypes 0.5 that it needs
        "onnx": ["tf2onnx>=1.17,<2", "onnx>=1.17,<2,!=1.19.0", "onnxruntime>=1.20,<2"],
        # callbacks: [mlflow], callbacks: [wandb]
        "mlflow": ["mlflow>=3,<4"],
        "wandb": ["wandb>=0.23,<1"],
        "test": ["pytest>=8", "pytest-xdist>=3.6", "hypothesis>=6.120", "playwright"],
    },
    entry_points={"console_scripts": ["xnas-tf=xnas_tf.cli:main"]},
)
