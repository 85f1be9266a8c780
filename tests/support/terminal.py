"""What programs write to a terminal of ours."""

import os


def shown(terminal):
    """Yields it, piece by piece, until nobody has the terminal any longer.

    Linux says once that its last user is gone where that one wrote and closed it between the look for what there is to read and the look
    for users (`n_tty_read` in drivers/tty/n_tty.c). What was written last is there at the next read.
    """
    refusals = 0
    while refusals < 2:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            refusals += 1
            continue
        if not piece:
            return
        refusals = 0
        yield piece
