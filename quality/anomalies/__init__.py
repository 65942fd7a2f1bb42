"""Is the input as usual: volume, delay, distribution and outliers of silver tables, hour by hour, against their past.

Steps, in order: a table's new hours as signals (`profile`) → how far each lies from what the hour of the week, the
first day of a month and holidays let expect (`seasonal`) → alarms (`detect`). `watch` does the steps for a lake;
`evaluate` measures recall and false alarms on generated series with faults.
"""
