"""A few LoRA steps on a CPU: the loss falls, and only LoRA, graph and projection get a gradient.

python benchmarks/lora_steps.py [--dataset=yelp] [--steps=12] [--key=value ...]
"""

import sys
import time

import torch

from recbole_symcere.cli import parse_pairs
from recbole_symcere.plugin.config import Config
from recbole_symcere.run.prepare import build_model, read_dataset, split_data


def main() -> None:
    """Train some steps and print the terms of the loss and who has a gradient."""
    pairs = parse_pairs(sys.argv[1:])
    dataset, steps = pairs.pop("dataset", "yelp"), int(pairs.pop("steps", 12))
    settings = {"text_mode": "lora", "train_batch_size": 64, "lora_learning_rate": 0.001, **pairs}
    config = Config("SymCERE", dataset, config_dict=settings)
    train_data, _, _ = split_data(config, read_dataset(config))
    model = build_model(config, train_data).train()
    optimizer = torch.optim.Adam(model.parameter_groups(), lr=config["learning_rate"])
    started = time.perf_counter()
    for step, batch in zip(range(steps), train_data, strict=False):
        optimizer.zero_grad()
        terms = model.calculate_loss(batch)
        loss = sum(terms)
        loss.backward()
        optimizer.step()
        shown = ", ".join(f"{k} {v.item():.4f}" for k, v in terms._asdict().items())
        print(f"step {step:>2}  loss {loss.item():.4f} ({shown})")
    print(f"{(time.perf_counter() - started) / steps:.1f} s per step")
    learning = [name for name, p in model.named_parameters() if p.grad is not None]
    parts = sorted({"LoRA" if "lora_" in name else name.split(".")[0] for name in learning})
    print(f"gradient in: {', '.join(parts)}")
    size = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    print(f"a checkpoint holds {size / 1e6:.1f} MB of weights")


if __name__ == "__main__":
    main()
