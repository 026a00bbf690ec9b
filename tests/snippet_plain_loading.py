import json
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer


def load(folder: str):
    """A function from a prompt to the labels' probabilities (to the rating, for a regression head)."""
    said = json.loads((Path(folder) / "raysweep_model.json").read_text())
    is_encoder, base = said["family"] == "encoder", said["base_model_path"]
    tokenizer = AutoTokenizer.from_pretrained(base)
    kind = AutoModel if is_encoder else AutoModelForCausalLM
    model = PeftModel.from_pretrained(kind.from_pretrained(base), folder).eval()
    head = load_file(Path(folder) / "head.safetensors") if is_encoder else {}

    @torch.no_grad()
    def predict(prompt: str) -> torch.Tensor:
        text = said["prompt"]["template"].replace("{prompt}", prompt)
        ids = tokenizer(text, truncation=True, max_length=said["max_length"], return_tensors="pt").input_ids
        if not is_encoder:  # the log-likelihood of each label's word after the prompt
            scores = torch.stack([score(ids, torch.tensor(word)) for word in said["label_tokens"]])
            return scores.softmax(0)
        output = model(ids).last_hidden_state.mean(1)[0] @ head["weight"].T + head["bias"]
        middle, spread = said["rating_scale"] or (0, 1)
        return output.softmax(0) if said["loss"] == "cross_entropy" else middle + spread * output

    def score(ids: torch.Tensor, word: torch.Tensor) -> torch.Tensor:
        logits = model(torch.cat([ids, word[None]], 1)).logits[0, -1 - len(word) : -1]
        return logits.log_softmax(1).gather(1, word[:, None]).sum()

    return predict
