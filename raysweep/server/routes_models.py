"""`/models` and `/chat/completions`."""

from raysweep.server.calls import Call
from raysweep.server.engine import Ask
from raysweep.server.fields import Fields, parse_object
from raysweep.server.models import Found
from raysweep.server.refusal import bad, missing_parameter, unknown_parameter
from raysweep.server.replies import Reply, chat_reply, model_deleted, model_reply

CHAT_FIELDS = (
    "model",
    "messages",
    "temperature",
    "top_p",
    "max_tokens",
    "max_completion_tokens",
    "logprobs",
    "top_logprobs",
    "seed",
    "n",
    "stop",
    "user",
    "metadata",
    "store",
    "stream",
    "logit_bias",
    "response_format",
    "service_tier",
)
UNSUPPORTED = ("stream", "logit_bias", "response_format", "stop", "top_p")
"""Known to the wire, not to this server: refused rather than ignored."""
HARMLESS = (("stream", "False"), ("top_p", "1"), ("top_p", "1.0"))
"""Unless they ask for nothing."""


async def models(call: Call) -> Reply:
    """GET /models: not in pages."""
    names = [*call.host.models.bases, *(model.name for model in call.host.models.tuned())]
    return {"object": "list", "data": [_reply(call, call.host.models.find(name)) for name in names]}


async def model(call: Call) -> Reply:
    """GET /models/{name}."""
    return _reply(call, call.host.find_model(call.part("name")))


async def delete(call: Call) -> Reply:
    """DELETE /models/{name}: tuned ones only."""
    call.host.delete_model(call.part("name"))
    return model_deleted(call.part("name"))


async def chat(call: Call) -> Reply:
    """POST /chat/completions, and Azure's /deployments/{name}/chat/completions."""
    call.host.check_credit()
    fields = Fields(parse_object(await call.request.body()))
    fields.only(CHAT_FIELDS)
    name = call.request.path_params.get("deployment") or fields.needed_text("model")
    _check_supported(fields)
    ask = _ask(fields, call.host.answering_model(str(name)))
    answer = await call.office.in_thread(lambda: call.host.engine.answer(ask))
    return chat_reply(answer, str(name), now_s=call.host.now_s(), has_logprobs=fields.flag("logprobs"))


def _reply(call: Call, found: Found) -> Reply:
    owner = call.host.settings.organization if found.tuned else "system"
    created_s = found.tuned.created_at_s if found.tuned else 1_700_000_000
    date = call.host.settings.shutdown_date
    return model_reply(found.name, created_s=created_s, owner=owner, shutdown_date=date)


def _ask(fields: Fields, found: Found) -> Ask:
    has_logprobs = fields.flag("logprobs")
    n_top = fields.whole("top_logprobs", low=0, high=20)
    if n_top and not has_logprobs:
        raise bad("'top_logprobs' is only allowed when 'logprobs' is enabled.", param="top_logprobs")
    longest = fields.whole("max_completion_tokens", low=1, high=100_000)
    longest = longest or fields.whole("max_tokens", low=1, high=100_000)
    temperature = fields.number("temperature", low=0.0, high=2.0)
    return Ask(
        model=found.name,
        tuned=found.tuned,
        messages=_messages(fields),
        max_tokens=64 if longest is None else longest,
        temperature=1.0 if temperature is None else temperature,
        n_top=n_top or 0,
        seed=fields.whole("seed", low=-(2**63), high=2**63 - 1) or 0,
    )


def _messages(fields: Fields) -> tuple[tuple[str, str], ...]:
    given = fields.raw("messages")
    if given is None:
        raise missing_parameter("messages")
    if not isinstance(given, list) or not given:
        raise bad("Invalid 'messages': expected a non-empty array.", param="messages", code="invalid_type")
    turns = []
    for place, one in enumerate(given):
        turn = one if isinstance(one, dict) else {}
        role, content = turn.get("role"), turn.get("content")
        if not isinstance(role, str) or not isinstance(content, str):
            message = f"Invalid 'messages[{place}]': this server reads a role and content that is text."
            raise bad(message, param=f"messages[{place}].content", code="invalid_type")
        turns.append((role, content))
    return tuple(turns)


def _check_supported(fields: Fields) -> None:
    for name in UNSUPPORTED:
        if fields.has(name) and (name, repr(fields.raw(name))) not in HARMLESS:
            raise unknown_parameter(name)
    if fields.has("n") and fields.raw("n") != 1:
        raise bad("Invalid 'n': this server gives one choice.", param="n")
