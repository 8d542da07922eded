"""What is minimised: networks over data, as host-side descriptions that bind to any backend.

Importing this package registers the listed problems; a user's own registers itself the same way, from any file.
"""

from nmdl_bench.problems import ill_posed, supervised
from nmdl_bench.problems.learning import LearningObjective, LearningProblem
from nmdl_bench.problems.linear import LinearObjective, LinearProblem

__all__ = ["LearningObjective", "LearningProblem", "LinearObjective", "LinearProblem", "ill_posed", "supervised"]
