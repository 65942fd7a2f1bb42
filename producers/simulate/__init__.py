"""The simulators: real input for the demo, deterministic by seed, in compressed time that the origin states.

1. `settings`: rates, sizes, seed
2. `clock`: simulated time that runs a factor faster than the wall clock, and goes on after a restart
3. `people`: Brazilian people with all their identifiers, by number
4. `handbook`: payments with frauds, as bare numbers; `history` writes those of the first days for training
5. `payments`, `labels`, `accounts`: these numbers as events with personal data
6. `commerce`: shops that send webhooks, some badly, and a fake shop that the poll reads
7. `product`: page and feature events of many tenants over HTTP
8. `vandal`: records that no contract allows, and `faults`: trouble that the demo can switch on
9. `app`: all of it in threads until told to stop
"""
