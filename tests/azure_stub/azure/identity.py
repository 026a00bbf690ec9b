"""Stands in for the package azure-identity: tokens of the local server's own identity service, which run out."""

import json
import os
import time
import urllib.request

from azure.core.exceptions import AzureError


class DefaultAzureCredential:
    """Whoever the environment says."""

    def token(self):
        request = urllib.request.Request(os.environ["TEST_TOKEN_URL"], method="POST")
        request.add_header("Authorization", f"Bearer {os.environ['TEST_TOKEN_KEY']}")
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:
                return json.loads(reply.read())
        except OSError as error:
            raise AzureError(f"no identity service: {error}") from error


def get_bearer_token_provider(credential, scope):
    """Fresh tokens shortly before the old ones run out, as the real one makes them."""
    assert scope.endswith("/.default")
    held = {"until_s": 0.0}

    def provide():
        if time.monotonic() >= held["until_s"]:
            said = credential.token()
            held.update(token=said["access_token"], until_s=time.monotonic() + 0.5 * said["expires_in"])
        return held["token"]

    return provide
