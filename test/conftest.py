"""What holds for every test."""

import signal

# Started in the background of a script, a process ignores Ctrl-C and so do its children; the
# tests that interrupt programs need them as they are in a terminal.
signal.signal(signal.SIGINT, signal.default_int_handler)
