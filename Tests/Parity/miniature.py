"""The miniature model opened by diffusers as it is, and the same picture drawn there and here.

    python3 -m venv /tmp/parity-venv
    /tmp/parity-venv/bin/pip install torch diffusers transformers safetensors pillow numpy
    swift build -c release --product likeness
    /tmp/parity-venv/bin/python Tests/Parity/miniature.py

Optional: nothing else needs Python. Both sides get the same prompt and starting noise; the final latents may differ by a
relative RMS of at most 1e-3.
"""
import argparse
import os
import subprocess
import sys
import tempfile

import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROMPT, NEGATIVE = "a photo of a smiling person with a hat, green background", "blurry"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=os.path.join(ROOT, "deploy/miniature"))
    parser.add_argument("--likeness", default=os.path.join(ROOT, ".build/release/likeness"))
    parser.add_argument("--steps", type=int, default=10)
    args = parser.parse_args()
    pipeline = StableDiffusionPipeline.from_pretrained(args.models, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    size = pipeline.unet.config.sample_size
    noise = torch.randn(1, pipeline.unet.config.in_channels, size, size, generator=torch.Generator().manual_seed(7))
    theirs = pipeline(
        PROMPT, negative_prompt=NEGATIVE, num_inference_steps=args.steps, guidance_scale=5.0, latents=noise.clone(),
        output_type="latent").images
    with tempfile.TemporaryDirectory() as work:
        start, final = os.path.join(work, "noise.safetensors"), os.path.join(work, "latents.safetensors")
        save_file({"latents": noise}, start)
        subprocess.run(
            [args.likeness, "model", "draw", "--models", args.models, "--prompt", PROMPT, "--negative-prompt", NEGATIVE,
             "--steps", str(args.steps), "--guidance", "5.0", "--noise", start, "--latents-out", final,
             "--out", os.path.join(work, "picture.png")], check=True)
        ours = load_file(final)["latents"]
    rms = ((ours - theirs).pow(2).mean().sqrt() / theirs.pow(2).mean().sqrt()).item()
    print(f"relative RMS of the final latents {rms:.2e}: {'pass' if rms <= 1e-3 else 'FAIL'}")
    sys.exit(rms > 1e-3)


if __name__ == "__main__":
    main()
