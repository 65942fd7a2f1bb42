"""The dashboard: one address, one login, nothing loaded from anywhere else.

Steps, in order:

1. `login`       a one-time token in the address becomes a session cookie that no script can read;
2. `statements`  what each page asks of published gold;
3. `figures`     the answers, asked again only when a version has moved;
4. `road`        rows, rates, lag and ages by stage, from the processes' metrics snapshots;
5. `live`        one thread makes the states of open pages; each page gets its own over server-sent events;
6. `look`        rows behind a number, dead letters one by one, and by `trail` the road of one event;
7. `assets/`     the pages themselves: HTML, CSS and ES modules, written by hand, no build step.
"""
