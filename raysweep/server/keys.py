"""Who may call: a key that is compared in constant time, or tokens that do not live long."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from secrets import token_urlsafe

from raysweep.server.refusal import Refusal

MANAGEMENT = "/subscriptions/"
"""Where Azure's management routes begin: they take a bearer alone."""
ADMIN = "/admin/"
"""Where a rehearsal's own routes begin: they take the key itself, whatever the wire takes."""


@dataclass
class Keys:
    """The server's key, and the tokens that were handed out for it."""

    key: str = field(repr=False)
    takes_key: bool = True
    """False: only tokens will do on the wire, as on a resource with its keys disabled."""
    token_ttl_s: float = 3600.0
    _tokens: dict[str, float] = field(default_factory=dict, repr=False)
    """When each ends."""

    def check(self, headers: Mapping[str, str], path: str, now_s: float) -> None:
        """Raises Refusal for a call without a key or token, or with one that does not fit."""
        kind, _, bearer = headers.get("authorization", "").partition(" ")
        bearer = bearer.strip() if kind.lower() == "bearer" else ""
        named = "" if path.startswith(MANAGEMENT) else headers.get("api-key", "")
        if not bearer and not named:
            message = "You didn't provide an API key. You need to provide your API key in an Authorization header."
            raise Refusal(401, message)
        if (self.takes_key or path.startswith(ADMIN)) and self._is_key(named or bearer):
            return
        if bearer and not path.startswith(ADMIN) and self._tokens.get(bearer, 0.0) > now_s:
            return
        raise Refusal(401, "Incorrect API key provided.", code="invalid_api_key")

    def hand_out(self, now_s: float) -> str:
        """A new token; those that have ended are forgotten."""
        self._tokens = {token: ends_at_s for token, ends_at_s in self._tokens.items() if ends_at_s > now_s}
        token = token_urlsafe(32)
        self._tokens[token] = now_s + self.token_ttl_s
        return token

    def _is_key(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.key.encode())
