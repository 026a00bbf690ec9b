"""What Azure has besides: deployments through the management route, and the deletion of jobs."""

from starlette.responses import Response

from raysweep.server.calls import Call, json_response
from raysweep.server.deployments import parse_deployment
from raysweep.server.fields import Fields, parse_object
from raysweep.server.records import Deployment
from raysweep.server.refusal import Refusal
from raysweep.server.replies import Reply

ACCOUNT = (
    "/subscriptions/{subscription}/resourceGroups/{group}"
    "/providers/Microsoft.CognitiveServices/accounts/{account}/deployments"
)


async def put_deployment(call: Call) -> Response:
    """PUT …/deployments/{name}: 201 for a new one, 200 for a changed one."""
    check_version(call)
    wanted = parse_deployment(Fields(parse_object(await call.request.body())))
    is_new = all(one.name != call.part("name") for one in call.host.deployments.all())
    deployment = call.host.deployments.put(call.part("name"), wanted, call.host.now_s())
    return json_response(_reply(call, deployment), 201 if is_new else 200)


async def deployment(call: Call) -> Reply:
    """GET …/deployments/{name}."""
    check_version(call)
    return _reply(call, call.host.deployments.get(call.part("name")))


async def deployments(call: Call) -> Reply:
    """GET …/deployments."""
    check_version(call)
    return {"value": [_reply(call, one) for one in call.host.deployments.all()]}


async def delete_deployment(call: Call) -> Response:
    """DELETE …/deployments/{name}: 202, or 204 where there is none."""
    check_version(call)
    return Response(status_code=202 if call.host.deployments.delete(call.part("name")) else 204)


async def delete_job(call: Call) -> Response:
    """DELETE /fine_tuning/jobs/{id}: of jobs that have ended."""
    call.host.book.delete(call.part("id"))
    return Response(status_code=204)


def check_version(call: Call) -> None:
    """Raises Refusal for a call without `api-version`, which all of Azure's dated routes demand."""
    if not call.query("api-version"):
        raise Refusal(404, "Resource not found", code="404")


def _reply(call: Call, deployment: Deployment) -> Reply:
    place = call.request.url.path.partition("/deployments")[0]
    is_ready = call.host.deployments.is_ready(deployment, call.host.now_s())
    return {
        "id": f"{place}/deployments/{deployment.name}",
        "name": deployment.name,
        "type": "Microsoft.CognitiveServices/accounts/deployments",
        "sku": {"name": deployment.sku, "capacity": deployment.capacity},
        "properties": {
            "model": {"format": "OpenAI", "name": deployment.model, "version": "1"},
            "provisioningState": "Succeeded" if is_ready else "Creating",
        },
    }
