"""Published gold in PostgreSQL, for BI tools.

Steps, in order, of one publish, all in one transaction:

1. `plan`: which marts the manifest moved since the last publish;
2. `changes`: which rows differ between the two versions, by the files that differ;
3. `tables`: the mart's table, its key, who may read it, and which rows of it;
4. `load`: COPY, and only what differs by key where that is known;
5. `reconcile`: rows, values and sums equal the lake's, or everything is rolled back;
6. `publish`: all of this, and what is published now, remembered in `caudal.published`.

`logins` makes the logins of BI tools, `verify` proves that they see their own rows and nothing else.
"""
