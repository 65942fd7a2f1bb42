"""From pinned silver to published gold, one cycle at a time.

Steps of a cycle, in order: plan (which group is due) → restore (its tables are what readers see) → pin (silver
versions) → transform (dbt build) → gate (Great Expectations, in `quality`) → publish (the manifest). `cycle` reads as
that list; `verify` proves afterwards that nobody could have read anything else.
"""
