"""Deployments at Azure: a tuned model answers only while it has one, and an account has few."""

import threading
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from raysweep.config import WireTrainer
from raysweep.config.wire import AzureSection
from raysweep.trainers.dialects import Dialect
from raysweep.trainers.gate_identity import Pass, Tokens
from raysweep.trainers.gate_parse import page
from raysweep.trainers.host_errors import HostError, No, kind_of
from raysweep.trainers.hosted import Deployment

if TYPE_CHECKING:
    import httpx2

MANAGEMENT_SCOPE = "https://management.azure.com/.default"
"""The management route takes no api-key, only a token."""
TIMEOUT_S = 60.0
PREFIX = "raysweep-"
"""What the names of our deployments begin with; nobody else's is ever touched."""


class Deployer:
    """Makes and deletes deployments of one account."""

    def __init__(self, azure: AzureSection, token: Callable[[], str]) -> None:
        import httpx2

        self._azure = azure
        self._pass = Pass(token)
        self._lock = threading.Lock()
        account = f"subscriptions/{azure.subscription}/resourceGroups/{azure.resource_group}"
        provider = f"providers/Microsoft.CognitiveServices/accounts/{azure.account}"
        self._url = f"{azure.management_url.rstrip('/')}/{account}/{provider}/deployments"
        self._client = httpx2.Client(timeout=TIMEOUT_S, trust_env=False)
        weakref.finalize(self, self._client.close)

    def all(self) -> list[Deployment]:
        """Every deployment of the account, others' too."""
        values = self._call("GET", "").get("value")
        return [_deployment(one) for one in values if isinstance(one, dict)] if isinstance(values, list) else []

    def deploy(self, name: str, model: str, cap: int | None) -> Deployment | None:
        """The one deployment of this name, begun if there is none; None while the account has no place for it."""
        with self._lock:
            there = self.all()
            found = next((one for one in there if one.name == name), None)
            if found is not None:
                return found
            if cap is not None and sum(_is_tuned(one) for one in there) >= cap:
                return None
            body = {
                "sku": {"name": self._azure.sku, "capacity": self._azure.capacity},
                "properties": {"model": {"format": "OpenAI", "name": model, "version": "1"}},
            }
            return _deployment(self._call("PUT", f"/{name}", body))

    def delete(self, name: str) -> bool:
        """Whether there was one of ours of this name."""
        if not name.startswith(PREFIX) or all(one.name != name for one in self.all()):
            return False
        self._call("DELETE", f"/{name}")
        return True

    def _call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Mapping[str, object]:
        import httpx2

        wanted = f"deployment {path.strip('/') or 'list'}"
        try:
            reply = self._client.request(
                method,
                f"{self._url}{path}",
                params={"api-version": self._azure.api_version},
                headers={"Authorization": f"Bearer {self._pass.shown()}"},
                json=body,
            )
        except httpx2.HTTPError as error:
            words = self._pass.clean(f"{self._azure.management_url}: {error}")
            raise HostError(wanted, No.SILENT, words) from None
        return _read(wanted, reply, self._pass)


def deployer_of(settings: WireTrainer, dialect: Dialect, tokens: Tokens) -> Deployer | None:
    """For a host that answers by deployments, where the settings say where they are made."""
    if not dialect.needs_deployment or settings.azure is None:
        return None
    place = settings.azure
    if settings.rehearsal is not None:  # whatever the settings say, our own server is asked
        url = urlsplit(dialect.base_url or "")
        place = place.model_copy(update={"management_url": f"{url.scheme}://{url.netloc}"})
    return Deployer(place, tokens(MANAGEMENT_SCOPE))


def _read(wanted: str, reply: "httpx2.Response", shown: Pass) -> Mapping[str, object]:
    try:
        body = reply.json() if reply.content else {}
    except ValueError:
        raise HostError(wanted, No.NOT_JSON, page(reply.status_code, shown.clean(reply.text))) from None
    if reply.is_success:
        return body if isinstance(body, dict) else {}
    inner = body.get("error") if isinstance(body, dict) else None
    said = inner if isinstance(inner, dict) else {}
    code, words = (
        str(said.get("code") or ""),
        shown.clean(str(said.get("message") or "")) or shown.clean(reply.text)[:200],
    )
    raise HostError(wanted, kind_of(reply.status_code, code, words), words)


def _deployment(found: Mapping[str, object]) -> Deployment:
    properties = found.get("properties")
    inside = properties if isinstance(properties, dict) else {}
    model = inside.get("model")
    state = str(inside.get("provisioningState") or "")
    failure = state if state in ("Failed", "Canceled") else ""
    name = str(model.get("name") or "") if isinstance(model, dict) else ""
    return Deployment(str(found.get("name") or ""), name, is_ready=state == "Succeeded", failure=failure)


def _is_tuned(deployment: Deployment) -> bool:
    return ".ft-" in deployment.model or deployment.model.startswith("ft:")
