"""Azure's deployments: the names under which its models answer."""

from collections.abc import Sequence
from dataclasses import dataclass

from raysweep.server.fields import Fields
from raysweep.server.models import Models
from raysweep.server.records import Deployment
from raysweep.server.refusal import Refusal, bad, missing_parameter
from raysweep.server.store import Store


@dataclass(frozen=True)
class Wanted:
    """What a deployment is to be."""

    model: str
    sku: str
    capacity: int


def parse_deployment(fields: Fields) -> Wanted:
    """The body of a PUT. Raises Refusal for one that does not fit."""
    sku, properties = fields.section("sku"), fields.section("properties")
    model = properties.section("model") if properties else None
    if sku is None:
        raise missing_parameter("sku")
    if model is None:
        raise missing_parameter("properties.model")
    capacity = sku.whole("capacity", low=1, high=1_000_000)
    return Wanted(model.needed_text("name"), sku.needed_text("name"), 1 if capacity is None else capacity)


class Deployments:
    """All of a resource, by name."""

    def __init__(self, store: Store, models: Models, limit: int, deploy_s: float) -> None:
        self._store = store
        self._models = models
        self._limit = limit
        self._deploy_s = deploy_s
        self._all = {deployment.name: deployment for deployment in store.load(Deployment)}
        self.most = len(self._all)
        """The most that there were at any time since the start."""

    def put(self, name: str, wanted: Wanted, now_s: float) -> Deployment:
        """Make or change one. Raises Refusal for an unknown model, and where one more would be too many."""
        if wanted.model not in self._models.bases:
            self._models.find(wanted.model)
        former = self._all.get(name)
        if former is not None and former.model == wanted.model:
            return former
        if former is None and len(self._all) >= self._limit:
            message = f"The maximum number of deployments, {self._limit}, has been reached. Delete one."
            raise Refusal(429, message, code="QuotaExceeded", headers={"x-should-retry": "false"})
        deployment = Deployment(name, wanted.model, wanted.sku, wanted.capacity, now_s)
        self._store.save([deployment])
        self._all[name] = deployment
        self.most = max(self.most, len(self._all))
        return deployment

    def get(self, name: str) -> Deployment:
        """The deployment. Raises Refusal where there is none."""
        if name not in self._all:
            raise Refusal(404, f"The deployment '{name}' was not found.", code="ResourceNotFound")
        return self._all[name]

    def all(self) -> Sequence[Deployment]:
        """In the order in which they were made."""
        return list(self._all.values())

    def delete(self, name: str) -> bool:
        """Forget one; whether there was one."""
        if name not in self._all:
            return False
        self._store.drop(Deployment, name)
        del self._all[name]
        return True

    def is_ready(self, deployment: Deployment, now_s: float) -> bool:
        """Whether it answers by now."""
        return now_s >= deployment.created_at_s + self._deploy_s

    def answering(self, name: str, now_s: float) -> str:
        """The model behind a name. Raises Refusal where nothing is deployed under it, or not yet."""
        deployment = self._all.get(name)
        if deployment is None or not self.is_ready(deployment, now_s):
            message = (
                "The API deployment for this resource does not exist. If you created the deployment within the last "
                "5 minutes, please wait a moment and try again."
            )
            raise Refusal(404, message, code="DeploymentNotFound")
        return deployment.model

    def check_free(self, model: str) -> None:
        """Raises Refusal for a model that is deployed."""
        holders = [one.name for one in self._all.values() if one.model == model]
        if holders:
            raise bad(
                f"The model is deployed as {', '.join(holders)}. Delete that first.", param="model", code="conflict"
            )
