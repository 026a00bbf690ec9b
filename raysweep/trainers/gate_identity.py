"""Who we are to a host, and the SDK's client that says so."""

from collections.abc import Callable
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
Credential = str | Callable[[], str]
"""A key, or what makes a fresh token."""
Tokens = Callable[[str], Callable[[], str]]
"""Makes what makes tokens for a scope."""


def key_of(dialect: Dialect) -> str:
    """The key that the environment holds; raises ConfigError where the variable is not set."""
    key = environment.secret(dialect.key_env)
    if key is None:
        raise ConfigError(
            f"trainer.key_env: the variable {dialect.key_env} is not set; export it, or name the one that holds the key"
        )
    return key


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


def sdk_client(dialect: Dialect, credential: Credential) -> "OpenAI":
    """A client whose address and credential are said: no variable of the environment leads a rehearsal elsewhere."""
    import openai

    host = urlsplit(dialect.base_url or "").hostname
    # A proxy of the environment is asked for hosts alone: what goes to this machine stays on it.
    direct = openai.DefaultHttpx2Client(trust_env=False) if host in ("127.0.0.1", "localhost", "::1") else None
    if dialect.url_form == "plain":
        return openai.OpenAI(base_url=dialect.base_url, api_key=credential, max_retries=0, http_client=direct)
    return openai.AzureOpenAI(
        base_url=f"{(dialect.base_url or '').rstrip('/').removesuffix('/openai')}/openai",
        api_version=dialect.api_version,
        api_key=credential if isinstance(credential, str) else None,
        azure_ad_token_provider=None if isinstance(credential, str) else credential,
        max_retries=0,
        http_client=direct,
    )
