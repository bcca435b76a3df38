"""Stable Diffusion 1.5's parts on this CPU: Likeness, PyTorch and OpenVINO, taking turns in one run.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install torch diffusers transformers openvino
    swift build -c release --product likeness
    /tmp/venv/bin/python Tests/Benchmarks/compare.py [--rounds 3] [--parts unet vae clip-image clip-text] [--json FILE]

    CMAKE_ARGS="-DGGML_NATIVE=ON" /tmp/venv/bin/pip install stable-diffusion-cpp-python
    /tmp/venv/bin/python Tests/Benchmarks/compare.py --parts guided-unet --engines stable-diffusion.cpp

Optional: nothing else needs Python. Real sizes, random weights, the same shapes: a step of the UNet at 512x512 with two
rows, the same where both rows have one latent (guidance), the VAE's decoder to 512x512, CLIP ViT-H/14 on one photo,
SD 1.5's text tower on two prompts. A turn is a process of its own: one pass that is not counted, then `--repeats` that
are; the median of a turn's passes counts, and the table shows the median of the turns, their range, and how many times
Likeness' time that is (the second number: of Likeness bf16's).
Everything is float32, weights too, except "… bf16", which keeps them in bfloat16. On a CPU without avx512_bf16 there is
no Likeness bf16, and OpenVINO asked for bf16 computes in f32 all the same, which the table says. stable-diffusion.cpp
draws whole pictures only, of a file (one of random weights in float16, written by Tests/Parity/checkpoints.py): its time
is that between two steps with guidance.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

PARTS = ["unet", "guided-unet", "vae", "clip-image", "clip-text"]
PICTURES = "stable-diffusion.cpp"  # an engine that draws whole pictures only


def part(name):
    """A torch module with plain tensor inputs, and those inputs."""
    import torch

    torch.manual_seed(0)
    if name in ("unet", "guided-unet"):  # diffusers repeats the latent for guidance
        from diffusers import UNet2DConditionModel

        unet = UNet2DConditionModel(
            sample_size=64, in_channels=4, out_channels=4, layers_per_block=2,
            block_out_channels=(320, 640, 1280, 1280),
            down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
            up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3, cross_attention_dim=768, attention_head_dim=8)

        class Step(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.unet = unet

            def forward(self, latent, t, text):
                return self.unet(latent, t, text, return_dict=False)[0]

        return Step().eval(), (torch.randn(2, 4, 64, 64), torch.tensor(500.0), torch.randn(2, 77, 768))
    if name == "vae":
        from diffusers import AutoencoderKL

        vae = AutoencoderKL(
            in_channels=3, out_channels=3, block_out_channels=(128, 256, 512, 512), layers_per_block=2,
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
            latent_channels=4, norm_num_groups=32)

        class Decode(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.vae = vae

            def forward(self, latent):
                return self.vae.decode(latent, return_dict=False)[0]

        return Decode().eval(), (torch.randn(1, 4, 64, 64),)
    import transformers

    if name == "clip-image":
        config = transformers.CLIPVisionConfig(
            hidden_size=1280, intermediate_size=5120, projection_dim=1024, num_hidden_layers=32,
            num_attention_heads=16, patch_size=14, hidden_act="gelu")
        tower = transformers.CLIPVisionModelWithProjection(config)

        class Embed(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.tower = tower

            def forward(self, pixels):
                return self.tower(pixels).image_embeds

        return Embed().eval(), (torch.randn(1, 3, 224, 224),)
    config = transformers.CLIPTextConfig(
        hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
    tower = transformers.CLIPTextModel(config)

    class Read(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.tower = tower

        def forward(self, tokens):
            return self.tower(tokens).last_hidden_state

    return Read().eval(), (torch.randint(0, 49000, (2, 77)),)


def timed(run, repeats):
    run()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def picture_model():
    """Writes a file of random weights, unless it is there; returns its path."""
    import tempfile

    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    sys.path.append(os.path.join(root, "Tests", "Parity"))
    import checkpoints

    home = os.path.join(tempfile.gettempdir(), "likeness-compare", "single-fp16")
    return checkpoints.write_models(home, "single-fp16", False, os.path.join(root, "deploy/miniature/tokenizer"))


def picture_turn(repeats):
    """Seconds of stable-diffusion.cpp's steps of a picture, each of two passes of one row."""
    import multiprocessing
    from stable_diffusion_cpp import StableDiffusion

    # In a process of its own: what writing takes of memory is not the turn's.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        path = pool.apply(picture_model)
    model = StableDiffusion(
        model_path=path, n_threads=len(os.sched_getaffinity(0)), diffusion_flash_attn=True, verbose=False)
    steps, ends = repeats + 1, []
    model.generate_image(
        prompt="a photo of a person", width=512, height=512, cfg_scale=7.0, sample_steps=steps,
        progress_callback=lambda step, of, _: ends.append(time.perf_counter()) if of == steps else None)
    return statistics.median(end - start for start, end in zip(ends, ends[1:]))


def turn(engine, name, repeats):
    if engine == PICTURES:
        return report(picture_turn(repeats), "f16 weights")
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    module, inputs = part(name)
    note = ""
    with torch.inference_mode():
        if engine == "PyTorch f32":
            seconds = timed(lambda: module(*inputs), repeats)
        else:
            import openvino as ov

            model = ov.convert_model(module, example_input=inputs)
            del module
            hint = "bf16" if engine.endswith("bf16") else "f32"
            core = ov.Core()
            compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": hint})
            got = compiled.get_property("INFERENCE_PRECISION_HINT")
            note = str(got.to_string() if hasattr(got, "to_string") else got)
            if hint == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
                note = "computed in f32: this CPU has no bf16"
            arrays = [tensor.numpy() for tensor in inputs]
            seconds = timed(lambda: compiled(arrays), repeats)
    report(seconds, note)


def report(seconds, note):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(json.dumps({"seconds": seconds, "peakMemoryGB": peak, "note": note}))


def likeness_turn(likeness, name, repeats, precision):
    command = ["unet", "--guided"] if name == "guided-unet" else [name]
    answer = subprocess.run(
        [likeness, "bench", *command, "--json", "--repeats", str(repeats), "--precision", precision,
         "--weights", precision], check=True, capture_output=True, text=True)
    result = json.loads(answer.stdout)[0]
    if "roundingError" in result:
        result["note"] = f"{100 * result['roundingError']:.2f} % off f32"
    return result


def other_turn(engine, name, repeats):
    answer = subprocess.run(
        [sys.executable, __file__, "--turn", engine, name, "--repeats", str(repeats)], capture_output=True, text=True)
    if answer.returncode != 0:
        raise SystemExit(f"{engine}, {name}: {answer.stderr.strip()[-800:]}")
    return json.loads(answer.stdout.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--likeness", default=".build/release/likeness")
    parser.add_argument("--engines", nargs="+", default=["PyTorch f32", "OpenVINO f32", "OpenVINO bf16"])
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--json", help="also write all turns to this file")
    parser.add_argument("--turn", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.turn:
        return turn(*options.turn, options.repeats)
    if PICTURES in options.engines and options.parts != ["guided-unet"]:
        parser.error(f"{PICTURES} times steps of pictures only: --parts guided-unet")

    own = ["Likeness f32"] + (["Likeness bf16"] if "avx512_bf16" in open("/proc/cpuinfo").read() else [])
    turns = {}
    for name in options.parts:
        for number in range(options.rounds):
            for engine in own + options.engines:
                result = (
                    likeness_turn(options.likeness, name, options.repeats, engine.split()[1]) if engine in own
                    else other_turn(engine, name, options.repeats))
                turns.setdefault((name, engine), []).append(result)
                load = os.getloadavg()[0]
                print(f"{name} round {number + 1} {engine}: {result['seconds']:.3f} s (load {load:.1f})", file=sys.stderr)
    if options.json:
        with open(options.json, "w") as file:
            json.dump([{"part": p, "engine": e, "turns": t} for (p, e), t in turns.items()], file, indent=1)

    print("| part | engine | s | range | times Likeness | peak memory, GB | |")
    print("|---|---|---|---|---|---|---|")
    for (name, engine), results in turns.items():
        seconds = [result["seconds"] for result in results]
        # Ratios of neighbours in time, so that what slows the machine for a while slows both.
        ratio = ", ".join(
            f"{statistics.median(theirs / ours['seconds'] for theirs, ours in zip(seconds, turns[name, one])):.2f}"
            for one in own)
        memory = max(result["peakMemoryGB"] for result in results)
        print(
            f"| {name} | {engine} | {statistics.median(seconds):.2f} | {min(seconds):.2f} … {max(seconds):.2f} "
            f"| {ratio} | {memory:.1f} | {results[0].get('note', '')} |")


if __name__ == "__main__":
    main()
