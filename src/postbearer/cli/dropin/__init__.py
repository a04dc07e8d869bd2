"""The command ``sendmail``, made to start fast.

Nothing here imports more than built-in modules, ``_socket`` and each other on the way of a hand-over: the
script that ``postbearer sendmail --install`` writes runs under ``python -IS``, where half of the time of
an ordinary Python program is not spent.
"""
