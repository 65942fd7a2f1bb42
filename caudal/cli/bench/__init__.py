"""`caudal bench`: speed, measured on this machine and in one run, beside what it is compared with."""
