"""``python -m xnas_tf`` is ``xnas-tf``."""

from xnas_tf.cli import main

main(prog_name="xnas-tf")
