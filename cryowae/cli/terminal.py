"""Progress on standard error, as every command shows it: bars on a terminal, now and then a line in a log file."""

from cryowae.progress import TerminalProgress

progress = TerminalProgress
