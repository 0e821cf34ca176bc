"""One question each, answered by a function of the bench that hands back figures and findings.

To add one, write its module and its line here.
"""

from collections.abc import Callable, Mapping

from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Results
from tests.benchmarks.sections.ceiling import measure_ceiling
from tests.benchmarks.sections.clients import measure_clients
from tests.benchmarks.sections.instances import measure_instances
from tests.benchmarks.sections.introspection import measure_introspection
from tests.benchmarks.sections.memory import measure_memory
from tests.benchmarks.sections.revoked import measure_revoked
from tests.benchmarks.sections.start import measure_start
from tests.benchmarks.sections.tokens import measure_tokens

SECTIONS: Mapping[str, Callable[[Bench], Results]] = {
    "tokens": measure_tokens,
    "introspection": measure_introspection,
    "clients": measure_clients,
    "revoked": measure_revoked,
    "start": measure_start,
    "memory": measure_memory,
    "ceiling": measure_ceiling,
    "instances": measure_instances,
}
