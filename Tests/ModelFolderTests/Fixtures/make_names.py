"""Writes single-file-names.txt: every tensor of Stable Diffusion 1.5's original file and diffusers' name for it.

    python make_names.py        # torch, diffusers, transformers

The pairs are found by diffusers' own converters: each original tensor is given a number of its own, and the converted
model tells where it went. The original names are written down from CompVis' module tree.
"""
import os

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders import single_file_utils as converters

resnet = ["in_layers.0", "in_layers.2", "emb_layers.1", "out_layers.0", "out_layers.3"]
attention = ["norm", "proj_in", "proj_out"] + [
    f"transformer_blocks.0.{part}" for part in
    ["norm1", "norm2", "norm3", "ff.net.0.proj", "ff.net.2"] + [
        f"{attn}.{name}" for attn in ("attn1", "attn2") for name in ("to_q", "to_k", "to_v", "to_out.0")]]
bare = ("to_q", "to_k", "to_v")


def both(names):
    return [f"{n}.{kind}" for n in names for kind in ("weight", "bias") if not (kind == "bias" and n.endswith(bare))]


def unet_names():
    modules = ["time_embed.0", "time_embed.2", "input_blocks.0.0", "out.0", "out.2"]
    for block in range(4):
        for layer in range(2):
            i = 3 * block + layer + 1
            modules += [f"input_blocks.{i}.0.{n}" for n in resnet]
            if layer == 0 and block in (1, 2):
                modules.append(f"input_blocks.{i}.0.skip_connection")
            if block < 3:
                modules += [f"input_blocks.{i}.1.{n}" for n in attention]
        if block < 3:
            modules.append(f"input_blocks.{3 * (block + 1)}.0.op")
        for layer in range(3):
            i = 3 * block + layer
            modules += [f"output_blocks.{i}.0.{n}" for n in resnet + ["skip_connection"]]
            if block > 0:
                modules += [f"output_blocks.{i}.1.{n}" for n in attention]
        if block < 3:
            modules.append(f"output_blocks.{3 * block + 2}.{1 if block == 0 else 2}.conv")
    modules += [f"middle_block.{i}.{n}" for i in (0, 2) for n in resnet] + [f"middle_block.1.{n}" for n in attention]
    return ["model.diffusion_model." + n for n in both(modules)]


def vae_names():
    block = ["norm1", "conv1", "norm2", "conv2"]
    modules = ["quant_conv", "post_quant_conv"]
    for half in ("encoder", "decoder"):
        modules += [f"{half}.{n}" for n in ("conv_in", "norm_out", "conv_out")]
        modules += [f"{half}.mid.block_{i}.{n}" for i in (1, 2) for n in block]
        modules += [f"{half}.mid.attn_1.{n}" for n in ("norm", "q", "k", "v", "proj_out")]
    for level in range(4):
        for layer in range(2):
            modules += [f"encoder.down.{level}.block.{layer}.{n}" for n in block]
        for layer in range(3):
            modules += [f"decoder.up.{level}.block.{layer}.{n}" for n in block]
        if level in (1, 2):
            modules.append(f"encoder.down.{level}.block.0.nin_shortcut")
        if level in (0, 1):
            modules.append(f"decoder.up.{level}.block.0.nin_shortcut")
        if level < 3:
            modules.append(f"encoder.down.{level}.downsample.conv")
        if level > 0:
            modules.append(f"decoder.up.{level}.upsample.conv")
    return ["first_stage_model." + f"{m}.{k}" for m in modules for k in ("weight", "bias")]


def pairs(names, convert, expected):
    numbered = {name: torch.full((1, 1, 1, 1), float(i)) for i, name in enumerate(names)}
    converted = convert(dict(numbered))
    result = sorted((names[int(tensor.flatten()[0])], name) for name, tensor in converted.items())
    assert {name for _, name in result} == expected, expected ^ {name for _, name in result}
    assert len(result) == len(names)
    return result


with torch.device("meta"):
    unet = UNet2DConditionModel(
        cross_attention_dim=768, attention_head_dim=8, block_out_channels=(320, 640, 1280, 1280), sample_size=64)
    vae = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4)
rows = pairs(unet_names(), lambda s: converters.convert_ldm_unet_checkpoint(s, dict(unet.config)), set(unet.state_dict()))
rows += pairs(vae_names(), lambda s: converters.convert_ldm_vae_checkpoint(s, dict(vae.config)), set(vae.state_dict()))
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "single-file-names.txt"), "w") as file:
    file.writelines(f"{original} {name}\n" for original, name in rows)
