"""Who we are to a host, and the SDK's client that says so."""

import re
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from raysweep import environment
from raysweep.errors import ConfigError
from raysweep.trainers.dialects import Dialect
from raysweep.trainers.host_errors import HostError, No

if TYPE_CHECKING:
    from openai import OpenAI

SCOPE = "https://cognitiveservices.azure.com/.default"
"""Of a token that Azure OpenAI takes."""
PLACE_HOLDER = "YOUR-RESOURCE"
"""What the shipped configs say in place of an Azure resource's name."""
Credential = str | Callable[[], str]
"""A key, or what makes a fresh token."""
Tokens = Callable[[str], Callable[[], str]]
"""Makes what makes tokens for a scope."""


REMEMBERED = 64
"""Tokens that a host may still repeat in an answer; one that lives for a minute is made anew for each call."""
_BEARER = re.compile(r"Bearer\s+[^\s'\"]+")


class Pass:
    """What a call shows to a host, and nobody else may see: a key, or a fresh token."""

    def __init__(self, credential: Credential) -> None:
        self._credential = credential
        self._shown: deque[str] = deque([credential] if isinstance(credential, str) else (), REMEMBERED)

    @property
    def is_key(self) -> bool:
        """Whether it is a key, and no token."""
        return isinstance(self._credential, str)

    @property
    def for_sdk(self) -> Credential:
        """The key itself, or what the SDK asks before each call."""
        return self._credential if isinstance(self._credential, str) else self.shown

    def shown(self) -> str:
        """The key, or a token that is good now. Raises HostError where there is none."""
        word = self._credential if isinstance(self._credential, str) else self._credential()
        if word not in self._shown:
            self._shown.append(word)
        return word

    def clean(self, words: str) -> str:
        """Without the key and the tokens: hosts and proxies repeat what they were sent."""
        for word in tuple(self._shown):
            for form in (word, repr(word)[1:-1]):
                words = words.replace(form, "***")
        return _BEARER.sub("Bearer ***", words)


def key_of(dialect: Dialect) -> str:
    """The key that the environment holds; raises ConfigError where the variable is not set."""
    key = environment.secret(dialect.key_env)
    if key is None:
        raise ConfigError(
            f"trainer.key_env: the variable {dialect.key_env} is not set; export it, or name the one that holds the key"
        )
    return key


def always(key: str) -> Tokens:
    """The key for every scope: our own server takes it where Azure wants a token."""
    return lambda _scope: lambda: key


def entra_token(scope: str) -> Callable[[], str]:
    """What makes tokens for a scope, fresh ones when they run out; raises ConfigError without the extra."""
    try:
        from azure.core.exceptions import AzureError
        from azure.identity import DefaultAzureCredential, get_bearer_token_provider
    except ImportError as error:
        raise ConfigError("trainer.identity: entra wants the extra: pip install 'raysweep[azure]'") from error
    provider: Callable[[], str] = get_bearer_token_provider(DefaultAzureCredential(), scope)

    def token() -> str:
        try:
            return provider()
        except AzureError as error:
            raise HostError(f"a token for {scope}", No.KEY, f"{type(error).__name__}: {error}") from None

    return token


def refuse_place_holder(dialect: Dialect) -> None:
    """Raises ConfigError for the address of a shipped config that nobody has put his own resource into."""
    if PLACE_HOLDER in (dialect.base_url or ""):
        raise ConfigError(
            f"trainer.base_url: {dialect.base_url} is a place-holder; put your own resource in place of {PLACE_HOLDER}"
        )


def sdk_client(dialect: Dialect, credential: Credential, heard: Callable[[Mapping[str, str]], None]) -> "OpenAI":
    """A client whose address and credential are said: no variable of the environment leads a rehearsal elsewhere.

    `heard` is told the headers of every answer.
    """
    import openai

    host = urlsplit(dialect.base_url or "").hostname
    # A proxy of the environment is asked for hosts alone: what goes to this machine stays on it.
    http = openai.DefaultHttpx2Client(
        trust_env=host not in ("127.0.0.1", "localhost", "::1"),
        event_hooks={"response": [lambda response: heard(response.headers)]},
    )
    if dialect.url_form == "plain":
        return openai.OpenAI(base_url=dialect.base_url, api_key=credential, max_retries=0, http_client=http)
    return openai.AzureOpenAI(
        base_url=f"{(dialect.base_url or '').rstrip('/').removesuffix('/openai')}/openai",
        api_version=dialect.api_version,
        api_key=credential if isinstance(credential, str) else None,
        azure_ad_token_provider=None if isinstance(credential, str) else credential,
        max_retries=0,
        http_client=http,
    )
