"""`python -m cryowae` is the command `cryowae`."""

from cryowae.cli import app

app()
