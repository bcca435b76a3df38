"""Writes plus.safetensors and full-face.safetensors: python make.py (torch, diffusers, safetensors).

Random weights under h94's names and under diffusers' (its own converter), hidden states, and diffusers' tokens of them.
"""
import os

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file

os.chdir(os.path.dirname(os.path.abspath(__file__)))
torch.manual_seed(5)
hidden, embed, width, queries, inner = 24, 20, 12, 5, 128  # two heads of 64


def tensor(*shape):
    return torch.randn(*shape) * 0.2


def layer_norm(prefix, size):
    return {f"{prefix}.weight": 1 + tensor(size), f"{prefix}.bias": tensor(size)}


plus = {"latents": tensor(1, queries, hidden), "proj_in.weight": tensor(hidden, embed), "proj_in.bias": tensor(hidden),
        "proj_out.weight": tensor(width, hidden), "proj_out.bias": tensor(width), **layer_norm("norm_out", width)}
for i in range(4):
    plus |= {**layer_norm(f"layers.{i}.0.norm1", hidden), **layer_norm(f"layers.{i}.0.norm2", hidden),
             f"layers.{i}.0.to_q.weight": tensor(inner, hidden), f"layers.{i}.0.to_kv.weight": tensor(2 * inner, hidden),
             f"layers.{i}.0.to_out.weight": tensor(hidden, inner), **layer_norm(f"layers.{i}.1.0", hidden),
             f"layers.{i}.1.1.weight": tensor(4 * hidden, hidden), f"layers.{i}.1.3.weight": tensor(hidden, 4 * hidden)}
full = {"proj.0.weight": tensor(embed, embed), "proj.0.bias": tensor(embed), "proj.2.weight": tensor(width, embed),
        "proj.2.bias": tensor(width), **layer_norm("proj.3", width)}
for name, weights in (("plus", plus), ("full-face", full)):
    module = UNet2DConditionModel._convert_ip_adapter_image_proj_to_diffusers(
        type("Stub", (), {"dtype": torch.float32})(), weights, low_cpu_mem_usage=False).double()
    states = tensor(2, 7, embed)
    with torch.no_grad():
        tokens = module(states.double()).float()
    out = {f"h94.image_proj.{key}": value for key, value in weights.items()}
    out |= {f"diffusers.encoder_hid_proj.image_projection_layers.0.{key}": value.float().contiguous()
            for key, value in module.state_dict().items()}
    save_file({**out, "in.states": states, "out.tokens": tokens.contiguous()}, f"{name}.safetensors")
    print(name, tuple(tokens.shape))
