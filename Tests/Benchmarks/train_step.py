"""An update of IP-Adapter at Stable Diffusion 1.5's size: Likeness and PyTorch, taking turns in one run.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install torch diffusers transformers
    swift build -c release --product likeness
    /tmp/venv/bin/python Tests/Benchmarks/train_step.py [--likeness .build/release/likeness] [--rounds 2]

Optional: nothing else needs Python. Both train the projection and W'k, W'v (22.3 M parameters) with AdamW on a frozen
UNet with random weights, batch 1, 512x512, float32, gradient checkpointing. A turn is a process of its own: one update
that is not counted, then `--repeats` that are. Prints the medians, their ratio and the peak memory of each.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time


def pytorch_turn(repeats):
    import torch
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=64, in_channels=4, out_channels=4, layers_per_block=2, block_out_channels=(320, 640, 1280, 1280),
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3, cross_attention_dim=768, attention_head_dim=8)
    adapter = {
        "image_proj": {
            "proj.weight": torch.randn(4 * 768, 1024) * 0.03, "proj.bias": torch.zeros(4 * 768),
            "norm.weight": torch.ones(768), "norm.bias": torch.zeros(768)},
        "ip_adapter": {}}
    hidden = [
        module.to_q.in_features for name, module in unet.named_modules() if name.endswith("attn2")
    ]
    # h94's numbers count diffusers' order of processors: down blocks, up blocks, mid block.
    names = [name for name in unet.attn_processors if name.endswith("attn2.processor")]
    for place, name in enumerate(names):
        module = unet.get_submodule(name.removesuffix(".processor"))
        for part in ("to_k_ip", "to_v_ip"):
            adapter["ip_adapter"][f"{2 * place + 1}.{part}.weight"] = (
                torch.randn(module.to_q.out_features, 768) * 0.03)
    assert len(hidden) == len(names) == 16
    unet._load_ip_adapter_weights([adapter])
    unet.requires_grad_(False)
    trained = list(unet.encoder_hid_proj.parameters())
    for name, processor in unet.attn_processors.items():
        if name.endswith("attn2.processor"):
            trained += list(processor.parameters())
    for parameter in trained:
        parameter.requires_grad_(True)
    unet.train()
    unet.enable_gradient_checkpointing()
    optimizer = torch.optim.AdamW(trained, lr=1e-4)
    latents, noise = torch.randn(1, 4, 64, 64), torch.randn(1, 4, 64, 64)
    text, embedding = torch.randn(1, 77, 768), torch.randn(1, 1, 1024)

    def update():
        start = time.perf_counter()
        optimizer.zero_grad()
        prediction = unet(latents, 500, text, added_cond_kwargs={"image_embeds": [embedding]}).sample
        loss = torch.nn.functional.mse_loss(prediction, noise)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1)
        optimizer.step()
        return time.perf_counter() - start

    update()
    seconds = [update() for _ in range(repeats)]
    print(json.dumps({
        "seconds": statistics.median(seconds),
        "parameters": sum(p.numel() for p in trained),
        "peakMemoryGB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
        "threads": torch.get_num_threads(), "version": torch.__version__}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--likeness", default=".build/release/likeness")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--pytorch-turn", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.pytorch_turn:
        return pytorch_turn(options.repeats)
    if not os.access(options.likeness, os.X_OK):
        sys.exit(f"{options.likeness} is not there; build it: swift build -c release --product likeness")
    turns = {
        "Likeness": [options.likeness, "bench", "train-step", "--json", "--repeats", str(options.repeats)],
        "PyTorch": [sys.executable, __file__, "--pytorch-turn", "--repeats", str(options.repeats)],
    }
    results = {name: [] for name in turns}
    for _ in range(options.rounds):
        for name, command in turns.items():
            turn = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
            if name == "Likeness":  # a list of reports
                turn = turn[0] | turn[0]["subject"]
            results[name].append(turn)
            print(f"{name}: {turn['seconds']:.1f} s an update, peak {turn['peakMemoryGB']:.1f} GB", flush=True)
    parameters = {name: turns[0]["parameters"] for name, turns in results.items()}
    if len(set(parameters.values())) != 1:
        sys.exit(f"the two do not train the same: {parameters}")
    medians = {name: statistics.median(turn["seconds"] for turn in turns) for name, turns in results.items()}
    print(f"PyTorch {results['PyTorch'][0]['version']} takes {medians['PyTorch'] / medians['Likeness']:.2f} times as long")


if __name__ == "__main__":
    main()
