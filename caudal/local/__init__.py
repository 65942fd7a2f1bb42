"""The platform on one machine, in the order in which it comes to life.

1. ``jars``        resolves the Java archives once, into one folder
2. ``kafka`` ``valkey`` ``s3``   say how each server is made, started and known to be ready
3. ``plan``        lists the children of one install, in order
4. ``ports``       finds a free port for each of them
5. ``orphans``     ends what a killed supervisor left behind
6. ``child``       one process in its own process group
7. ``supervisor``  starts, watches, restarts and stops them
8. ``memory``      samples what they use; ``record`` writes what other processes may know
"""
