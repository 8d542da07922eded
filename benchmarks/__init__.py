"""The asv suite: thin adapters over nmdl_bench, which does the measuring.

asv imports every module of this package, in an environment where any array library may be missing: no module here
imports one at its top.
"""

import os

from nmdl_bench.measure.threads import thread_environment

# asv's matrix pins threads too, but not in environments of type `existing`
os.environ |= thread_environment(1)
