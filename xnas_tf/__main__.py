"""Makes ``python -m xnas_tf`` equivalent to the ``xnas-tf`` command."""

from xnas_tf.cli import main

main(prog_name="xnas-tf")
