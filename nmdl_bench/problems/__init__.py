"""What is minimised: networks over data, as host-side descriptions that bind to any backend.

Importing this package registers the listed problems; a user's own registers itself the same way, from any file.
"""

from nmdl_bench.problems import convex, ill_posed, single_layer, supervised
from nmdl_bench.problems.composite import BoundedObjective, CompositeObjective, CompositeProblem
from nmdl_bench.problems.learning import LearningObjective, LearningProblem
from nmdl_bench.problems.linear import LinearObjective, LinearProblem

__all__ = [
    "BoundedObjective",
    "CompositeObjective",
    "CompositeProblem",
    "LearningObjective",
    "LearningProblem",
    "LinearObjective",
    "LinearProblem",
    "convex",
    "ill_posed",
    "single_layer",
    "supervised",
]
