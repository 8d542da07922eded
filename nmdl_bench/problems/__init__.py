"""What is minimised: networks over data, as host-side descriptions that bind to any backend.

Importing this package registers the listed problems; a user's own registers itself the same way, from any file.
"""

from nmdl_bench.problems import convex, ill_posed, mgh, single_layer, supervised
from nmdl_bench.problems.composite import BoundedObjective, CompositeObjective, CompositeProblem
from nmdl_bench.problems.functions import FunctionProblem, ResidualProblem
from nmdl_bench.problems.learning import LearningObjective, LearningProblem
from nmdl_bench.problems.linear import LinearObjective, LinearProblem

__all__ = [
    "BoundedObjective",
    "CompositeObjective",
    "CompositeProblem",
    "FunctionProblem",
    "LearningObjective",
    "LearningProblem",
    "LinearObjective",
    "LinearProblem",
    "ResidualProblem",
    "convex",
    "ill_posed",
    "mgh",
    "single_layer",
    "supervised",
]
