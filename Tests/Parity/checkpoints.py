"""Random Stable Diffusion 1.5 and IP-Adapter checkpoints in every layout that people have them in; used by parity.py.

Full-size ones have the real shapes (UNet 860 M, CLIP ViT-L/14 text, ViT-H/14 vision), tiny ones the same modules with few
channels. Weights are N(0, 1 / fan-in), norms near 1, and the last layers are scaled so that noise and picture have about
unit size: a difference anywhere shows in the result. All numbers are exact in bfloat16 and in float16, so that every
layout holds the same weights.
"""
import json
import os
import shutil
import sys
import types

import torch
from safetensors.torch import load_file, save_file

HERE = os.path.dirname(os.path.abspath(__file__))
SCHEDULER = {
    "_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", "beta_start": 0.00085, "beta_end": 0.012,
    "beta_schedule": "scaled_linear", "num_train_timesteps": 1000, "set_alpha_to_one": False, "skip_prk_steps": True,
    "steps_offset": 1, "trained_betas": None, "clip_sample": False}
INDEX = {
    "_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.6.0",
    "feature_extractor": [None, None], "safety_checker": [None, None], "image_encoder": [None, None],
    "requires_safety_checker": False,
    "scheduler": ["diffusers", "PNDMScheduler"], "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"], "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"]}
# What the original single files hold besides: the diffusion process, the averaged weights, position numbers.
LEFTOVERS = {
    "betas": torch.zeros(1000), "alphas_cumprod": torch.zeros(1000), "logvar": torch.zeros(1000),
    "model_ema.decay": torch.tensor(0.9999), "model_ema.num_updates": torch.tensor(7),
    "model_ema.diffusion_modelinput_blocks00weight": torch.zeros(4, 4, 3, 3),
    "cond_stage_model.transformer.text_model.embeddings.position_ids": torch.arange(77)[None]}


def configs(tiny):
    from transformers import CLIPTextConfig, CLIPVisionConfig
    width, cross = ((32, 64, 96, 96), 64) if tiny else ((320, 640, 1280, 1280), 768)
    unet = dict(
        sample_size=16 if tiny else 64, block_out_channels=width, cross_attention_dim=cross,
        attention_head_dim=4 if tiny else 8, norm_num_groups=8 if tiny else 32)
    vae = dict(
        sample_size=128 if tiny else 512, block_out_channels=(16, 32, 64, 64) if tiny else (128, 256, 512, 512),
        layers_per_block=2, latent_channels=4, norm_num_groups=8 if tiny else 32, scaling_factor=0.18215,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4)
    text = CLIPTextConfig(
        hidden_size=cross, intermediate_size=4 * cross, num_hidden_layers=3 if tiny else 12,
        num_attention_heads=4 if tiny else 12, hidden_act="quick_gelu", vocab_size=49408, max_position_embeddings=77,
        projection_dim=cross, bos_token_id=49406, eos_token_id=49407, pad_token_id=49407)
    vision = CLIPVisionConfig(
        hidden_size=96 if tiny else 1280, intermediate_size=192 if tiny else 5120,
        num_hidden_layers=3 if tiny else 32, num_attention_heads=4 if tiny else 16, image_size=56 if tiny else 224,
        patch_size=14, projection_dim=80 if tiny else 1024, hidden_act="gelu")
    return unet, vae, text, vision


def exact(x):
    """The nearest number that float16 and bfloat16 both have, in float32."""
    return x.half().bfloat16().float()


@torch.no_grad()
def randomise(module, seed):
    generator = torch.Generator().manual_seed(seed)
    for name, p in module.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        if p.dim() == 1:
            noise = noise * 0.1 + (1 if "norm" in name and name.endswith("weight") or "layrnorm.weight" in name else 0)
        elif "embedding" in name and "patch" not in name and "time" not in name:
            noise *= 0.3
        else:
            noise /= p[0].numel() ** 0.5
        p.copy_(exact(noise))
    return module.eval()


def unet_module(tiny, seed=1):
    from diffusers import UNet2DConditionModel
    with torch.device("meta"):  # torch's own start would take longer than ours
        unet = UNet2DConditionModel(**configs(tiny)[0])
    unet = randomise(unet.to_empty(device="cpu"), seed)
    # Text and photos should count: more of what cross-attention finds is added than at random.
    with torch.no_grad():
        for name, p in unet.named_parameters():
            if name.endswith("attn2.to_out.0.weight"):
                p.copy_(exact(p * 3))
    return unet


def vae_module(tiny):
    from diffusers import AutoencoderKL
    with torch.device("meta"):
        vae = AutoencoderKL(**configs(tiny)[1])
    vae = randomise(vae.to_empty(device="cpu"), 2)
    with torch.no_grad():
        vae.decoder.conv_out.weight.copy_(exact(vae.decoder.conv_out.weight * 0.5))
    return vae


def text_module(tiny):
    from transformers import CLIPTextModel
    return randomise(CLIPTextModel(configs(tiny)[2]), 3)


def vision_module(tiny):
    from transformers import CLIPVisionModelWithProjection
    return randomise(CLIPVisionModelWithProjection(configs(tiny)[3]), 4)


def write_json(value, *path):
    os.makedirs(os.path.dirname(os.path.join(*path)), exist_ok=True)
    with open(os.path.join(*path), "w") as file:
        json.dump(value, file, indent=1)


def small_parts(folder, tiny, bpe, scheduler=None):
    """Everything of a folder but weights."""
    os.makedirs(os.path.join(folder, "tokenizer"), exist_ok=True)
    for name in ("vocab.json", "merges.txt"):
        shutil.copyfile(os.path.join(bpe, name), os.path.join(folder, "tokenizer", name))
    write_json(
        {"model_max_length": 77, "tokenizer_class": "CLIPTokenizer", "bos_token": "<|startoftext|>",
         "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>", "pad_token": "<|endoftext|>"},
        folder, "tokenizer", "tokenizer_config.json")
    write_json({**SCHEDULER, **(scheduler or {})}, folder, "scheduler", "scheduler_config.json")
    write_json({**INDEX, "scheduler": ["diffusers", (scheduler or SCHEDULER).get("_class_name", "PNDMScheduler")]},
               folder, "model_index.json")


def with_prefix(state):
    """SD 1.5's file has the prefix text_model, which transformers 5 no longer writes."""
    return {k if k.startswith("text_model.") else "text_model." + k: v for k, v in state.items()}


def old_attention(state):
    """The VAE's attention under the names of SD 1.5's own folder."""
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    for new, old in names.items():
        state = {k.replace(f"attentions.0.{new}.", f"attentions.0.{old}."): v for k, v in state.items()}
    return state


def original_names(unet, vae, text):
    """The state of CompVis' code, by the pairs that diffusers' converters gave (ModelFolderTests/Fixtures)."""
    pairs = os.path.join(HERE, "..", "ModelFolderTests", "Fixtures", "single-file-names.txt")
    result = dict(LEFTOVERS)
    with open(pairs) as file:
        for original, name in (line.split() for line in file):
            source = vae if original.startswith("first_stage_model.") else unet
            tensor = source[name]
            if ".attn_1." in original and original.endswith("weight") and tensor.dim() == 2:
                tensor = tensor[:, :, None, None]  # 1x1 convolutions there
            result[original] = tensor.contiguous()
    for name, tensor in with_prefix(text).items():
        result["cond_stage_model.transformer." + name] = tensor
    return result


LAYOUTS = ("f32", "fp16", "bf16", "sharded", "bin", "single", "single-fp16", "ckpt")


def write_models(folder, layout, tiny, bpe, scheduler=None):
    """Writes UNet, VAE and text tower in a layout, unless they are there. Returns what `--models` takes."""
    path = {"ckpt": "model.ckpt", "single": "model.safetensors", "single-fp16": "model.safetensors"}.get(layout)
    path = os.path.join(folder, path) if path else folder
    complete = os.path.join(folder, "complete")
    small_parts(folder, tiny, bpe, scheduler)
    if os.path.exists(complete):
        return path
    parts = {"unet": unet_module(tiny), "vae": vae_module(tiny), "text_encoder": text_module(tiny)}
    for name, module in parts.items():
        if name == "text_encoder":
            module.config.architectures = ["CLIPTextModel"]
        module.config.save_pretrained(os.path.join(folder, name)) if name == "text_encoder" else module.save_config(
            os.path.join(folder, name))
    if layout in ("single", "single-fp16", "ckpt"):
        state = original_names(*(m.state_dict() for m in parts.values()))
        if layout == "single-fp16":
            state = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
        if layout == "ckpt":
            save_checkpoint(state, path)
        else:
            save_file(state, path)
        write_json(None, complete)
        return path
    for name, module in parts.items():
        home = os.path.join(folder, name)
        base = "model" if name == "text_encoder" else "diffusion_pytorch_model"
        state = module.state_dict()
        if layout == "sharded":
            # As diffusers and transformers write it themselves: prefix of the text tower included or not.
            total = sum(p.numel() * 4 for p in module.parameters())
            module.save_pretrained(home, max_shard_size=total // 3 + 4096)
        elif layout == "bin":
            if name == "text_encoder":
                state = {**with_prefix(state), "text_model.embeddings.position_ids": torch.arange(77)[None]}
            torch.save(old_attention(state) if name == "vae" else state, os.path.join(
                home, "pytorch_model.bin" if name == "text_encoder" else base + ".bin"))
        else:
            kind = {"f32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[layout]
            state = with_prefix(state) if name == "text_encoder" and layout != "bf16" else state
            save_file({k: v.to(kind).contiguous() for k, v in state.items()},
                      os.path.join(home, base + (".fp16" if layout == "fp16" else "") + ".safetensors"))
    write_json(None, complete)
    return path


def save_checkpoint(state, path):
    """As the original trainer wrote it: the trainer's callback is a key, its best score a number of NumPy's."""
    import numpy
    module = types.ModuleType("pytorch_lightning.callbacks.model_checkpoint")
    module.ModelCheckpoint = type("ModelCheckpoint", (), {"__module__": module.__name__})
    for name in ("pytorch_lightning", "pytorch_lightning.callbacks"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules[module.__name__] = module
    torch.save(
        {"epoch": 0, "global_step": 470000, "pytorch-lightning_version": "1.4.2", "state_dict": state,
         "callbacks": {module.ModelCheckpoint: {"best_model_score": numpy.float64(0.5), "best_model_path": ""}}}, path)


# MARK: IP-Adapter

ADAPTERS = ("ip-adapter_sd15", "ip-adapter_sd15_light", "ip-adapter-plus_sd15", "ip-adapter-plus-face_sd15",
            "ip-adapter-full-face_sd15", "ip-adapter-faceid_sd15")
# Numbers of a face embedding, as insightface's.
FACE = 512


def adapter_state(kind, tiny):
    """h94's two groups of tensors."""
    unet, _, _, vision = configs(tiny)
    cross, widths = unet["cross_attention_dim"], unet["block_out_channels"]
    generator = torch.Generator().manual_seed(10 + ADAPTERS.index(kind))

    def randn(*shape):
        return exact(torch.randn(shape, generator=generator) / shape[-1] ** 0.5)

    def norm(name, width):
        return {f"{name}.weight": exact(1 + 0.1 * torch.randn(width, generator=generator)),
                f"{name}.bias": exact(0.1 * torch.randn(width, generator=generator))}

    def bias(width):
        return exact(0.1 * torch.randn(width, generator=generator))

    hidden = vision.hidden_size
    if "plus" in kind:
        inner, depth = cross, 4
        project = {"latents": exact(torch.randn(1, 16, inner, generator=generator)),
                   "proj_in.weight": randn(inner, hidden), "proj_in.bias": bias(inner),
                   "proj_out.weight": randn(cross, inner), "proj_out.bias": bias(cross), **norm("norm_out", cross)}
        for i in range(depth):
            project |= {**norm(f"layers.{i}.0.norm1", inner), **norm(f"layers.{i}.0.norm2", inner),
                        f"layers.{i}.0.to_q.weight": randn(inner, inner),
                        f"layers.{i}.0.to_kv.weight": randn(2 * inner, inner),
                        f"layers.{i}.0.to_out.weight": randn(inner, inner), **norm(f"layers.{i}.1.0", inner),
                        f"layers.{i}.1.1.weight": randn(4 * inner, inner),
                        f"layers.{i}.1.3.weight": randn(inner, 4 * inner)}
    elif "faceid" in kind:
        project = {"proj.0.weight": randn(2 * FACE, FACE), "proj.0.bias": bias(2 * FACE),
                   "proj.2.weight": randn(4 * cross, 2 * FACE), "proj.2.bias": bias(4 * cross), **norm("norm", cross)}
    elif "full" in kind:
        project = {"proj.0.weight": randn(hidden, hidden), "proj.0.bias": bias(hidden),
                   "proj.2.weight": randn(cross, hidden), "proj.2.bias": bias(cross), **norm("proj.3", cross)}
    else:
        project = {"proj.weight": randn(4 * cross, vision.projection_dim), "proj.bias": bias(4 * cross),
                   **norm("norm", cross)}
    layers = {}
    # The odd numbers count diffusers' order of processors: down blocks, up blocks, mid block.
    order = [w for w in widths[:3] for _ in range(2)] + [w for w in widths[2::-1] for _ in range(3)] + [widths[3]]
    for place, width in enumerate(order):
        for kv in ("k", "v"):
            layers[f"{2 * place + 1}.to_{kv}_ip.weight"] = 2 * randn(width, cross)
        if "faceid" in kind:
            rank = 8 if tiny else 128
            for attention in (1, 2):
                for part in ("q", "k", "v", "out"):
                    inputs = cross if attention == 2 and part in "kv" else width
                    key = f"{2 * place + attention - 1}.to_{part}_lora"
                    layers[key + ".down.weight"] = randn(rank, inputs)
                    layers[key + ".up.weight"] = exact(0.5 * randn(width, rank))
    return {"image_proj": project, "ip_adapter": layers}


def write_adapters(folder, tiny, kinds, ending, vision=True):
    """h94's `models` folder: the files, `image_encoder`, and the paper's self-attention."""
    os.makedirs(folder, exist_ok=True)
    for kind in kinds:
        state = adapter_state(kind, tiny)
        if ending == "bin":
            torch.save(state, os.path.join(folder, kind + ".bin"))
        else:
            save_file({f"{group}.{k}": v.contiguous() for group, part in state.items() for k, v in part.items()},
                      os.path.join(folder, kind + ".safetensors"))
    attention = self_attention(tiny)
    save_file(attention.state_dict(), os.path.join(folder, "self_attention.safetensors"),
              metadata={"heads": str(attention.attn.num_heads)})
    if vision and not os.path.exists(os.path.join(folder, "image_encoder")):
        vision_module(tiny).save_pretrained(os.path.join(folder, "image_encoder"))


def write_lora_apart(folder, kind, attentions):
    """A FaceID adapter in two files, as h94 publishes its LoRA for other programs too: `-apart.safetensors` and
    `-apart_lora.safetensors`. `attentions`: names of all attentions in the order of processors."""
    whole = load_file(os.path.join(folder, kind + ".safetensors"))
    lora = {}
    for key in [k for k in whole if "_lora." in k]:
        _, number, part, half, _ = key.split(".")
        module = f"{attentions[int(number)]}.{part.removesuffix('_lora')}" + (".0" if "out" in part else "")
        lora[f"lora_unet_{module.replace('.', '_')}.lora_{half}.weight"] = whole.pop(key)
    save_file(whole, os.path.join(folder, kind + "-apart.safetensors"))
    save_file(lora, os.path.join(folder, kind + "-apart_lora.safetensors"))


class SelfAttention(torch.nn.Module):
    """y = LayerNorm(x + MultiheadAttention(x, x, x)) over the photos (/work/shared/goldens/aggregation)."""

    def __init__(self, width, heads):
        super().__init__()
        self.attn = torch.nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm = torch.nn.LayerNorm(width)

    def forward(self, x):
        return self.norm(x + self.attn(x, x, x, need_weights=False)[0])


def self_attention(tiny):
    return randomise(SelfAttention(configs(tiny)[3].projection_dim, 4 if tiny else 8), 5)


def tuned_unet(tiny):
    """A UNet as DreamBooth leaves it: the same with every weight changed a little."""
    unet, other = unet_module(tiny), unet_module(tiny, seed=6)
    with torch.no_grad():
        for p, q in zip(unet.parameters(), other.parameters()):
            p.copy_(exact(0.9 * p + 0.1 * q))
    return unet
