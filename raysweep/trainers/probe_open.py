"""A host for a probe: the SDK's client and the calls that may be made again, without the gate that hides a host."""

from raysweep.clock import Clock
from raysweep.config import WireTrainer
from raysweep.trainers.dialects import dialect_of
from raysweep.trainers.gate_calls import Calls
from raysweep.trainers.gate_client import WireClient
from raysweep.trainers.gate_identity import SCOPE, entra_token, key_of
from raysweep.trainers.gate_pace import Pace
from raysweep.trainers.probe_host import Order, ProbeHost


def open_host(settings: WireTrainer, order: Order, clock: Clock) -> ProbeHost:
    """Asks nothing yet. Raises ConfigError where the settings do not fit, or there is no key."""
    dialect = dialect_of(settings)
    credential = entra_token(SCOPE) if settings.identity == "entra" else key_of(dialect)
    calls = Calls(Pace(dialect.limits.requests_per_minute, clock), clock)
    return ProbeHost(order, WireClient(dialect, credential), calls, dialect)
