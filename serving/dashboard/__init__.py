"""The live page: one address, one login, nothing loaded from anywhere else.

Steps, in order:

1. `login`    a one-time token in the address becomes a session cookie that no script can read;
2. `figures`  what the page shows of gold and quarantine, asked again only when a version has moved;
3. `road`     rows, rates, lag and ages by stage, from the processes' metrics snapshots;
4. `live`     one thread makes the state every two seconds; every open page gets it over server-sent events;
5. `assets/`  the page itself: HTML, CSS and ES modules, written by hand, no build step.
"""
