"""The faults, by name: what each does to a field, and what must hold besides what the checker looks at."""

from tests.chaos.faults import commands, databases, networks, outboxes, redises, workers
from tests.chaos.faults.fault import Fault

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for module in (workers, databases, redises, networks, commands, outboxes)
    for fault in module.FAULTS
}
